//! Exit codes: what a script may conclude from the number alone.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | done, with a negative answer; or stopped by a person |
//! | 2 | wrong usage or configuration: nothing was wrong with the machine, change what was asked |
//! | 3 | hardware or runtime fault: what was asked is fine, look at the arm, the camera, the link or the disk |
//!
//! The kind is that of the first error in the chain that has one, so words put around an error do not change it.

use std::error::Error;

use crate::camera::CameraError;
use crate::driver::{ConnectError, DriverError, GuardFault};
use crate::recording::RecordingError;
use crate::runtime::RuntimeError;
use crate::teleop::DeviceError;

/// Stopped by a person.
const STOPPED: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;
/// Hardware or runtime fault.
pub const FAULT: u8 = 3;

/// The exit code for an error that ended a command.
pub fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(kind).unwrap_or(USAGE)
}

/// The code of one error, if its type says anything about it.
fn kind(error: &(dyn Error + 'static)) -> Option<u8> {
    if let Some(error) = error.downcast_ref::<RuntimeError>() {
        return Some(if matches!(error, RuntimeError::Interrupted(_)) { STOPPED } else { FAULT });
    }
    if let Some(error) = error.downcast_ref::<RecordingError>() {
        let disk = matches!(error, RecordingError::Write { .. } | RecordingError::Stopped { .. });
        return Some(if disk { FAULT } else { USAGE });
    }
    #[cfg(feature = "ros2")]
    if let Some(error) = error.downcast_ref::<crate::transport::ros2::RosError>() {
        let setting = matches!(error, crate::transport::ros2::RosError::Setting { .. });
        return Some(if setting { USAGE } else { FAULT });
    }
    if let Some(error) = error.downcast_ref::<DriverError>() {
        // A mode that needs a guard, asked for without one.
        return Some(if *error == DriverError::Guard(GuardFault::Missing) { USAGE } else { FAULT });
    }
    #[cfg(feature = "dynamixel")]
    if error.is::<crate::transport::LinkError>() {
        return Some(FAULT);
    }
    let fault = error.is::<ConnectError>() || error.is::<CameraError>() || error.is::<DeviceError>();
    fault.then_some(FAULT)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    fn of(error: impl Into<anyhow::Error>) -> u8 {
        let bare = error.into();
        let plain = code(&bare);
        let wrapped = Err::<(), _>(bare).context("the first trial").context("evaluate").unwrap_err();
        assert_eq!(code(&wrapped), plain, "words around an error do not change its kind: {wrapped:#}");
        plain
    }

    #[test]
    fn each_kind_of_error_has_its_code() {
        let silent = || ConnectError::Silent {
            arm: "widowx".into(),
            link: "/dev/ttyDXL".into(),
            who: "servo 1".into(),
            seconds: 1.0,
            fix: "plug it in".into(),
        };
        let stale = || CameraError::Stale { camera: "front".into(), age: 1.0, limit: 0.3 };
        assert_eq!(of(silent()), 3);
        assert_eq!(of(DriverError::Silent), 3);
        assert_eq!(of(DriverError::SecondCommander), 3);
        assert_eq!(of(DriverError::Guard(GuardFault::Missing)), 2);
        assert_eq!(of(DriverError::Guard(GuardFault::Ended)), 3);
        assert_eq!(of(stale()), 3);
        #[cfg(feature = "dynamixel")]
        assert_eq!(of(crate::transport::LinkError::Unplugged), 3);
        assert_eq!(of(DeviceError::Gone { device: "quest", cause: "unplugged".into() }), 3);
        assert_eq!(of(RuntimeError::Driver(DriverError::Silent)), 3);
        assert_eq!(of(RuntimeError::Panicked("index out of bounds".into())), 3);
        assert_eq!(of(RuntimeError::Interrupted("SIGTERM".into())), 1);
        assert_eq!(of(anyhow!("--fps: found 0")), 2);
        assert_eq!(of(std::io::Error::other("launch/none.toml: no such file")), 2);
        assert_eq!(of(RecordingError::Full { path: "results".into(), free_mib: 1, needed_mib: 9 }), 2);
        assert_eq!(
            of(RecordingError::Write { path: "a.mcap".into(), steps: 1, source: std::io::Error::other("no space") }),
            3
        );
    }

    #[cfg(feature = "ros2")]
    #[test]
    fn a_wrong_variable_is_configuration_and_a_missing_node_is_not() {
        use crate::transport::ros2::RosError;
        let (found, expected, fix) = ("`x`".to_string(), "a number".to_string(), "unset it".to_string());
        assert_eq!(of(RosError::Setting { what: "ROS_DOMAIN_ID".into(), found, expected, fix: fix.clone() }), 2);
        assert_eq!(of(RosError::NoPeer { what: "publishes".into(), seconds: 1.0, fix }), 3);
    }
}

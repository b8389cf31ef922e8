//! The top-level error of a command, and its exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | done, with a negative result; or stopped by the user |
//! | 2 | wrong usage or configuration: the machine is fine, change the request |
//! | 3 | hardware or runtime fault: the request is fine, look at the arm, the camera, the link or the disk |
//!
//! The kind is that of the first error in the chain that has one, so added context does not change it.

use std::error::Error;
use std::fmt;

use crate::failure::{Failing, FailureKind};

/// Exit code of a hardware or runtime fault.
pub const FAULT: u8 = 3;

/// The error that ended a command: its kind, and each cause once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    text: String,
}

impl Failure {
    /// A usage or configuration error.
    #[cfg_attr(
        not(any(feature = "fci", all(feature = "mujoco", feature = "torch"))),
        allow(dead_code, reason = "other links check their settings themselves")
    )]
    pub fn usage(text: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Usage, text: text.to_string() }
    }

    /// A machine fault that no error type below has a variant for.
    pub fn machine(text: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Machine, text: text.to_string() }
    }

    /// The program's exit code.
    pub fn code(&self) -> u8 {
        match self.kind {
            FailureKind::Stopped => 1,
            FailureKind::Usage => 2,
            FailureKind::Machine => FAULT,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

impl Failing for Failure {
    fn failure(&self) -> FailureKind {
        self.kind
    }
}

impl From<&anyhow::Error> for Failure {
    fn from(error: &anyhow::Error) -> Self {
        Self { kind: error.chain().find_map(kind).unwrap_or(FailureKind::Usage), text: told(error) }
    }
}

/// An error and its causes, each once: most of our errors already include their cause.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(|cause| cause.to_string()) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    crate::untrusted::printable_lines(&text)
}

/// The kind of one error, if its type has one.
fn kind(error: &(dyn Error + 'static)) -> Option<FailureKind> {
    type Look = fn(&(dyn Error + 'static)) -> Option<FailureKind>;
    fn of<T: Failing + 'static>(error: &(dyn Error + 'static)) -> Option<FailureKind> {
        error.downcast_ref::<T>().map(Failing::failure)
    }
    let types: &[Look] = &[
        of::<Failure>,
        of::<crate::runtime::RuntimeError>,
        of::<crate::driver::ConnectError>,
        of::<crate::driver::DriverError>,
        #[cfg(feature = "ros2")]
        of::<crate::driver::guard::GuardError>,
        of::<crate::camera::CameraError>,
        of::<crate::teleop::DeviceError>,
        #[cfg(feature = "dynamixel")]
        of::<crate::transport::LinkError>,
        #[cfg(feature = "ros2")]
        of::<crate::transport::ros2::RosError>,
        of::<crate::recording::RecordingError>,
        of::<crate::evaluation::JournalError>,
        of::<crate::config::ConfigError>,
        #[cfg(feature = "torch")]
        of::<crate::policy::PolicyError>,
        #[cfg(feature = "exchange")]
        of::<crate::exchange::ExchangeError>,
        #[cfg(feature = "mujoco")]
        of::<crate::simulation::SimulationError>,
        #[cfg(feature = "page")]
        of::<crate::page::PageError>,
        of::<std::io::Error>,
    ];
    types.iter().find_map(|look| look(error))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;
    use crate::camera::CameraError;
    use crate::driver::{ConnectError, DriverError, GuardFault};
    use crate::recording::RecordingError;
    use crate::runtime::RuntimeError;
    use crate::teleop::DeviceError;

    fn of(error: impl Into<anyhow::Error>) -> u8 {
        let bare = error.into();
        let plain = Failure::from(&bare).code();
        let wrapped = Err::<(), _>(bare).context("the first trial").context("evaluate").unwrap_err();
        assert_eq!(Failure::from(&wrapped).code(), plain, "context must not change the kind of an error: {wrapped:#}");
        plain
    }

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
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
        assert_eq!(of(Failure::machine("the simulating process is gone")), 3);
        assert_eq!(of(Failure::usage("fci: found widowx, expected panda")), 2);
        assert_eq!(of(anyhow!("--fps: found 0")), 2);
        assert_eq!(of(std::io::Error::other("launch/none.toml: no such file")), 2);
        assert_eq!(of(std::io::Error::from(std::io::ErrorKind::StorageFull)), 3);
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

    /// A type with a kind that is missing from the list would count as usage.
    #[test]
    fn every_error_type_with_a_kind_is_listed() {
        fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else if path.extension().is_some_and(|kind| kind == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let names = text.lines().filter_map(|line| line.split_once("Failing for "));
                    found.extend(names.filter_map(|(_, name)| name.strip_suffix(" {")).map(str::to_string));
                }
            }
        }
        let mut found = Vec::new();
        walk(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let list = include_str!("exit.rs");
        assert!(found.len() > 10, "{found:?}");
        for name in found {
            assert!(list.contains(&format!("{name}>,")), "{name} is not in the list of `kind`");
        }
    }
}

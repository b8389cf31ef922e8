//! The Franka Hand on its own port (1338) and its own thread: its commands take seconds and must not hold up the arm.
//!
//! The control thread leaves the target fraction in an atomic; this thread moves there when it changed enough. Opening is a move,
//! closing a grasp, as in franka_ros2's gripper action: a grasp keeps its force on the object.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use franka::{FrankaError, Gripper};

use super::session::CONNECT_SECONDS;
use super::settings::HandSettings;
use crate::driver::ConnectError;

/// Change of the target fraction below which the fingers stay.
const NOTICED: f64 = 0.02;

/// A grasp succeeds at any width: detecting a held object is the policy's task, and an empty grasp is no error \[m\].
const ANY_WIDTH: f64 = 0.1;

/// State shared by both threads.
struct Shared {
    wanted: AtomicU64,
    measured: AtomicU64,
    leave: AtomicBool,
}

/// The hand's thread.
pub struct Hand {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Hand {
    /// Connects and starts.
    pub fn connect(address: &str, arm: &str, settings: HandSettings) -> Result<Self, ConnectError> {
        let host = settings.address.clone().unwrap_or_else(|| host_of(address).to_string());
        let link_error = |cause: String| ConnectError::Link {
            arm: arm.into(),
            link: host.clone(),
            cause,
            fix: "check that the hand is mounted and initialized in Desk, or say in the settings that there is none"
                .into(),
        };
        // The arm is connected before its hand, so what fails here is the hand's own.
        let of_hand = |error: FrankaError| match error {
            FrankaError::Network(cause) if cause.contains("imeout") || cause.contains("timed out") => {
                ConnectError::Silent {
                    arm: arm.into(),
                    link: host.clone(),
                    who: "the hand (the arm's control box responds)".into(),
                    seconds: CONNECT_SECONDS,
                    fix: format!(
                        "check the hand's cable, initialize it in Desk and restart the control box, or say in the settings that \
                         there is none ({cause})"
                    ),
                }
            }
            other => link_error(format!("the hand, while the arm's control box responds: {other}")),
        };
        let gripper = Gripper::new(&host).map_err(of_hand)?;
        let state = gripper.read_once().map_err(of_hand)?;
        let fraction = fraction(&settings, state.width);
        let shared = Arc::new(Shared {
            wanted: AtomicU64::new(fraction.to_bits()),
            measured: AtomicU64::new(fraction.to_bits()),
            leave: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hand".into())
            .spawn(move || run(&gripper, &settings, &for_thread, fraction))
            .map_err(|error| link_error(error.to_string()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Goes to a fraction: 0 closed .. 1 open. Wait-free.
    pub fn set_target(&self, fraction: f64) {
        self.shared.wanted.store(fraction.clamp(0.0, 1.0).to_bits(), Ordering::Release);
    }

    /// Finger opening: 0 closed .. 1 open. Wait-free.
    pub fn measured(&self) -> f64 {
        f64::from_bits(self.shared.measured.load(Ordering::Acquire))
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.shared.leave.store(true, Ordering::Release);
        // The thread may be inside a move of seconds; the fingers finish it by themselves.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

/// The host without a port.
pub fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => address,
    }
}

fn fraction(settings: &HandSettings, width: f64) -> f64 {
    (width - settings.closed) / (settings.open - settings.closed)
}

fn run(gripper: &Gripper, settings: &HandSettings, shared: &Shared, start: f64) {
    let mut at = start;
    while !shared.leave.load(Ordering::Acquire) {
        let wanted = f64::from_bits(shared.wanted.load(Ordering::Acquire));
        // A NaN target is ignored.
        if (wanted - at).abs() > NOTICED {
            let width = settings.closed + wanted * (settings.open - settings.closed);
            let done = if wanted < at {
                gripper.grasp(width, settings.speed, settings.force, ANY_WIDTH, ANY_WIDTH)
            } else {
                gripper.move_gripper(width, settings.speed)
            };
            at = wanted;
            if let Err(error) = done {
                tracing::warn!("the hand did not reach {width:.3} m: {error}");
            }
        }
        match gripper.read_once() {
            Ok(state) => shared.measured.store(fraction(settings, state.width).to_bits(), Ordering::Release),
            Err(error) => {
                tracing::warn!("the hand is silent and stays where it is: {error}");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_off() {
        assert_eq!(host_of("172.16.0.2:1337"), "172.16.0.2");
        assert_eq!(host_of("robot"), "robot");
    }

    #[test]
    fn closed_is_zero_and_open_is_one() {
        let settings = HandSettings { address: None, closed: 0.0, open: 0.08, speed: 0.1, force: 40.0 };
        assert_eq!(fraction(&settings, 0.0), 0.0);
        assert_eq!(fraction(&settings, 0.08), 1.0);
    }
}

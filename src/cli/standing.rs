//! Recovers an arm and checks that it then stands still: a hold is reported only if its state shows it.

use std::time::Duration;

use anyhow::Context;

use crate::action::ControlMode;
use crate::driver::{ArmDriver, DriverError, Motion, Standstill, Stillness};
use crate::runtime::RuntimeError;
use crate::time::{Clock, Timestamp};

/// Criterion for standing still after a command to hold.
const STILLNESS: Stillness = Stillness { motion: 0.01, window: Duration::from_millis(500), states: 2 };
/// Period at which its state is read.
const LOOK: Duration = Duration::from_millis(20);
/// Time-out for a state that shows it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Settling time: a servo sags a little until it carries its load.
const SETTLING: Duration = Duration::from_millis(200);

/// [`ArmDriver::activate`], with a fault code as text.
pub fn activate(arm: &mut dyn ArmDriver, now: Timestamp, mode: ControlMode) -> anyhow::Result<()> {
    match arm.activate(now, mode) {
        // Keep the error type: it decides the exit code.
        Err(error @ DriverError::Fault(code)) => {
            Err(error).with_context(|| format!("the arm cannot be activated: {}", arm.fault_text(code)))
        }
        result => result.context("the arm cannot be activated"),
    }
}

/// Effect of recovering an arm with this driver, as text for the operator who is asked for consent.
pub fn what_recovery_does(driver: &str, robot: &str) -> String {
    let does = match (driver, robot) {
        ("dynamixel", _) => {
            "servos that report a hardware error are rebooted, during which their joints hang on the others; then every servo \
             holds where it is"
        }
        ("fci", _) => {
            "the connection is opened again where it is lost and the reflex is cleared; then the arm holds where it is"
        }
        (_, "widowx") => {
            "the node reboots servos that report a hardware error, during which their joints hang on the others; then every \
             servo holds where it is"
        }
        (_, "panda" | "fr3") => "the error recovery of the controller is run; then the arm holds where it is",
        (_, "sawyer") => "the arm is reset and enabled; then it holds where it is",
        _ => "faults of the controller are cleared; then the arm holds where it is",
    };
    format!(
        "{does}. It goes nowhere. Stand clear of it, support it if it could sink, and have the hardware stop at hand"
    )
}

/// Clears faults, activates the arm where it is, and checks that it stands still. Returns the result as text. `nap`
/// sleeps.
pub fn recover(
    arm: &mut dyn ArmDriver,
    clock: &dyn Clock,
    mode: ControlMode,
    nap: &mut dyn FnMut(Duration),
) -> anyhow::Result<String> {
    arm.recover(clock.now())?;
    activate(arm, clock.now(), mode)?;
    arm.hold(clock.now()).map_err(RuntimeError::from)?;
    nap(SETTLING);
    let moved = watch(arm, clock, nap)?;
    Ok(format!(
        "the arm holds: its state shows no joint moved by more than {moved:.4} rad in {} s",
        STILLNESS.window.as_secs_f64()
    ))
}

/// Largest joint motion while the arm is watched \[rad\]; an error as soon as it moves too far.
fn watch(arm: &mut dyn ArmDriver, clock: &dyn Clock, nap: &mut dyn FnMut(Duration)) -> Result<f64, RuntimeError> {
    let words = |arm: &dyn ArmDriver, error| match error {
        DriverError::Fault(code) => RuntimeError::Fault(arm.fault_text(code)),
        error => RuntimeError::Driver(error),
    };
    let (start, mut still) = (clock.now(), Standstill::new(STILLNESS));
    loop {
        match arm.read(clock.now()) {
            Ok(sensed) => {
                // Uses the measurement stamps: a repeated old measurement shows nothing.
                still.observe(sensed.measured_at, &sensed.joint_positions);
                if let Some(Motion { joint, by }) = still.moved() {
                    return Err(RuntimeError::NotStanding { joint, moved: by, limit: STILLNESS.motion });
                }
                if still.stands(sensed.measured_at) {
                    return Ok(still.farthest().by);
                }
            }
            // A single state may be missed; only received states count.
            Err(DriverError::Silent) => {}
            Err(error) => return Err(words(arm, error)),
        }
        if clock.now().since(start) >= PATIENCE {
            return Err(RuntimeError::HoldUnconfirmed { seconds: PATIENCE.as_secs_f64() });
        }
        nap(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::fake::FakeArm;
    use crate::time::ManualClock;

    /// Watches a fake arm on a manual clock; `each` gets the number of waits so far.
    fn watched(each: impl Fn(usize, &crate::runtime::fake::Switches)) -> Result<f64, RuntimeError> {
        let (mut arm, switches) = FakeArm::new(6);
        let (clock, mut naps) = (ManualClock::new(), 0);
        let mut nap = |time| {
            naps += 1;
            each(naps, &switches);
            clock.advance(time);
        };
        watch(&mut arm, &clock, &mut nap)
    }

    #[test]
    fn an_arm_that_stands_is_seen_to_stand() {
        assert_eq!(watched(|_, _| {}).unwrap(), 0.0);
        // An occasionally missed state changes nothing.
        assert_eq!(watched(|naps, switches| switches.silence(naps % 3 == 0)).unwrap(), 0.0);
    }

    #[test]
    fn a_silent_or_failed_arm_is_not_reported_as_standing() {
        let silent = watched(|_, switches| switches.silence(true)).unwrap_err();
        assert!(matches!(silent, RuntimeError::HoldUnconfirmed { .. }), "{silent:?}");
        let failed = watched(|naps, switches| switches.fault(naps > 5)).unwrap_err();
        assert!(failed.to_string().contains("7 cups"), "{failed}");
    }
}

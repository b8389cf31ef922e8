//! The gripper's loop: PWM mode, closed here.
//!
//! In position mode a gripper that closes on an object stalls at full PWM and shuts down with an overload within seconds
//! (Interbotix's manual); the XL430 has no current mode to limit it. So, as Bridge's robot code does, the servo runs in
//! PWM mode and the loop is closed on the finger position: `PWM = clip(300/m * (target - finger), 1) * 350`, of 885. The motor
//! tolerates 350 for a while; a grip that has not moved for a second is eased to 200, above the 150 at which it still moves. A lost
//! link opens nothing at once, but when the bus watchdog expires the PWM goes to zero and only the gripper's gears hold the object.

use std::time::Duration;

use crate::driver::widowx::crank;
use visuomotor_core::config::Gripper;

/// Share of full effort per meter of error \[1/m\] (Bridge).
const GAIN: f64 = 300.0;

/// Largest PWM while it moves \[1/885\] (Bridge).
const MOVING: f64 = 350.0;

/// Largest PWM of a grip that stands still \[1/885\].
const RESTING: f64 = 200.0;

/// A pushing grip that moves slower than this stands still \[m/s\].
const STILL: f64 = 0.002;

/// How long it may push with full force.
const PUSH: Duration = Duration::from_secs(1);

/// State of the gripper's loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grip {
    /// Target: 0 closed .. 1 open.
    pub target: f64,
    /// Last PWM \[1/885\], positive opens.
    pub pwm: i16,
    pushed: Duration,
}

impl Grip {
    /// At rest, without force.
    pub fn at(target: f64) -> Self {
        Self { target, pwm: 0, pushed: Duration::ZERO }
    }

    /// The PWM for a motor at this angle \[rad\] and speed \[rad/s\], `elapsed` after the last one.
    pub fn step(&mut self, gripper: &Gripper, angle: f64, speed: f64, elapsed: Duration) -> i16 {
        let error = gripper.finger_from_fraction(self.target) - crank::finger_from_angle(angle);
        let effort = (GAIN * error).clamp(-1.0, 1.0);
        let still = (speed * crank::finger_per_angle(angle)).abs() < STILL;
        self.pushed = if effort.abs() * MOVING > RESTING && still { self.pushed + elapsed } else { Duration::ZERO };
        let most = if self.pushed > PUSH { RESTING } else { MOVING };
        let pwm = (effort * MOVING).clamp(-most, most);
        // NaN gives no force.
        self.pwm = if pwm.is_finite() { pwm.round() as i16 } else { 0 };
        self.pwm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use visuomotor_core::config::Robot;

    #[test]
    fn a_grip_pushes_then_eases_and_pushes_again_after_it_moved() {
        let gripper = Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap().gripper;
        let angle = crank::angle_from_finger(0.02);
        let mut grip = Grip::at(0.0);
        let tick = Duration::from_millis(20);
        let pwm: Vec<i16> = (0..100).map(|_| grip.step(&gripper, angle, 0.0, tick)).collect();
        assert_eq!((pwm[0], pwm[49], pwm[50], pwm[99]), (-350, -350, -200, -200));
        assert_eq!(grip.step(&gripper, angle, -1.0, tick), -350);
        grip.target = 1.0;
        assert_eq!(grip.step(&gripper, angle, 1.0, tick), 350);
        // 1 mm before its target: 300/m * 1 mm * 350.
        assert_eq!(grip.step(&gripper, crank::angle_from_finger(0.034), 0.0, tick), 105);
        grip.target = f64::NAN;
        assert_eq!(grip.step(&gripper, angle, 0.0, tick), 0);
    }
}

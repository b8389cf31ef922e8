//! Does the arm follow its commands? A joint that does not is blocked, and its command is taken back.
//!
//! A servo that is held up pushes as hard as it can, and jumps when it comes free. So a command may run ahead of the
//! measured joint only as far as the servo lags and sags (`limits.following_error`) and only so long
//! (`limits.following_time`). For positions the distance between both is what runs ahead; then the command keeps within
//! half of it, on the blocked side alone. For velocities it is the way that was commanded and not gone, forgotten over a
//! second; then the joint is commanded no further that way until half is forgotten, and tried again. Torques have no
//! place to be ahead of: in contact the maker's collision thresholds decide.

use super::filter::Interval;
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::Robot;
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::protection::Protection;

/// How fast a way that was commanded and not gone is forgotten \[s\].
const FORGOTTEN: f64 = 1.0;

/// What one joint is about.
#[derive(Clone, Copy, Debug, Default)]
struct Joint {
    /// How far the command runs ahead, with its sign \[rad\].
    ahead: f64,
    /// How long it has been too far \[s\].
    seconds: f64,
    /// Blocked on this side: 1 up, -1 down, 0 free.
    side: f64,
}

/// What the arm has done with its commands so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residual {
    error: f64,
    time: f64,
    joints: [Joint; MAX_JOINTS],
    measured: JointVector,
}

impl Residual {
    pub(super) fn of(robot: &Robot) -> Self {
        let (error, time) = (robot.limits.following_error, robot.limits.following_time);
        Self { error, time, joints: [Joint::default(); MAX_JOINTS], measured: JointVector::zeros(0) }
    }

    /// Starts over: nothing runs ahead of anything.
    pub(super) fn start(&mut self) {
        self.joints = [Joint::default(); MAX_JOINTS];
        self.measured = JointVector::zeros(0);
    }

    /// Takes note of what became of the command sent before, `elapsed` \[s\] ago. No time elapsed, nothing is new.
    pub(super) fn note(&mut self, mode: ControlMode, sent: &JointVector, measured: &JointVector, elapsed: f64) {
        if !(elapsed > 0.0) || mode == ControlMode::Torque {
            return;
        }
        let kept = (-elapsed / FORGOTTEN).exp();
        let known = self.measured.len() == measured.len();
        for (i, joint) in self.joints[..measured.len()].iter_mut().enumerate() {
            joint.ahead = match mode {
                ControlMode::Position => sent[i] - measured[i],
                _ if known => {
                    let missed = sent[i] * elapsed - (measured[i] - self.measured[i]);
                    joint.ahead * kept + missed
                }
                _ => 0.0,
            };
            let size = joint.ahead.abs();
            if !(size <= self.error) {
                joint.seconds += elapsed;
            } else {
                joint.seconds = 0.0;
            }
            if joint.seconds > self.time {
                joint.side = joint.ahead.signum();
            } else if !(joint.ahead * joint.side > 0.5 * self.error) && mode == ControlMode::Velocity {
                joint.side = 0.0;
            }
        }
        self.measured = *measured;
    }

    /// Where a command may be: `ramp` is how far it may be taken back from `before` at once, in the command's unit.
    pub(super) fn allowed(
        &mut self,
        mode: ControlMode,
        joint: usize,
        (wished, before): (f64, f64),
        measured: f64,
        ramp: f64,
    ) -> Interval {
        let mut allowed = Interval::ALL;
        let state = &mut self.joints[joint];
        if !Protection::Residual.is_on() || state.side == 0.0 {
            return allowed;
        }
        let lead = match mode {
            ControlMode::Position => measured + state.side * 0.5 * self.error,
            _ => 0.0,
        };
        // Asked to come back, or to go no further than half the error: it is free again.
        if mode == ControlMode::Position && ramp > 0.0 && !((wished - lead) * state.side > 0.0) {
            state.side = 0.0;
            return allowed;
        }
        if state.side > 0.0 {
            allowed.high = if lead >= before - ramp { lead } else { before - ramp };
        } else {
            allowed.low = if lead <= before + ramp { lead } else { before + ramp };
        }
        allowed
    }
}

//! Detects joints that do not follow their commands: such a joint is blocked, and its command is taken back.
//!
//! A blocked servo pushes as hard as it can, and jumps when it comes free. So a command may lead the measured joint only as
//! far as the servo lags and sags (`limits.following_error`), and only for a limited time (`limits.following_time`). For
//! positions the lead is the following error; when blocked, the command stays within half of the limit, only on the blocked
//! side. For velocities the lead is the commanded but not executed distance, which decays within a second; when blocked,
//! the joint is not commanded in that direction until half has decayed, and then tried again. Torques have no position to
//! lead: in contact the manufacturer's collision thresholds decide.

use super::changes::Interval;
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::Robot;
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::protection::Protection;

/// Decay time of a commanded but not executed distance \[s\].
const FORGOTTEN: f64 = 1.0;

/// State of one joint.
#[derive(Clone, Copy, Debug, Default)]
struct Joint {
    /// Lead of the command, signed \[rad\].
    ahead: f64,
    /// How long the lead has been too large \[s\].
    seconds: f64,
    /// Blocked on this side: 1 up, -1 down, 0 free.
    side: f64,
}

/// How the arm has followed its commands so far.
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

    /// Resets all leads to zero.
    pub(super) fn start(&mut self) {
        self.joints = [Joint::default(); MAX_JOINTS];
        self.measured = JointVector::zeros(0);
    }

    /// Updates the leads from the previous command, sent `elapsed` \[s\] ago. Zero elapsed time changes nothing.
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

    /// Limits a command: `ramp` is the largest step by which it may be taken back from `before`, in the command's unit.
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
        // Commanded back, or to no more than half the error: the joint is free again.
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

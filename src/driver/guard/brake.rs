//! What a guard can do to an arm, and how it sees whether that helped.

use std::time::Duration;

use super::message::{Controller, Hello};
use crate::driver::panda::driver::ros2::StackBrake;
use crate::driver::widowx::driver::XsSdkBrake;
use crate::observation::JointVector;
use crate::time::Timestamp;
use crate::transport::ros2::{RosError, RosNode};

/// An arm's command topic in the hands of a guard. Nothing is sent until the guard trips. No method waits.
pub trait Brake {
    /// Sends a command of the mode that is guarded.
    fn send(&mut self, command: &JointVector);
    /// Takes the controller off the arm, where it has one that can be taken off; called again and again.
    fn switch_off(&mut self);
    /// The newest joint positions \[rad\], if something new came.
    fn positions(&mut self) -> Option<JointVector>;
}

/// Makes the endpoints that `hello` asks for and waits until they are matched.
pub fn open(node: &RosNode, hello: &Hello, patience: Duration) -> Result<Box<dyn Brake>, RosError> {
    Ok(match hello.controller {
        Controller::XsSdk => Box::new(XsSdkBrake::open(node, patience)?),
        Controller::Ros2Control => Box::new(StackBrake::open(node, hello.mode, &hello.joints, patience)?),
    })
}

/// Sees from positions alone that an arm stands: velocities are what a controller is least to be believed about.
#[derive(Debug, Default)]
pub struct Standstill {
    /// Where it was when it last moved, and when that was.
    reference: Option<(JointVector, Timestamp)>,
    /// States since then.
    states: u32,
}

/// Farther than this is motion \[rad\].
const MOTION: f64 = 0.005;
/// Standing for this long is standing still.
const STILL: Duration = Duration::from_millis(300);
/// From so few states nothing follows.
const FEWEST: u32 = 5;

impl Standstill {
    /// Takes a state.
    pub fn see(&mut self, now: Timestamp, positions: &JointVector) {
        let moved = |from: &JointVector| from.iter().zip(positions.iter()).any(|(a, b)| !((a - b).abs() <= MOTION));
        match &self.reference {
            Some((from, _)) if !moved(from) => self.states += 1,
            _ => (self.reference, self.states) = (Some((*positions, now)), 0),
        }
    }

    /// Does it stand?
    pub fn stands(&self, now: Timestamp) -> bool {
        self.states >= FEWEST && self.reference.is_some_and(|(_, since)| now.since(since) >= STILL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn an_arm_stands_when_its_positions_stay_and_not_when_they_stop_coming() {
        let mut still = Standstill::default();
        assert!(!still.stands(at(9000)), "nothing is known");
        let mut q = JointVector::from_slice(&[0.0, 1.0]);
        for ms in (0..1000).step_by(10) {
            // 0.3 rad/s: within 300 ms that is far more than noise.
            q[0] = 0.3e-3 * ms as f64;
            still.see(at(ms), &q);
            assert!(!still.stands(at(ms)));
        }
        assert!(!still.stands(at(5000)), "it may have moved on without a word");
        for ms in (1000..1400).step_by(10) {
            still.see(at(ms), &q);
        }
        assert!(still.stands(at(1400)));
        q[1] = f64::NAN;
        still.see(at(1410), &q);
        assert!(!still.stands(at(1410)));
    }
}

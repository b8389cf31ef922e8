//! An arm's reported state: a message's joints in chain order, and whether they are plausible.

use crate::driver::{ConnectError, DriverError, FaultCode};
use crate::transport::ros2::messages::sensor::JointState;
use visuomotor_core::config::Robot;
use visuomotor_core::kinematics::JointLimit;
use visuomotor_core::observation::JointVector;

/// May the arm be moved?
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// Yes.
    Ready,
    /// Its controller reports a fault, or is not enabled.
    Fault(FaultCode),
    /// Another program publishes on its command topic.
    SecondCommander,
    /// The bridge stopped commanding it for this reason, which may be over; it is commanded again after an activation.
    Lost(DriverError),
}

/// An arm's reported state; crosses from the bridge thread to the control thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmState {
    /// Joint positions \[rad\], chain order; not checked yet.
    pub positions: JointVector,
    /// Joint velocities \[rad/s\], chain order; zero where the arm does not report them.
    pub velocities: JointVector,
    /// Joint efforts \[Nm\], chain order; zero where the arm does not report them.
    pub efforts: JointVector,
    /// Finger position as in the arm's description \[m\] or \[rad\].
    pub finger: f64,
    /// May it be moved?
    pub condition: Condition,
}

impl ArmState {
    /// The first impossible number: not finite, more than a tenth of a radian outside the range, or more than twice the maker's
    /// speed.
    pub fn implausible(&self, robot: &Robot) -> Option<DriverError> {
        let beyond = |joint: usize, value: f64, low: f64, high: f64| {
            (!(value >= low && value <= high)).then_some(DriverError::Implausible { joint, value, low, high })
        };
        for (index, joint) in robot.joint.iter().enumerate() {
            let (lower, upper) = if joint.continuous {
                // Any number of turns, as long as it is finite.
                (-1e4, 1e4)
            } else {
                (joint.lower - 0.1, joint.upper + 0.1)
            };
            let speed = 2.0 * joint.velocity;
            let effort = 10.0 * joint.effort;
            let wrong = beyond(index, self.positions[index], lower, upper)
                .or_else(|| beyond(index, self.velocities[index], -speed, speed))
                .or_else(|| beyond(index, self.efforts[index], -effort, effort));
            if wrong.is_some() {
                return wrong;
            }
        }
        None
    }
}

/// Finds an arm's joints in messages by name: their order is the sender's, and other joints may be among them.
#[derive(Clone, Debug)]
pub struct JointOrder {
    names: Vec<String>,
}

/// A message that names some but not all of the joints, or whose lists do not fit its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JointListMismatch {
    /// What the message has.
    pub found: String,
    /// What it must have.
    pub expected: String,
}

impl JointListMismatch {
    /// The same as a reason not to connect.
    pub fn error(self, arm: &str, topic: &str) -> ConnectError {
        ConnectError::Unfit {
            arm: arm.into(),
            link: topic.into(),
            what: "the list of joints".into(),
            found: self.found,
            expected: self.expected,
            fix: "is this the arm of the launch file? Correct `robot`, or link.namespace and link.remap".into(),
        }
    }
}

impl JointOrder {
    /// For these joints, chain order.
    pub fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    /// The joints' names, chain order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Positions, velocities and efforts in chain order. `None` when the message is about other joints altogether (a head, a
    /// gripper); an error when it is about another arm.
    pub fn read(&self, message: &JointState) -> Result<Option<[JointVector; 3]>, JointListMismatch> {
        let count = message.name.len();
        let full = |list: &[f64]| list.len() == count;
        let empty_or_full = |list: &[f64]| list.is_empty() || full(list);
        if !full(&message.position) || !empty_or_full(&message.velocity) || !empty_or_full(&message.effort) {
            let (position, velocity, effort) = (message.position.len(), message.velocity.len(), message.effort.len());
            return Err(JointListMismatch {
                found: format!("{count} names, {position} positions, {velocity} velocities, {effort} efforts"),
                expected: "as many positions as names, and as many velocities and efforts or none".into(),
            });
        }
        let mut out = [JointVector::zeros(self.names.len()); 3];
        let mut missing = None;
        let mut seen = 0;
        for (joint, name) in self.names.iter().enumerate() {
            let Some(at) = message.name.iter().position(|other| other == name) else {
                missing = Some(name);
                continue;
            };
            seen += 1;
            for (to, list) in out.iter_mut().zip([&message.position, &message.velocity, &message.effort]) {
                to[joint] = list.get(at).copied().unwrap_or(0.0);
            }
        }
        match missing {
            None => Ok(Some(out)),
            Some(_) if seen == 0 => Ok(None),
            Some(name) => Err(JointListMismatch {
                found: format!("{} without {name}", message.name.join(", ")),
                expected: self.names.join(", "),
            }),
        }
    }

    /// Why messages without any of our joints are no states.
    pub fn wrong_arm(&self, arm: &str, topic: &str, message: &JointState) -> ConnectError {
        JointListMismatch { found: message.name.join(", "), expected: self.names.join(", ") }.error(arm, topic)
    }
}

/// Continuous joints report any number of turns; this keeps each within one turn of where it started.
#[derive(Clone, Debug)]
pub struct Turns {
    /// `None` for a joint with ends.
    joints: Vec<Option<Turning>>,
    offsets: Option<Vec<f64>>,
}

/// A continuous joint.
#[derive(Clone, Copy, Debug)]
struct Turning {
    /// Its home pose \[rad\].
    home: f64,
    range: JointLimit,
}

impl Turning {
    /// The whole turns \[rad\] from the home pose to `reading`; from the middle of the range, where the home pose is so near an end
    /// that the joint would be beyond it.
    fn turns(&self, reading: f64) -> f64 {
        let middle = 0.5 * (self.range.lower + self.range.upper);
        let inside = [self.home, middle].iter().find_map(|from| self.range.nearest_turn(reading, *from));
        inside.map_or(0.0, |inside| reading - inside)
    }
}

impl Turns {
    /// For this arm, not started.
    pub fn new(robot: &Robot) -> Self {
        let joints = robot.joint.iter().zip(&robot.identity.home).map(|(joint, home)| {
            let range = JointLimit { lower: joint.lower, upper: joint.upper };
            joint.continuous.then_some(Turning { home: *home, range })
        });
        Self { joints: joints.collect(), offsets: None }
    }

    /// The next reading starts over.
    pub fn restart(&mut self) {
        self.offsets = None;
    }

    /// Subtracts the whole turns that bring the first reading nearest to the home pose and inside the joint's range \[rad\], and
    /// the same number from then on: a reading never jumps because of it.
    pub fn unwind(&mut self, positions: &mut JointVector) {
        let offsets = self.offsets.get_or_insert_with(|| {
            let turns = |(reading, joint): (&f64, &Option<Turning>)| joint.map_or(0.0, |joint| joint.turns(*reading));
            positions.iter().zip(&self.joints).map(turns).collect()
        });
        for (q, offset) in positions.iter_mut().zip(offsets.iter()) {
            *q -= offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn order() -> JointOrder {
        JointOrder::new(vec!["a".into(), "b".into()])
    }

    fn message(names: &[&str], positions: &[f64]) -> JointState {
        let name = names.iter().map(ToString::to_string).collect();
        JointState { name, position: positions.to_vec(), ..Default::default() }
    }

    #[test]
    fn joints_are_found_by_name_among_others_and_in_any_order() {
        let [q, v, _] = order().read(&message(&["head", "b", "a"], &[9.0, 2.0, 1.0])).unwrap().unwrap();
        assert_eq!((&*q, &*v), (&[1.0, 2.0][..], &[0.0, 0.0][..]));
    }

    #[test]
    fn other_joints_are_no_news_and_half_an_arm_is_an_error() {
        assert_eq!(order().read(&message(&["gripper"], &[0.0])).unwrap(), None);
        assert!(order().read(&message(&["a", "c"], &[0.0, 0.0])).unwrap_err().found.contains("without b"));
        let mut short = message(&["a", "b"], &[0.0]);
        assert!(order().read(&short).unwrap_err().found.contains("1 positions"));
        short.position.push(0.0);
        short.velocity.push(1.0);
        assert!(order().read(&short).is_err());
    }

    fn turns() -> Turns {
        let joint = Turning { home: 4.7, range: JointLimit { lower: -TAU, upper: TAU } };
        Turns { joints: vec![Some(joint), None], offsets: None }
    }

    #[test]
    fn whole_turns_are_taken_off_once() {
        let mut turns = turns();
        let mut q = JointVector::from_slice(&[4.5 + 2.0 * TAU, 7.0]);
        turns.unwind(&mut q);
        assert!((q[0] - 4.5).abs() < 1e-12 && q[1] == 7.0);
        // Passing half a turn away from home later does not jump.
        let mut q = JointVector::from_slice(&[8.0 + 2.0 * TAU, 7.0]);
        turns.unwind(&mut q);
        assert!((q[0] - 8.0).abs() < 1e-12);
    }

    /// Near a home pose of 4.7 rad a joint at 7.5 rad was left there, beyond its range of one turn each way: no arm moves from
    /// there.
    #[test]
    fn a_turning_joint_is_read_inside_its_range() {
        for reading in [7.5, 7.5 - TAU, 7.5 + TAU] {
            let mut q = JointVector::from_slice(&[reading, 0.0]);
            turns().unwind(&mut q);
            assert!((q[0] - (7.5 - TAU)).abs() < 1e-9, "{reading}: {}", q[0]);
        }
    }
}

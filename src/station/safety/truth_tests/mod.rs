//! Truth tables and properties of the filter for every arm in `robots/` and every mode.

mod blocked;
mod limits;
mod numbers;
mod walls;

use std::path::Path;

use proptest::prelude::*;

use super::*;

const ARMS: [&str; 7] = ["widowx", "panda", "fr3", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"];
const MODES: [ControlMode; 3] = [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque];

fn load(name: &str) -> Robot {
    Robot::load(Path::new(crate::CHECKOUT), name).unwrap()
}

/// An arm that follows at once, and reports where it was `delay` ticks ago.
struct Follower {
    robot: Robot,
    chain: Chain,
    filter: SafetyFilter,
    arm: Proprioception,
    past: Vec<JointVector>,
    delay: usize,
    now: Timestamp,
    period: Duration,
    blocked: bool,
}

impl Follower {
    fn new(robot: Robot) -> Self {
        let chain = Chain::from_robot(&robot).unwrap();
        let still = JointVector::zeros(chain.joints());
        let arm = Proprioception {
            joint_positions: *chain.home(),
            joint_velocities: still,
            joint_efforts: still,
            finger_position: robot.gripper.finger_open,
            gripper: 0.5,
            measured_at: Timestamp::ZERO,
        };
        let filter = SafetyFilter::new(&robot, chain.clone());
        let period = Duration::from_secs_f64(1.0 / robot.identity.control_rate_hz);
        let mut rig = Self {
            robot,
            chain,
            filter,
            arm,
            past: Vec::new(),
            delay: 0,
            now: Timestamp::ZERO,
            period,
            blocked: false,
        };
        rig.stand(rig.arm.joint_positions);
        rig
    }

    /// At rest at these joints.
    fn stand(&mut self, joints: JointVector) {
        self.arm.joint_positions = joints;
        self.arm.measured_at = self.now;
        self.past = vec![joints];
        self.filter.seed(self.now, &self.arm);
    }

    fn joints(&self) -> usize {
        self.chain.joints()
    }

    fn still(&self) -> JointVector {
        JointVector::zeros(self.joints())
    }

    /// The arm's actual state.
    fn here(&self) -> JointVector {
        *self.past.last().unwrap()
    }

    /// The reported state.
    fn measured(&self) -> Proprioception {
        let told = self.past[self.past.len().saturating_sub(1 + self.delay)];
        let age = self.period * self.delay as u32;
        Proprioception {
            joint_positions: told,
            measured_at: Timestamp::from_nanos(self.now.as_nanos().saturating_sub(age.as_nanos() as u64)),
            ..self.arm
        }
    }

    fn tick(&mut self, wished: &JointCommand) -> Verdict {
        self.now = self.now + self.period;
        let measured = self.measured();
        let verdict = self.filter.filter(self.now, wished, &measured, Some(Duration::ZERO));
        let mut next = self.here();
        let sent = verdict.sent;
        if !self.blocked {
            match sent.mode() {
                ControlMode::Position => next = sent.joints(),
                ControlMode::Velocity => {
                    for (angle, velocity) in next.iter_mut().zip(sent.joints().iter()) {
                        *angle += velocity * self.period.as_secs_f64();
                    }
                }
                ControlMode::Torque => {}
            }
        }
        self.past.push(next);
        verdict
    }

    /// The command for no motion.
    fn nothing(&self, mode: ControlMode) -> JointCommand {
        let joints = if mode == ControlMode::Position { self.here() } else { self.still() };
        JointCommand::of(mode, joints, 0.5)
    }
}

/// The last joint of every arm turns its tool about itself, so that neither walls nor tool speed matter.
fn wish_last(rig: &Follower, mode: ControlMode, value: f64) -> JointCommand {
    let mut wished = rig.nothing(mode);
    let last = rig.joints() - 1;
    wished.joints_mut()[last] = value;
    wished
}

fn any_arm() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&ARMS[..])
}

//! The scripted expert for a torque-controlled arm: a spring toward the [`Demonstrator`]'s action.
//!
//! `tau = J^T (K dx - D v) + posture + coriolis` ([`CartesianImpedance`]), with `dx` the desired change of the pose. The
//! spring leads the tool by at most a hand's breadth, so that damping determines the tool's speed. Torques depend only on
//! the measurement, so that they can be imitated from an observation.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::expert::{Assignment, Demonstrator, Disturbance};
use crate::control::{CartesianImpedance, ControlError};
use visuomotor_core::action::{Action, ActionBounds, ActionError, ActionSource, AskedTorques, Decision};
use visuomotor_core::config::{ControlSetting, Robot};
use visuomotor_core::geometry::{Pose, rotation_from_euler};
use visuomotor_core::kinematics::{Chain, Dynamics};
use visuomotor_core::observation::{JointVector, Observation};

/// Decay factor of the noise per decision.
const FADES: f64 = 0.9;
/// Longest push \[decisions\].
const PUSH: u32 = 12;

/// Noise on the torques; the undisturbed ones are recorded as the label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TorqueNoise {
    /// Standard deviation of slowly varying noise, as a share of each joint's torque limit.
    pub share: f64,
    /// Probability per decision that a push begins.
    pub push: f64,
    /// Largest torque of a push, as a share of each joint's torque limit.
    pub strength: f64,
}

impl TorqueNoise {
    /// None.
    pub const NONE: TorqueNoise = TorqueNoise { share: 0.0, push: 0.0, strength: 0.0 };
}

/// The scripted expert under torque.
pub struct TorqueDemonstrator {
    expert: Demonstrator,
    chain: Chain,
    dynamics: Dynamics,
    spring: CartesianImpedance,
    limits: JointVector,
    noise: TorqueNoise,
    rng: ChaCha8Rng,
    drift: JointVector,
    push: Option<(JointVector, u32)>,
}

impl TorqueDemonstrator {
    /// An expert for one episode on this arm; its spring is the launch file's, or the arm's default.
    pub fn new(
        assignment: Assignment,
        robot: &Robot,
        chain: &Chain,
        control: &ControlSetting,
        noise: TorqueNoise,
        seed: u64,
    ) -> Result<Self, ControlError> {
        let limits = JointVector::from_slice(&robot.limits.joint_torque);
        Ok(Self {
            expert: Demonstrator::new(assignment, ActionBounds::BRIDGE, Disturbance::NONE, seed),
            chain: chain.clone(),
            dynamics: Dynamics::from_robot(robot)?,
            spring: CartesianImpedance::fitting(robot, chain, control)?,
            drift: JointVector::zeros(limits.len()),
            limits,
            noise,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x0070_0447),
            push: None,
        })
    }

    /// Torques that execute an action from the arm's current state \[Nm\].
    fn torques(&self, wish: &Action, observation: &Observation) -> JointVector {
        let (body, tool) = (&observation.proprioception, &observation.base_from_tool);
        let [roll, pitch, yaw] = wish.rotation;
        let place = tool.translation.vector + nalgebra::Vector3::from(wish.translation);
        let wished = Pose::from_parts(place.into(), rotation_from_euler(roll, pitch, yaw) * tool.rotation);
        let coriolis = self.dynamics.coriolis(&body.joint_positions, &body.joint_velocities);
        let mut torques = self.spring.torque(&self.chain, &wished, body, &coriolis);
        self.clip(&mut torques);
        torques
    }

    fn clip(&self, torques: &mut JointVector) {
        for (torque, limit) in torques.iter_mut().zip(self.limits.iter()) {
            *torque = torque.clamp(-limit, *limit);
        }
    }

    fn disturb(&mut self, torques: &JointVector) -> JointVector {
        let mut out = *torques;
        if self.noise == TorqueNoise::NONE {
            return out;
        }
        if self.push.is_none() && self.rng.random_bool(self.noise.push) {
            let mut push = self.limits;
            push.iter_mut().for_each(|value| *value *= self.noise.strength * self.rng.random_range(-1.0..1.0));
            self.push = Some((push, self.rng.random_range(3..=PUSH)));
        }
        for joint in 0..out.len() {
            // Uniform noise of this standard deviation, compensating the decay of one decision.
            let white = self.rng.random_range(-1.0..1.0) * 3f64.sqrt() * (1.0 - FADES * FADES).sqrt();
            self.drift[joint] = FADES * self.drift[joint] + white * self.noise.share * self.limits[joint];
            out[joint] += self.drift[joint] + self.push.map_or(0.0, |(push, _)| push[joint]);
        }
        if let Some((_, left)) = &mut self.push {
            *left -= 1;
            if *left == 0 {
                self.push = None;
            }
        }
        self.clip(&mut out);
        out
    }
}

impl ActionSource for TorqueDemonstrator {
    fn name(&self) -> &str {
        "expert"
    }

    fn reset(&mut self) {
        self.expert.reset();
        self.drift.fill(0.0);
        self.push = None;
    }

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let wish = self.expert.decide(observation)?.label;
        let label = self.torques(&wish, observation);
        if !label.is_finite() {
            return Err(ActionError::NotFinite("a joint torque"));
        }
        Ok(Decision::moving(AskedTorques { asked: self.disturb(&label), label }, wish.gripper))
    }

    fn looks_at_images(&self) -> bool {
        false
    }
}

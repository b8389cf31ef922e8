//! The head of a torque policy: embedding, state, task and joints -> joint torques and a gripper target.
//!
//! Where the fingers close comes from the embedding ([`Locator`](super::locator)). Places, their offset, state, task, joint
//! positions and velocities go through hidden layers with ReLU. The last layer returns the torques, executed directly, in the
//! scaled units of [`JointScale`]; no pose controller follows.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, nn};

use super::head::STATE;
use super::locator::{Locator, PLACES};
use crate::network::{Linear, Perceptron};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::onnx::{Graph, Value};

/// Gain of the last layer's kernel at the start: the first torques are close to zero.
const LAST_GAIN: f64 = 1e-2;

/// Scales of joint positions, velocities and torques, chain order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointScale {
    /// Mean of the positions \[rad\].
    pub position_mean: JointVector,
    /// Standard deviation of the positions \[rad\].
    pub position_std: JointVector,
    /// Standard deviation of the velocities \[rad/s\].
    pub velocity_std: JointVector,
    /// Standard deviation of the torques \[Nm\].
    pub torque_std: JointVector,
}

impl JointScale {
    /// Number of joints.
    pub fn joints(&self) -> usize {
        self.torque_std.len()
    }

    /// Scaled positions, then scaled velocities: 2 n numbers.
    pub fn body(&self, sensed: &Proprioception) -> Vec<f32> {
        let (q, v) = (&sensed.joint_positions, &sensed.joint_velocities);
        // A missing number must not become zero.
        let of = |vector: &JointVector, i: usize| vector.get(i).copied().unwrap_or(f64::NAN);
        let positions = (0..self.joints()).map(|i| (of(q, i) - self.position_mean[i]) / self.position_std[i]);
        let velocities = (0..self.joints()).map(|i| of(v, i) / self.velocity_std[i]);
        positions.chain(velocities).map(|value| value as f32).collect()
    }

    /// Torques \[Nm\] of a head's n scaled numbers.
    pub fn torques(&self, scaled: &[f32]) -> JointVector {
        let mut out = self.torque_std;
        for (torque, scaled) in out.iter_mut().zip(scaled) {
            *torque *= f64::from(*scaled);
        }
        out
    }
}

/// The head's layers.
///
/// Variables: `locate0`, `places`, `hidden0..`, `torques`, each `{weight,bias}`.
pub struct TorqueHead {
    locator: Locator,
    hidden: Perceptron,
    last: Linear,
}

/// Output for a batch of B.
pub struct TorqueOutput {
    /// n scaled torques, then the gripper target from -1 (closed) to 1 (open): (B, n + 1).
    pub torques: Tensor,
    /// Where the fingers close and open again (B, 5), scaled as the state.
    pub places: Tensor,
}

impl TorqueHead {
    /// A head for embeddings of `dimension` numbers, conditions of a state and `tasks` one-hot numbers, `joints` joints and
    /// hidden layers of `widths` units.
    pub fn new(path: &nn::Path, dimension: i64, tasks: i64, joints: i64, widths: &[i64]) -> Result<Self, TchError> {
        let hidden = Perceptron::new(path, STATE + tasks + 2 * PLACES + 2 * joints, 0, widths)?;
        Ok(Self {
            locator: Locator::new(path, dimension, tasks),
            last: Linear::new(&(path / "torques"), hidden.dimension(), joints + 1, LAST_GAIN)?,
            hidden,
        })
    }

    /// Embeddings (B, D), conditions (B, 7 + tasks) and bodies (B, 2 n) -> torques and gripper.
    pub fn forward(&self, embedding: &Tensor, condition: &Tensor, body: &Tensor) -> Result<TorqueOutput, TchError> {
        let places = self.locator.places(embedding, condition)?;
        let way = Locator::way(&places, condition)?;
        let seen = Tensor::f_cat(&[condition, &places, &way, body], 1)?;
        Ok(TorqueOutput { torques: self.last.forward(&self.hidden.forward(&seen, None)?)?, places })
    }

    /// Writes the scaled torques and the gripper target into an ONNX graph.
    pub fn write(
        &self,
        graph: &mut Graph,
        embedding: &Value,
        condition: &Value,
        body: &Value,
    ) -> Result<Value, TchError> {
        let [places, way] = self.locator.write(graph, embedding, condition)?;
        let seen = graph.concatenate(&[condition, &places, &way, body], 1);
        let hidden = self.hidden.write(graph, &seen)?;
        self.last.write(graph, &hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_last_layer_is_the_torques_and_places_come_from_the_image() {
        let store = nn::VarStore::new(Device::Cpu);
        let head = TorqueHead::new(&store.root(), 8, 1, 7, &[16]).unwrap();
        let options = (Kind::Float, Device::Cpu);
        let (condition, body) = (Tensor::rand([3, 8], options), Tensor::rand([3, 14], options));
        let forward = |embedding: &Tensor| head.forward(embedding, &condition, &body).unwrap();
        let (a, b) = (forward(&Tensor::rand([3, 8], options)), forward(&Tensor::rand([3, 8], options)));
        assert_eq!((a.torques.size(), a.places.size()), (vec![3, 8], vec![3, PLACES]));
        assert!(!a.places.equal(&b.places) && !a.torques.equal(&b.torques));
        assert_eq!(store.variables()["torques.weight"].size(), [8, 16]);
    }

    #[test]
    fn scaling_can_be_inverted() {
        let of = JointVector::from_slice;
        let scale = JointScale {
            position_mean: of(&[1.0, -1.0]),
            position_std: of(&[0.5, 0.5]),
            velocity_std: of(&[2.0, 2.0]),
            torque_std: of(&[10.0, 4.0]),
        };
        let sensed = Proprioception {
            joint_positions: of(&[2.0, -1.0]),
            joint_velocities: of(&[1.0, 0.0]),
            joint_efforts: JointVector::zeros(2),
            finger_position: 0.0,
            gripper: 1.0,
            measured_at: visuomotor_core::time::Timestamp::ZERO,
        };
        assert_eq!(scale.body(&sensed), [2.0, 0.0, 0.5, 0.0]);
        assert_eq!(scale.torques(&[0.5, -1.0]), of(&[5.0, -4.0]));
    }
}

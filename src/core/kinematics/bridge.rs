//! Converts tool poses to Bridge's convention, independent of the arm's approach axis.

use super::Chain;
use crate::geometry::{Pose, bridge_pose, pose_from_bridge};
use crate::observation::{Image, Observation, Proprioception};
use crate::time::Timestamp;

impl Chain {
    /// Position \[m\] and Bridge Euler angles \[rad\] of a tool pose: x, y, z, roll, pitch, yaw. Fingers that point down read zero.
    pub fn bridge_pose(&self, base_from_tool: &Pose) -> [f64; 6] {
        bridge_pose(&(base_from_tool * self.approach.tool_from_bridge_tool()))
    }

    /// Builds an observation, with the tool pose from the measured joints.
    pub fn observation(
        &self,
        images: Vec<Image>,
        proprioception: Proprioception,
        observed_at: Timestamp,
    ) -> Observation {
        let base_from_tool = self.forward(&proprioception.joint_positions);
        let [x, y, z, roll, pitch, yaw] = self.bridge_pose(&base_from_tool);
        let bridge_state = [x, y, z, roll, pitch, yaw, proprioception.gripper];
        Observation { images, proprioception, base_from_tool, bridge_state, observed_at }
    }

    /// The tool pose that [`Chain::bridge_pose`] describes.
    pub fn pose_from_bridge(&self, bridge: [f64; 6]) -> Pose {
        pose_from_bridge(bridge) * self.approach.tool_from_bridge_tool().inverse()
    }
}

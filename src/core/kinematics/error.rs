//! Why a description gives no chain.

use crate::config::MAX_CAPSULES;
use crate::observation::MAX_JOINTS;

/// `robot.toml` does not describe a supported chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KinematicsError {
    /// No joint, or more than the fixed capacity.
    #[error("{found} joints, this build computes chains of 1 to {MAX_JOINTS}; list each moving joint once")]
    JointCount {
        /// Joints found.
        found: usize,
    },
    /// A joint's parent is not the previous joint's child.
    #[error(
        "joint `{joint}` has parent `{found}` but the chain has reached `{expected}`; order the joints base to tool"
    )]
    Broken {
        /// The offending joint.
        joint: String,
        /// Its parent link.
        found: String,
        /// Link the chain ends at before it.
        expected: String,
    },
    /// The tool is not fixed to the last link.
    #[error("the tool's parent is `{found}` but the chain ends at `{expected}`; fix the tool to the last link")]
    ToolParent {
        /// The tool's parent link.
        found: String,
        /// Last link of the chain.
        expected: String,
    },
    /// A joint axis has no direction.
    #[error("joint `{joint}`: axis {axis} has no direction; give a finite vector longer than zero")]
    Axis {
        /// The joint.
        joint: String,
        /// Its axis, as written.
        axis: String,
    },
    /// A link or finger has no mass, center of mass and inertia.
    #[error("link `{link}` has no body; add a [[link]] with its mass, center of mass and inertia")]
    Bodiless {
        /// The link.
        link: String,
    },
    /// More fingers than the fixed capacity.
    #[error("{found} fingers, this build computes grippers of at most 4; list each finger once")]
    FingerCount {
        /// Fingers found.
        found: usize,
    },
    /// A finger's parent is not a link of the chain.
    #[error("finger `{finger}` has parent `{found}`, which no joint moves; fix it to a link of the arm")]
    FingerParent {
        /// The finger's joint.
        finger: String,
        /// Its parent link.
        found: String,
    },
    /// A capsule's link is not in the chain, or there are too many capsules.
    #[error(
        "capsule of link `{link}`: give at most {MAX_CAPSULES}, each on the base link or on one that a joint moves"
    )]
    Capsule {
        /// The link, as written.
        link: String,
    },
    /// A physically impossible payload.
    #[error("{found} is not a valid body; give a finite mass and moments of inertia of at least 0")]
    Payload {
        /// The payload, as given.
        found: String,
    },
    /// The margin leaves a joint no range.
    #[error("joint `{joint}`: limits {lower}..{upper} rad leave no room inside limits.joint_margin; make it smaller")]
    NoRoom {
        /// The joint.
        joint: String,
        /// Hard lower limit, as written.
        lower: String,
        /// Hard upper limit, as written.
        upper: String,
    },
}

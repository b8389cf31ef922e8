//! Topics of an episode and the schemas that let other programs read them.
//!
//! ROS schemas are the `.msg` files of Jazzy without comments, with the types they use appended after `====` lines; JSON
//! channels have a JSON schema.

/// Prefix of camera topics: `/camera/NAME/compressed`.
pub const CAMERA_PREFIX: &str = "/camera/";
/// Suffix of camera topics.
pub const CAMERA_SUFFIX: &str = "/compressed";
/// Joints as the policy saw them, policy rate.
pub const OBSERVED_JOINTS: &str = "/observed_joint_states";
/// Tool pose in the base frame, policy rate.
pub const TOOL_POSE: &str = "/tool_pose";
/// Bridge's 7-d state, policy rate.
pub const BRIDGE_STATE: &str = "/bridge_state";
/// Action asked for, policy rate.
pub const ACTION: &str = "/action";
/// The action without the demonstrator's noise, policy rate.
pub const ACTION_LABEL: &str = "/action_label";
/// Embedding of the policy's image, policy rate, where there is one.
pub const EMBEDDING: &str = "/embedding";
/// Measured joints, control rate.
pub const JOINT_STATES: &str = "/joint_states";
/// The command that control asked for, control rate.
pub const WISHED_COMMAND: &str = "/wished_command";
/// What was sent after the safety filter, control rate.
pub const SENT_COMMAND: &str = "/sent_command";
/// The rest of a control tick, control rate.
pub const CONTROL_TICK: &str = "/control_tick";
/// Before the first step.
pub const EPISODE_START: &str = "/episode/start";
/// After each policy step; closes the step's group of messages.
pub const EPISODE_STEP: &str = "/episode/step";
/// When the safety filter changed or stopped a command.
pub const EPISODE_SAFETY: &str = "/episode/safety";
/// After the last step.
pub const EPISODE_END: &str = "/episode/end";

/// The operator's note on the episode.
pub const EPISODE_NOTE: &str = "/episode/note";
/// Steps that were not recorded, and why.
pub const EPISODE_GAP: &str = "/episode/gap";

/// One schema of the file.
#[derive(Clone, Copy, Debug)]
pub struct SchemaText {
    /// Type name.
    pub name: &'static str,
    /// `ros2msg` or `jsonschema`.
    pub encoding: &'static str,
    /// The text.
    pub text: &'static str,
}

impl SchemaText {
    /// Message encoding that goes with it.
    pub fn message_encoding(&self) -> &'static str {
        if self.encoding == "ros2msg" { "cdr" } else { "json" }
    }
}

macro_rules! separator {
    () => {
        "================================================================================\n"
    };
}

macro_rules! header {
    () => {
        concat!(
            separator!(),
            "MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n",
            separator!(),
            "MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
        )
    };
}

macro_rules! layout {
    () => {
        concat!(
            separator!(),
            "MSG: std_msgs/MultiArrayLayout\nMultiArrayDimension[] dim\nuint32 data_offset\n",
            separator!(),
            "MSG: std_msgs/MultiArrayDimension\nstring label\nuint32 size\nuint32 stride\n"
        )
    };
}

const fn ros(name: &'static str, text: &'static str) -> SchemaText {
    SchemaText { name, encoding: "ros2msg", text }
}

const fn json(name: &'static str, text: &'static str) -> SchemaText {
    SchemaText { name, encoding: "jsonschema", text }
}

/// Joints.
pub const JOINT_STATE: SchemaText = ros(
    "sensor_msgs/msg/JointState",
    concat!(
        "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n",
        header!()
    ),
);

/// Camera image as JPEG.
pub const COMPRESSED_IMAGE: SchemaText =
    ros("sensor_msgs/msg/CompressedImage", concat!("std_msgs/Header header\nstring format\nuint8[] data\n", header!()));

/// Pose with its frame.
pub const POSE_STAMPED: SchemaText = ros(
    "geometry_msgs/msg/PoseStamped",
    concat!(
        "std_msgs/Header header\ngeometry_msgs/Pose pose\n",
        header!(),
        separator!(),
        "MSG: geometry_msgs/Pose\ngeometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n",
        separator!(),
        "MSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n",
        separator!(),
        "MSG: geometry_msgs/Quaternion\nfloat64 x 0\nfloat64 y 0\nfloat64 z 0\nfloat64 w 1\n"
    ),
);

/// Numbers.
pub const FLOAT64_ARRAY: SchemaText =
    ros("std_msgs/msg/Float64MultiArray", concat!("std_msgs/MultiArrayLayout layout\nfloat64[] data\n", layout!()));

/// Embeddings.
pub const FLOAT32_ARRAY: SchemaText =
    ros("std_msgs/msg/Float32MultiArray", concat!("std_msgs/MultiArrayLayout layout\nfloat32[] data\n", layout!()));

/// `/episode/start`.
pub const START_EVENT: SchemaText = json(
    "visuomotor.EpisodeStart",
    r#"{"type":"object","properties":{"name":{"type":"string"},"task":{"type":"string"},"instruction":{"type":"string"},"robot":{"type":"string"},"action_source":{"type":"string"},"policy_rate_hz":{"type":"number"},"control_rate_hz":{"type":"number"},"joint_names":{"type":"array","items":{"type":"string"}},"seed":{"type":"integer"},"settings":{"type":"string"}}}"#,
);

/// `/episode/step`.
pub const STEP_EVENT: SchemaText = json(
    "visuomotor.EpisodeStep",
    r#"{"type":"object","properties":{"index":{"type":"integer"},"observed_at_ns":{"type":"integer"},"decided_at_ns":{"type":"integer"},"encoder_seconds":{"type":"number"},"policy_seconds":{"type":"number"},"bridge_state":{"type":"array","items":{"type":"number"}},"action":{"type":"array","items":{"type":"number"}},"label":{"type":"array","items":{"type":"number"}},"tool_pose":{"type":"array","items":{"type":"number"}},"joint_positions":{"type":"array","items":{"type":"number"}},"joint_velocities":{"type":"array","items":{"type":"number"}},"joint_torques":{"type":"object","properties":{"asked":{"type":"array","items":{"type":"number"}},"label":{"type":"array","items":{"type":"number"}}}},"decided_by":{"enum":["policy","operator"]},"images":{"type":"array","items":{"type":"object","properties":{"camera":{"type":"string"},"sequence":{"type":"integer"},"captured_at_ns":{"type":"integer"},"camera_width":{"type":"integer"},"camera_height":{"type":"integer"}}}},"encoder_digest":{"type":"string"}}}"#,
);

/// `/episode/safety`.
pub const SAFETY_EVENT: SchemaText = json(
    "visuomotor.SafetyEvent",
    r#"{"type":"object","properties":{"at_ns":{"type":"integer"},"step_index":{"type":"integer"},"filtered":{"type":"object"}}}"#,
);

/// `/episode/end`.
pub const END_EVENT: SchemaText = json(
    "visuomotor.EpisodeEnd",
    r#"{"type":"object","properties":{"outcome":{"type":"object"},"steps":{"type":"integer"},"seconds":{"type":"number"}}}"#,
);

/// `/episode/note`.
pub const NOTE_EVENT: SchemaText = json(
    "visuomotor.Note",
    r#"{"type":"object","properties":{"at_ns":{"type":"integer"},"by":{"type":"string"},"text":{"type":"string"}}}"#,
);

/// `/episode/gap`.
pub const GAP_EVENT: SchemaText = json(
    "visuomotor.Gap",
    r#"{"type":"object","properties":{"first_step":{"type":"integer"},"steps":{"type":"integer"},"ticks":{"type":"integer"},"why":{"type":"string"}}}"#,
);

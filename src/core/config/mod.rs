//! Reads the files that describe a station: `robots/`, `calibration/`, `launch/`, `scenes/`.
//!
//! One rule everywhere: an unknown key, a missing key or a value of the wrong type is an error that names the file, the
//! line, the key path, the value found and the fix. Nothing is guessed or silently replaced by a default.

mod calibration;
mod control;
mod document;
mod driver;
mod error;
mod file;
mod gripper;
mod launch;
mod motion;
mod realtime;
mod robot;
mod scene;
mod teleop;
mod tighter;

pub use calibration::CameraCalibration;
pub use control::{ControlLaw, ControlSetting};
pub use driver::{DynamixelSetting, FciSetting, Payload};
pub use error::ConfigError;
pub use file::{digest, load, parse, project_root};
pub use gripper::{Finger, FingerJoint, Gripper};
pub use launch::{
    CameraSetting, ClockKind, DriverKind, GripperPolicy, ImageClock, Launch, LinkSetting, PolicySetting, PolicySource,
    ProtocolSetting, Rendering, SceneSetting, StartPosture, StationTask,
};
pub use motion::MotionSetting;
pub use realtime::{BudgetSetting, RealtimeSetting};
pub use robot::{
    Capsule, Collision, FkTest, GravityTest, Joint, Limits, Link, Look, MAX_CAPSULES, MAX_PLANES, Plane, Primitive,
    PrimitiveKind, Robot, RobotIdentity, Simulation, Tool,
};
pub use scene::{ContainerPlace, Counter, Object, ObjectKind, Rule, Scene, StartTransform, Task, Variation};
pub use teleop::{DeviceKind, MotionFrame, SignedAxis, Stand, TeleopSetting};
pub use tighter::TighterLimits;

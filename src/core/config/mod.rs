//! Reads the files that describe a station: `robots/`, `calibration/`, `launch/`, `scenes/`.
//!
//! One rule everywhere: an unknown key, a missing key or a value of the wrong type is an error that names the file, the
//! line, the key path, the value found and the fix. Nothing is guessed or silently replaced by a default.

mod calibration;
mod control;
mod document;
mod driver;
mod gripper;
mod launch;
mod motion;
mod realtime;
mod robot;
mod scene;
mod teleop;
mod tighter;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::failure::{Failing, FailureKind};
use crate::untrusted::{self, shown};

pub use calibration::CameraCalibration;
pub use control::{ControlLaw, ControlSetting};
pub use driver::{DynamixelSetting, FciSetting, Payload};
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

/// A configuration file is missing, unreadable or invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read ({source}); {fix}", path = shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
        /// What to do.
        fix: String,
    },
    /// The file is not TOML, has an unknown or missing key, or a value of the wrong kind.
    #[error("{path}:{line}: key `{key}`: {message}", path = shown(path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line of the offending key, counted from 1.
        line: usize,
        /// Path of the key, `protocol.trial_seconds`.
        key: String,
        /// What was found and what was expected.
        message: String,
    },
    /// The value has the right type but is out of range, or inconsistent with another one.
    #[error("{path}: key `{key}`: found {found}, expected {expected}; {fix}", path = shown(path))]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Path of the key.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
        /// What to do.
        fix: String,
    },
}

impl Failing for ConfigError {
    fn failure(&self) -> FailureKind {
        match self {
            Self::Unreadable { source, .. } => source.failure(),
            Self::Malformed { .. } | Self::Unfit { .. } => FailureKind::Usage,
        }
    }
}

impl ConfigError {
    /// A value of the right type that is not acceptable.
    pub fn unfit(
        path: &Path,
        key: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self::Unfit {
            path: path.to_path_buf(),
            key: key.into(),
            found: found.to_string(),
            expected: expected.to_string(),
            fix: fix.into(),
        }
    }
}

/// Reads a TOML file into `T`; `T` denies unknown fields.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = untrusted::read_text(path, untrusted::LARGEST_TEXT).map_err(|source| ConfigError::Unreadable {
        path: path.to_path_buf(),
        source,
        fix: "check the path".into(),
    })?;
    parse(path, &text)
}

/// Parses the text of a TOML file; `path` is for messages only.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    document::read(text).map_err(|fault| ConfigError::Malformed {
        path: path.to_path_buf(),
        line: fault.start().map_or(1, |start| text[..start.min(text.len())].matches('\n').count() + 1),
        key: fault.path(),
        message: fault.message().to_string(),
    })
}

/// Is a table equal to its default? Then it is not serialized.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// SHA-256 of bytes, hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The project folder a launch file belongs to: the nearest folder above it that holds `robots/`.
pub fn project_root(launch: &Path) -> PathBuf {
    let absolute = std::path::absolute(launch).unwrap_or_else(|_| launch.to_path_buf());
    absolute
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("robots").is_dir())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code)]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code)]
        rate_hz: f64,
    }

    #[test]
    fn an_unknown_key_is_named_with_file_line_and_key() {
        let error = parse::<Outer>(Path::new("a.toml"), "[inner]\nrate_hz = 5.0\nrate = 3\n").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("a.toml:3:"), "{text}");
        assert!(text.contains("inner") && text.contains("rate") && text.contains("rate_hz"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_key() {
        let text = parse::<Outer>(Path::new("a.toml"), "[inner]\nrate_hz = \"fast\"\n").unwrap_err().to_string();
        assert!(text.starts_with("a.toml:2: key `inner.rate_hz`"), "{text}");
    }

    #[test]
    fn a_missing_key_is_named() {
        let text = parse::<Outer>(Path::new("a.toml"), "[inner]\n").unwrap_err().to_string();
        assert!(text.contains("rate_hz"), "{text}");
    }
}

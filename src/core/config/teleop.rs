//! `[teleop]` of a launch file: the teleoperation device, and the mapping of its motion to the tool.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Teleoperation settings. Every key has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeleopSetting {
    /// The device.
    pub device: DeviceKind,
    /// Tool speed at full deflection of a stick, key or twist \[m/s\]. Above 0.25 m/s Bridge's bounds cut it off at 5 Hz.
    pub speed: f64,
    /// Turning speed at full deflection \[rad/s\].
    pub turn: f64,
    /// Tool motion per motion of a tracked hand \[1\].
    pub scale: f64,
    /// The device's axes (x forward, y left, z up from the user's seat) that drive the tool's x, y and z.
    pub axes: [SignedAxis; 3],
    /// The same for rotation about x, y and z.
    pub turn_axes: [SignedAxis; 3],
    /// Frame of those tool axes.
    pub frame: MotionFrame,
    /// Deflections up to this count as zero \[1\].
    pub deadzone: f64,
    /// Time-out: the arm stops at most this long after the device's last message \[s\]; default by device. At least 1.1
    /// policy periods, because an action acts that long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Where the operator with a Quest controller stands.
    pub stand: Stand,
    /// Device file of `gamepad`, `spacemouse` (default: the first one found) and `leader` (a serial port).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// `udp`: address to listen on (default 127.0.0.1:47800). `quest`: address of the adb server (default 127.0.0.1:5037).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `quest`: serial number of the headset, as `adb devices` lists it (default: the only device).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// `ros2`: topic of `geometry_msgs/TwistStamped` (default /teleop/twist).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// A teleoperation device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// Keys in this terminal.
    #[default]
    Keyboard,
    /// A gamepad of this computer (`/dev/input/js0`).
    Gamepad,
    /// A 3Dconnexion SpaceMouse (`/dev/hidraw*`).
    Spacemouse,
    /// A Meta Quest controller over adb, in oculus_reader's format.
    Quest,
    /// A second WidowX without torque, on its own U2D2.
    Leader,
    /// UDP datagrams with a twist, from any program.
    Udp,
    /// A ROS 2 twist, from any node.
    Ros2,
    /// The gamepad or keyboard of a browser on the page.
    Page,
    /// A scripted operator: the expert of the simulated kitchen.
    Scripted,
}

impl DeviceKind {
    /// All of them.
    pub const ALL: [DeviceKind; 9] = [
        DeviceKind::Keyboard,
        DeviceKind::Gamepad,
        DeviceKind::Spacemouse,
        DeviceKind::Quest,
        DeviceKind::Leader,
        DeviceKind::Udp,
        DeviceKind::Ros2,
        DeviceKind::Page,
        DeviceKind::Scripted,
    ];

    /// Name in launch files.
    pub fn name(self) -> &'static str {
        match self {
            DeviceKind::Keyboard => "keyboard",
            DeviceKind::Gamepad => "gamepad",
            DeviceKind::Spacemouse => "spacemouse",
            DeviceKind::Quest => "quest",
            DeviceKind::Leader => "leader",
            DeviceKind::Udp => "udp",
            DeviceKind::Ros2 => "ros2",
            DeviceKind::Page => "page",
            DeviceKind::Scripted => "scripted",
        }
    }

    /// Default time-out of the device while driving \[s\].
    pub fn usual_timeout(self) -> f64 {
        match self {
            // A terminal repeats a held key 20 to 40 times a second, after a pause of a quarter to half a second.
            DeviceKind::Keyboard => 0.4,
            _ => 0.35,
        }
    }
}

/// One axis of a device, or its opposite: `"x"`, `"-y"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignedAxis {
    /// 0 x, 1 y, 2 z.
    pub axis: usize,
    /// Negated?
    pub negative: bool,
}

impl SignedAxis {
    /// x, y, z unchanged.
    pub const STRAIGHT: [SignedAxis; 3] = [
        SignedAxis { axis: 0, negative: false },
        SignedAxis { axis: 1, negative: false },
        SignedAxis { axis: 2, negative: false },
    ];

    /// This axis of a vector.
    pub fn of(self, vector: [f64; 3]) -> f64 {
        if self.negative { -vector[self.axis] } else { vector[self.axis] }
    }
}

impl TryFrom<String> for SignedAxis {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (negative, name) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(&text)),
        };
        let axis = ["x", "y", "z"].iter().position(|axis| *axis == name);
        Ok(Self {
            axis: axis.ok_or_else(|| format!("{text:?} is not an axis; write x, y, z, -x, -y or -z"))?,
            negative,
        })
    }
}

impl From<SignedAxis> for String {
    fn from(axis: SignedAxis) -> String {
        format!("{}{}", if axis.negative { "-" } else { "" }, ["x", "y", "z"][axis.axis])
    }
}

/// Frame in which a deflection moves the tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MotionFrame {
    /// The arm's base: forward is away from the base, independent of the tool's orientation.
    #[default]
    Base,
    /// The tool: forward is where the fingers point.
    Tool,
}

/// Where an operator with a tracked hand stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// In front of the arm, looking at it: the way Bridge's demonstrations were made.
    #[default]
    Facing,
    /// Behind the arm, looking where it looks.
    Behind,
}

impl Default for TeleopSetting {
    fn default() -> Self {
        Self {
            device: DeviceKind::default(),
            speed: 0.15,
            turn: 0.8,
            scale: 1.0,
            axes: SignedAxis::STRAIGHT,
            turn_axes: SignedAxis::STRAIGHT,
            frame: MotionFrame::default(),
            deadzone: 0.08,
            timeout: None,
            stand: Stand::default(),
            path: None,
            address: None,
            serial: None,
            topic: None,
        }
    }
}

impl TeleopSetting {
    /// The time-out in force \[s\].
    pub fn timeout(&self) -> f64 {
        self.timeout.unwrap_or(self.device.usual_timeout())
    }

    pub(super) fn check(&self, path: &Path, policy_rate_hz: f64) -> Result<(), ConfigError> {
        let least = 1.1 / policy_rate_hz;
        let limits = [
            ("speed", self.speed, 0.0, 1.0, "m/s; 0.15 is calm"),
            ("turn", self.turn, 0.0, 4.0, "rad/s; 0.8 is calm"),
            ("scale", self.scale, 0.0, 5.0, "; 1 moves the tool as far as the hand"),
        ];
        for (key, value, low, high, unit) in limits {
            // Written so that NaN fails it.
            if !(value > low && value <= high) {
                return Err(ConfigError::unfit(
                    path,
                    format!("teleop.{key}"),
                    value,
                    format!("more than {low} and at most {high} {unit}"),
                    "leave the key out for the default",
                ));
            }
        }
        if !(self.deadzone >= 0.0 && self.deadzone < 0.9) {
            return Err(ConfigError::unfit(
                path,
                "teleop.deadzone",
                self.deadzone,
                "0 to less than 0.9",
                "0.08 hides a worn stick",
            ));
        }
        if let Some(timeout) = self.timeout
            && !(timeout >= least && timeout <= 2.0)
        {
            return Err(ConfigError::unfit(
                path,
                "teleop.timeout",
                timeout,
                format!("{least:.2} s (a policy period and a tenth) to 2 s"),
                "leave the key out, or raise policy.rate_hz for a quicker stop",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str) -> Result<TeleopSetting, String> {
        let setting: TeleopSetting = toml::from_str(text).map_err(|error| error.to_string())?;
        setting.check(Path::new("launch/test.toml"), 5.0).map_err(|error| error.to_string())?;
        Ok(setting)
    }

    #[test]
    fn axes_are_read_with_their_sign_and_written_back() {
        let setting = setting("device = \"spacemouse\"\naxes = [\"-y\", \"x\", \"+z\"]").unwrap();
        assert_eq!(setting.axes.map(|axis| axis.of([1.0, 2.0, 3.0])), [-2.0, 1.0, 3.0]);
        let again: TeleopSetting = toml::from_str(&toml::to_string(&setting).unwrap()).unwrap();
        assert_eq!(again, setting);
    }

    #[test]
    fn invalid_values_are_refused_by_name() {
        for (text, named) in [
            ("device = \"mind\"", "mind"),
            ("speed = nan", "teleop.speed"),
            ("turn = 0.0", "teleop.turn"),
            ("deadzone = 0.95", "teleop.deadzone"),
            ("timeout = 0.1", "teleop.timeout"),
            ("axes = [\"x\", \"y\", \"up\"]", "up"),
            ("sped = 1.0", "sped"),
        ] {
            let error = setting(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}

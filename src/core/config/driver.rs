//! `[fci]` and `[dynamixel]` of a launch file: settings that a driver sends to its arm's controller before torque.
//!
//! The drivers check the numbers against the manufacturer's limits.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Robot};

/// Settings for a Franka arm over FCI. Omitted keys get the driver's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FciSetting {
    /// Payload in addition to the end effector configured in Desk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// Contact torques per joint above which a contact is reported \[Nm\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_torque: Option<[f64; 7]>,
    /// Torques per joint above which the robot stops with a reflex \[Nm\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_torque: Option<[f64; 7]>,
    /// Forces and torques at the end effector above which a contact is reported \[N, Nm\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_force: Option<[f64; 6]>,
    /// Forces and torques at the end effector above which the robot stops with a reflex \[N, Nm\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_force: Option<[f64; 6]>,
    /// Stiffness of the robot's joint controller, for positions and velocities \[Nm/rad\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint_impedance: Option<[f64; 7]>,
}

/// A mass fixed to the flange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Mass \[kg\].
    pub mass: f64,
    /// Center of mass in the flange frame \[m\].
    pub center: [f64; 3],
    /// Inertia about the center of mass in the flange frame: xx, yy, zz, xy, xz, yz \[kg m2\].
    pub inertia: [f64; 6],
}

/// Settings for the WidowX's servos. Omitted keys get the driver's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DynamixelSetting {
    /// Compliance: the servos push with at most this share (0..1) of their stall torque. Default: full stiffness. If too
    /// small, the arm sinks; 0.5 carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yielding: Option<f64>,
}

/// Refuses a table of another arm's driver.
pub(super) fn check_for(
    path: &Path,
    robot: &Robot,
    fci: &FciSetting,
    dynamixel: &DynamixelSetting,
) -> Result<(), ConfigError> {
    let name = robot.identity.name.as_str();
    let rows = [
        ("fci", *fci == FciSetting::default() || matches!(name, "panda" | "fr3"), "panda or fr3"),
        ("dynamixel", *dynamixel == DynamixelSetting::default() || name == "widowx", "widowx"),
    ];
    for (key, fits, arms) in rows {
        if !fits {
            return Err(ConfigError::unfit(path, key, format!("robot = \"{name}\""), arms, "leave the table out"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_another_arm_and_unknown_keys_are_refused() {
        let root = Path::new(crate::CHECKOUT);
        let [widowx, panda] = ["widowx", "panda"].map(|name| Robot::load(root, name).unwrap());
        let path = Path::new("launch/a.toml");
        let (fci, none) = (FciSetting { joint_impedance: Some([2000.0; 7]), ..Default::default() }, Default::default());
        let yields = DynamixelSetting { yielding: Some(0.5) };
        check_for(path, &panda, &fci, &none).unwrap();
        check_for(path, &widowx, &FciSetting::default(), &yields).unwrap();
        let text = check_for(path, &widowx, &fci, &none).unwrap_err().to_string();
        assert!(text.contains("key `fci`") && text.contains("widowx") && text.contains("panda or fr3"), "{text}");
        let text = check_for(path, &panda, &fci, &yields).unwrap_err().to_string();
        assert!(text.contains("key `dynamixel`") && text.contains("panda"), "{text}");
        assert!(toml::from_str::<FciSetting>("payload = { mass = 1.0 }").is_err());
        assert!(toml::from_str::<FciSetting>("collision_torque = [1.0, 2.0]").is_err());
        assert!(toml::from_str::<DynamixelSetting>("stiffness = 1").is_err());
    }
}

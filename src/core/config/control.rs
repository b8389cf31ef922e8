//! `[control]` of a launch file: conversion of actions to commands at control rate.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::action::{ControlMode, MotionKind};

/// Conversion of actions to commands at control rate. Omitted keys get defaults that fit the arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSetting {
    /// Control law.
    pub law: ControlLaw,
    /// Minimum duration of a jerk-limited motion to an action's target, in policy periods: at 1 the arm arrives, at rest,
    /// when the next action comes; longer is smoother and later.
    pub horizon: f64,
    /// Joint stiffness of the impedance laws, chain order \[Nm/rad\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stiffness: Option<Vec<f64>>,
    /// Joint damping of the impedance laws, chain order \[Nm s/rad\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damping: Option<Vec<f64>>,
    /// Tool stiffness of `cartesian_impedance` along \[N/m\] and about \[Nm/rad\] the base axes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_stiffness: Option<[f64; 6]>,
    /// Tool damping of `cartesian_impedance` along \[N s/m\] and about \[Nm s/rad\] the base axes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_damping: Option<[f64; 6]>,
}

impl ControlSetting {
    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        if !(self.horizon >= 1.0 && self.horizon <= 10.0) {
            return Err(ConfigError::unfit(
                path,
                "control.horizon",
                self.horizon,
                "1 to 10 policy periods",
                "1.5 is smooth and half a period late",
            ));
        }
        let lists: [(&str, &[f64]); 4] = [
            ("stiffness", self.stiffness.as_deref().unwrap_or_default()),
            ("damping", self.damping.as_deref().unwrap_or_default()),
            ("tool_stiffness", self.tool_stiffness.as_ref().map_or(&[], |values| values)),
            ("tool_damping", self.tool_damping.as_ref().map_or(&[], |values| values)),
        ];
        for (key, list) in lists {
            for (i, value) in list.iter().enumerate() {
                // Written so that NaN fails it.
                if !(*value > 0.0 && *value <= 1e5) {
                    return Err(ConfigError::unfit(
                        path,
                        format!("control.{key}[{i}]"),
                        value,
                        "more than 0 and at most 100000",
                        "leave the key out for what fits the arm",
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Default for ControlSetting {
    fn default() -> Self {
        Self {
            law: ControlLaw::Interpolate,
            horizon: 1.5,
            stiffness: None,
            damping: None,
            tool_stiffness: None,
            tool_damping: None,
        }
    }
}

/// Control law between two actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlLaw {
    /// Joint positions on a straight line at constant speed over the policy period: Bridge's.
    #[default]
    Interpolate,
    /// Joint positions within the arm's velocity, acceleration and jerk limits.
    JerkLimited,
    /// Joint velocities that follow the target pose.
    Velocity,
    /// The policy's own joint torques.
    Torque,
    /// Joint torques: each joint a spring.
    JointImpedance,
    /// Joint torques: the tool on a spring.
    CartesianImpedance,
}

impl ControlLaw {
    /// The mode of its commands, in which the arm is activated.
    pub fn mode(self) -> ControlMode {
        match self {
            ControlLaw::Interpolate | ControlLaw::JerkLimited => ControlMode::Position,
            ControlLaw::Velocity => ControlMode::Velocity,
            ControlLaw::Torque | ControlLaw::JointImpedance | ControlLaw::CartesianImpedance => ControlMode::Torque,
        }
    }

    /// Does it take this kind of motion?
    pub fn takes(self, kind: MotionKind) -> bool {
        match kind {
            MotionKind::PoseChange | MotionKind::ToolPose | MotionKind::JointPositions => self != ControlLaw::Torque,
            MotionKind::JointVelocities => self == ControlLaw::Velocity,
            MotionKind::JointTorques => self == ControlLaw::Torque,
        }
    }

    /// Fix text: the law that a launch file needs for a policy's action kind.
    pub const CHOICE: &str = "set control.law in the launch file: `torque` for joint torques, `velocity` for joint velocities, \
                              any but `torque` for everything else";
}

impl std::fmt::Display for ControlLaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ControlLaw::Interpolate => "interpolate",
            ControlLaw::JerkLimited => "jerk_limited",
            ControlLaw::Velocity => "velocity",
            ControlLaw::Torque => "torque",
            ControlLaw::JointImpedance => "joint_impedance",
            ControlLaw::CartesianImpedance => "cartesian_impedance",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(text: &str) -> Result<ControlSetting, String> {
        let setting: ControlSetting = toml::from_str(text).map_err(|error| error.to_string())?;
        setting.check(Path::new("launch/test.toml")).map_err(|error| error.to_string())?;
        Ok(setting)
    }

    #[test]
    fn an_empty_control_table_is_the_law_of_the_shipped_policies() {
        let setting = control("").unwrap();
        assert_eq!((setting.law, setting.law.mode()), (ControlLaw::Interpolate, ControlMode::Position));
        let torque = control("law = \"joint_impedance\"\nstiffness = [600.0, 50.0]").unwrap();
        assert_eq!((torque.law.mode(), torque.stiffness), (ControlMode::Torque, Some(vec![600.0, 50.0])));
    }

    #[test]
    fn unknown_keys_laws_and_numbers_out_of_range_are_refused_by_name() {
        for (text, named) in [
            ("gain = 1.0", "gain"),
            ("law = \"magic\"", "magic"),
            ("horizon = 0.5", "control.horizon"),
            ("horizon = nan", "control.horizon"),
            ("damping = [1.0, -1.0]", "control.damping[1]"),
            ("tool_stiffness = [1.0, 1.0, nan, 1.0, 1.0, 1.0]", "control.tool_stiffness[2]"),
        ] {
            let error = control(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}

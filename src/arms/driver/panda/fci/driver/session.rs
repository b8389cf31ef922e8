//! A connected robot: opened, checked, configured; errors of franka-rs converted to ours.

use franka::{FciVersion, FrankaError, FrankaResult, JointVelocityLimitsConfig, RealtimeConfig, Robot, RobotMode};
use franka::{RobotOptions, RobotState, VersionPolicy};

use super::envelope::Envelope;
use super::report::{Report, names, obstacle, text};
use super::settings::{FciSettings, Model};
use crate::driver::ConnectError;

/// Time-out given to franka-rs for a connection \[s\].
const CONNECT_SECONDS: f64 = 1.0;

/// Cut-off at which the FER's own filters pass everything \[Hz\].
const NO_FILTER: f64 = 1000.0;

/// Opens a session. franka-rs raises the calling thread to the highest permitted real-time priority, so this runs on the FCI thread
/// only.
pub fn open(address: &str, model: Model) -> Result<Robot, ConnectError> {
    let version = match model {
        Model::Fer => FciVersion::V5,
        Model::Fr3 => FciVersion::V10,
    };
    let options =
        RobotOptions::new(RealtimeConfig::Ignore).with_version(VersionPolicy::Exact(version)).with_log_size(0);
    Robot::with_options(address, options).map_err(|error| connect_error(address, model, error))
}

/// Sends thresholds, stiffness, load and filters to the robot. Nothing moves.
///
/// Nothing is sent to a robot in a reflex: it takes no settings then, and there was no request to clear the reflex. Nothing is sent
/// either to a robot that is only watched.
pub fn set_up(robot: &Robot, address: &str, model: Model, settings: &FciSettings) -> Result<RobotState, ConnectError> {
    let say = |what: &str, error: FrankaError| setting_error(address, model, what, error);
    let state = robot.read_once().map_err(|error| connect_error(address, model, error))?;
    if state.robot_mode == RobotMode::Reflex {
        return Ok(state);
    }
    let report = Report::at_start(&state, visuomotor_core::time::Timestamp::ZERO);
    if let Some(fault) = obstacle(report.mode, report.errors) {
        return Err(unfit(address, model, "the robot", &text(fault), "idle", "do what is said, then connect again"));
    }
    if settings.watch_only {
        return Ok(state);
    }
    robot
        .set_collision_behavior_simple(
            settings.contact_torque,
            settings.collision_torque,
            settings.contact_force,
            settings.collision_force,
        )
        .map_err(|error| say("collision thresholds", error))?;
    robot.set_joint_impedance(settings.joint_impedance).map_err(|error| say("joint impedance", error))?;
    if let Some(load) = settings.load {
        robot.set_load(load.mass, load.center, load.inertia).map_err(|error| say("load", error))?;
    }
    if model == Model::Fer {
        // Ours are the only filters: behind the robot's own ones `q_d` would lag what was sent, and so would planning.
        robot
            .set_filters(NO_FILTER, NO_FILTER, NO_FILTER, NO_FILTER, NO_FILTER)
            .map_err(|error| say("filters", error))?;
    }
    Ok(state)
}

/// The speeds this robot allows along its joints' ranges.
pub fn envelope(robot: &Robot, address: &str, model: Model, settings: &FciSettings) -> Result<Envelope, ConnectError> {
    if model == Model::Fer {
        return Ok(Envelope::flat(&settings.motion));
    }
    let curve = robot
        .robot_model()
        .and_then(|urdf| JointVelocityLimitsConfig::from_urdf(&urdf))
        .map_err(|error| setting_error(address, model, "the robot's own model", error))?;
    Ok(Envelope::of_robot(&settings.motion, &curve))
}

/// Clears a reflex.
pub fn clear(robot: &Robot) -> FrankaResult<()> {
    robot.automatic_error_recovery()
}

fn unfit(address: &str, model: Model, what: &str, found: &str, expected: &str, fix: &str) -> ConnectError {
    ConnectError::Unfit {
        arm: model.robot().into(),
        link: address.into(),
        what: what.into(),
        found: found.into(),
        expected: expected.into(),
        fix: fix.into(),
    }
}

fn setting_error(address: &str, model: Model, what: &str, error: FrankaError) -> ConnectError {
    match error {
        FrankaError::Network(_) | FrankaError::Protocol(_) => connect_error(address, model, error),
        other => unfit(
            address,
            model,
            &format!("the reply to {what}"),
            &other.to_string(),
            "accepted",
            "look at the robot's lights and at Desk; if a value was refused, correct it in the settings",
        ),
    }
}

/// The error of a failed connection.
pub fn connect_error(address: &str, model: Model, error: FrankaError) -> ConnectError {
    let (arm, link) = (model.robot().to_string(), address.to_string());
    match error {
        FrankaError::IncompatibleVersion { server_version, .. } => {
            let (found, fix) = match Model::from_version(server_version) {
                Some(other) => (
                    format!("{server_version} ({other})"),
                    format!("choose robot = \"{}\", or connect the {model}", other.robot()),
                ),
                None => (server_version.to_string(), "update the robot's system image, or use an older one".into()),
            };
            ConnectError::Unfit {
                arm,
                link,
                what: "the version of the control interface".into(),
                found,
                expected: format!("{} ({model})", model.version()),
                fix,
            }
        }
        FrankaError::Network(cause) if cause.contains("imeout") || cause.contains("timed out") => {
            ConnectError::Silent {
                arm,
                link,
                who: "the control box".into(),
                seconds: CONNECT_SECONDS,
                fix: format!("check the cable, the address and that FCI is active in Desk ({cause})"),
            }
        }
        other => ConnectError::Link {
            arm,
            link,
            cause: other.to_string(),
            fix: "check the address, and that FCI is active in Desk and no other program uses it".into(),
        },
    }
}

/// The end of a motion as text.
pub fn end_text(error: &FrankaError, report: &Report) -> String {
    // franka-rs's text has further lines about errors and success rate: its first line is enough beside ours.
    let first = error.to_string();
    let first = first.lines().next().unwrap_or_default().to_string();
    format!("{first} [{}; success rate {:.2}]", names(report.last_errors | report.errors), report.success_rate)
}

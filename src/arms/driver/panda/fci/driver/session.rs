//! A connected robot: opened, checked, configured; errors of franka-rs converted to ours.

use franka::{FciVersion, FrankaError, FrankaResult, JointVelocityLimitsConfig, RealtimeConfig, Robot, RobotMode};
use franka::{RobotOptions, RobotState, VersionPolicy};

use super::envelope::Envelope;
use super::report::{Report, names, obstacle, text};
use super::settings::{FciSettings, Model};
use crate::driver::ConnectError;

/// Time-out given to franka-rs for a connection \[s\].
pub(super) const CONNECT_SECONDS: f64 = 1.0;

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

/// What to do with a control box whose FCI version is neither the FER's nor the FR3's newest. FR3 systems before 5.9 speak 6 to 9;
/// the arm says its version itself, and a system is changed in Desk.
fn other_system(version: u16, model: Model) -> String {
    let (fer, fr3) = (Model::Fer, Model::Fr3);
    let ours = format!("this program speaks {} ({fer}) and {} ({fr3}) only", fer.version(), fr3.version());
    if version > fr3.version() {
        return format!("{ours}: the control box's system is newer than this program; update this program");
    }
    if version > fer.version() {
        let choose =
            if model == Model::Fr3 { String::new() } else { format!(", and choose robot = \"{}\"", fr3.robot()) };
        return format!(
            "{ours}: an FR3 with a system before 5.9 speaks 6 to 9; update it in Desk's settings to 5.9.0 or \
             later{choose}"
        );
    }
    format!(
        "{ours}: a Panda with a system before 4.2 speaks less than 5; update it in Desk's settings to 4.2.1 or later"
    )
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
                None => (server_version.to_string(), other_system(server_version, model)),
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
        FrankaError::Network(cause) if cause.contains("refused") => ConnectError::Link {
            arm,
            link,
            cause,
            fix: "a computer is at this address and refuses: activate FCI in Desk (the menu beside the robot's name), end other \
                  programs that use it, or correct the address if it is not the control box's"
                .into(),
        },
        FrankaError::Network(cause) if cause.contains("imeout") || cause.contains("timed out") => {
            ConnectError::Silent {
                arm,
                link,
                who: "the control box".into(),
                seconds: CONNECT_SECONDS,
                fix: format!("nothing is at this address: check cable, power and the address ({cause})"),
            }
        }
        FrankaError::Network(cause) if cause.contains("No route") || cause.contains("nreachable") => ConnectError::Link {
            arm,
            link,
            cause,
            fix: "nothing is at this address: check the cable, this computer's own network address and the arm's".into(),
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(version: u16, model: Model) -> String {
        let error = FrankaError::IncompatibleVersion { server_version: version, library_version: model.version() };
        connect_error("172.16.0.2", model, error).to_string()
    }

    #[test]
    fn an_fr3_with_an_older_system_is_told_both_versions_and_what_to_do() {
        for version in 6..=9 {
            let said = refused(version, Model::Fr3);
            let both = format!("is {version}, expected 10 (Franka Research 3)");
            assert!(said.contains(&both) && said.contains("to 5.9.0 or later"), "{said}");
            assert!(!said.contains("choose robot"), "{said}");
            assert!(refused(version, Model::Fer).contains("choose robot = \"fr3\""));
        }
        assert!(refused(4, Model::Fer).contains("4.2.1"));
        assert!(refused(11, Model::Fr3).contains("newer than this program"));
    }

    #[test]
    fn nobody_there_is_told_from_a_refused_connection() {
        let said = |cause: &str| connect_error("10.0.0.1", Model::Fr3, FrankaError::Network(cause.into())).to_string();
        assert!(said("libfranka: Connection to FCI refused.").contains("a computer is at this address and refuses"));
        assert!(said("libfranka: Connection timeout.").contains("nothing is at this address"));
        assert!(
            said("libfranka: Connection error: No route to host (os error 113)").contains("nothing is at this address")
        );
    }
}

//! Which number of a state or an action is what. Start at [`Meaning::of`].

use std::collections::BTreeSet;
use std::path::Path;

use nalgebra::{UnitQuaternion, Vector3};

use super::parts::{Found, Numbers, found};
use super::{ActionKind, Frame, GripperForm, RotationForm, Scale, Statements};
use crate::exchange::ExchangeError;
use crate::exchange::error::{shown, source_error};
use visuomotor_core::geometry::{euler_from_rotation, rotation_from_euler};

/// The meaning of a data set's states and actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    state: Part,
    action: Part,
    kind: ActionKind,
    frame: Frame,
    /// Was the gripper's form stated, rather than known of the layout?
    gripper_stated: bool,
}

/// Where the parts of a pose with a gripper are among some numbers, and what they count.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    position: [usize; 3],
    turn: Vec<usize>,
    form: RotationForm,
    gripper: usize,
    gripper_form: GripperForm,
    scale: Scale,
}

/// A converted step: Bridge's state and action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Converted {
    /// x, y, z \[m\], roll, pitch, yaw \[rad\], gripper (0 closed .. 1 open).
    pub state: [f64; 7],
    /// The change of the state that was asked for, and the gripper's target.
    pub action: [f64; 7],
}

impl Meaning {
    /// Bridge's own: seven numbers each.
    pub fn bridge() -> Self {
        let part = Part {
            position: [0, 1, 2],
            turn: vec![3, 4, 5],
            form: RotationForm::EulerXyz,
            gripper: 6,
            gripper_form: GripperForm::OpenIsOne,
            scale: Scale::default(),
        };
        Self { state: part.clone(), action: part, kind: ActionKind::Delta, frame: Frame::Base, gripper_stated: false }
    }

    /// Settles the meaning of states and actions, or says which options would settle it. `info` is the file named in errors, `robot`
    /// the arm that it names. What was assumed, and from what, goes to `notes`.
    pub fn of(
        info: &Path,
        robot: Option<&str>,
        state: &Numbers<'_>,
        action: &Numbers<'_>,
        statements: &Statements,
        notes: &mut BTreeSet<String>,
    ) -> Result<Self, ExchangeError> {
        let found_state = found(info, state, statements.columns.as_ref(), "--columns")?;
        let found_action = found(info, action, statements.action_columns.as_ref(), "--action-columns")?;
        for (numbers, found) in [(state, &found_state), (action, &found_action)] {
            if !found.left_out.is_empty() {
                notes.insert(format!("{}: left out {}", numbers.key, found.left_out.join(", ")));
            }
        }
        let known = is_bridge(robot, state, action);
        if known {
            notes.insert(
                "states and actions: Bridge's, by the arm's name and the names x y z roll pitch yaw gripper".into(),
            );
        }
        let mut open = Vec::new();
        let action_kind = statements.action_kind.or(found_action.kind).or(known.then_some(ActionKind::Delta));
        if action_kind.is_none() {
            open.push(format!(
                "whether `{}` is a change of the pose or the pose to reach (--action-kind delta|absolute)",
                action.key
            ));
        }
        let mut form = |numbers: &Numbers<'_>, found: &Found| {
            let stated = statements.rotation.filter(|form| form.width() == found.turn.len());
            let form = stated.or(found.form);
            if form.is_none() {
                let names = named(numbers, &found.turn);
                open.push(format!("the rotation {names} of `{}` (--rotation euler-xyz|rotvec|...)", numbers.key));
            }
            form.unwrap_or(RotationForm::EulerXyz)
        };
        let forms = [form(state, &found_state), form(action, &found_action)];
        let mut gripper = |numbers: &Numbers<'_>, found: &Found, stated: Option<GripperForm>, option: &str| {
            let form = stated.or(found.gripper_form).or(known.then_some(GripperForm::OpenIsOne));
            if form.is_none() {
                let names = named(numbers, &[found.gripper]);
                open.push(format!(
                    "unit and sense of {names} of `{}` ({option} open-1|open-0|0..100|...)",
                    numbers.key
                ));
            }
            form.unwrap_or(GripperForm::OpenIsOne)
        };
        let grippers = [
            gripper(state, &found_state, statements.gripper, "--gripper"),
            gripper(action, &found_action, statements.action_gripper.or(statements.gripper), "--action-gripper"),
        ];
        if !open.is_empty() {
            let names = |numbers: &Numbers<'_>| match &numbers.names {
                Some(names) => shown(&names.join(" ")),
                None => format!("{} numbers without names", numbers.width),
            };
            let what = format!("{} ({}), {} ({})", state.key, names(state), action.key, names(action));
            let expected = format!("numbers whose meaning is certain; not said: {}", open.join("; "));
            let fix = "state these options, which the data set's description should tell; nothing is guessed";
            return Err(source_error(info, "features", what, expected, fix));
        }
        // All are settled: none was left open.
        let kind = action_kind.unwrap_or(ActionKind::Delta);
        let frame = statements.frame.unwrap_or_default();
        let state_scale = statements.state_scale.unwrap_or_default();
        let action_scale = statements.scale.unwrap_or(match kind {
            ActionKind::Delta => Scale::default(),
            ActionKind::Absolute => state_scale,
        });
        let part = |found: Found, form, gripper_form, scale| Part {
            position: found.position,
            turn: found.turn,
            form,
            gripper: found.gripper,
            gripper_form,
            scale,
        };
        let meaning = Self {
            state: part(found_state, forms[0], grippers[0], state_scale),
            action: part(found_action, forms[1], grippers[1], action_scale),
            kind,
            frame,
            gripper_stated: statements.gripper.is_some(),
        };
        if meaning != Self::bridge() || !known {
            notes.extend(meaning.words(state, action));
        }
        Ok(meaning)
    }

    /// What was taken for what.
    fn words(&self, state: &Numbers<'_>, action: &Numbers<'_>) -> [String; 2] {
        let part = |part: &Part| {
            let Scale { position, rotation } = part.scale;
            let scale = match part.scale == Scale::default() {
                true => String::new(),
                false => format!(", scaled by {position} (position) and {rotation} (rotation)"),
            };
            format!("rotation {}, gripper {}{scale}", part.form.name(), part.gripper_form.words())
        };
        let kind = match (self.kind, self.frame) {
            (ActionKind::Delta, Frame::Base) => "changes of the pose along the base's axes",
            (ActionKind::Delta, Frame::Tool) => "changes of the pose along the tool's axes, turned to the base's",
            (ActionKind::Absolute, _) => "poses to reach, from which the state was taken away",
        };
        [format!("{}: {}", state.key, part(&self.state)), format!("{}: {kind}; {}", action.key, part(&self.action))]
    }

    /// Was the gripper's form stated by whoever imports?
    pub fn gripper_is_stated(&self) -> bool {
        self.gripper_stated
    }

    /// Converts a step; `None` where the numbers stand for no rotation.
    pub fn convert(&self, state: &[f64], action: &[f64]) -> Option<Converted> {
        let (from, turn, state_gripper) = self.state.read(state)?;
        let [roll, pitch, yaw] = turn;
        let now = rotation_from_euler(roll, pitch, yaw);
        let (to, asked, gripper) = self.action.read(action)?;
        let (change, rotation) = match (self.kind, self.frame) {
            (ActionKind::Delta, Frame::Base) => (to, asked),
            (ActionKind::Delta, Frame::Tool) => {
                let turn = now * turn_of(asked) * now.inverse();
                (now * to, euler_from_rotation(&turn))
            }
            (ActionKind::Absolute, _) => (to - from, euler_from_rotation(&(turn_of(asked) * now.inverse()))),
        };
        let seven = |position: Vector3<f64>, [roll, pitch, yaw]: [f64; 3], gripper| {
            [position.x, position.y, position.z, roll, pitch, yaw, gripper]
        };
        Some(Converted { state: seven(from, turn, state_gripper), action: seven(change, rotation, gripper) })
    }
}

fn turn_of([roll, pitch, yaw]: [f64; 3]) -> UnitQuaternion<f64> {
    rotation_from_euler(roll, pitch, yaw)
}

impl Part {
    /// Position \[m\], roll, pitch, yaw \[rad\], gripper.
    fn read(&self, numbers: &[f64]) -> Option<(Vector3<f64>, [f64; 3], f64)> {
        let at = |index: usize| numbers.get(index).copied();
        let [x, y, z] = self.position;
        let position = Vector3::new(at(x)?, at(y)?, at(z)?) * self.scale.position;
        let turn: Option<Vec<f64>> = self.turn.iter().map(|index| at(*index)).collect();
        let scaled = match self.form {
            RotationForm::EulerXyz | RotationForm::RotationVector => self.scale.rotation,
            _ => 1.0,
        };
        let turn: Vec<f64> = turn?.into_iter().map(|number| number * scaled).collect();
        Some((position, self.form.euler(&turn)?, self.gripper_form.opening(at(self.gripper)?)))
    }
}

/// The names of some numbers, for a message.
fn named(numbers: &Numbers<'_>, places: &[usize]) -> String {
    let name = |place: &usize| match numbers.names.as_ref().and_then(|names| names.get(*place)) {
        Some(name) => shown(name),
        None => format!("#{place}"),
    };
    places.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// Bridge's own layout, as its converters to LeRobot write it: a WidowX, and plain names; the state may hold a filler.
fn is_bridge(robot: Option<&str>, state: &Numbers<'_>, action: &Numbers<'_>) -> bool {
    let widowx = robot.is_some_and(|robot| {
        let robot: String = robot.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        robot.contains("widowx") || robot.contains("wx250")
    });
    let plain = |numbers: &Numbers<'_>| {
        let names = numbers.names.iter().flatten().map(String::as_str).filter(|name| *name != "pad");
        names.eq(["x", "y", "z", "roll", "pitch", "yaw", "gripper"])
    };
    widowx && plain(state) && plain(action)
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;

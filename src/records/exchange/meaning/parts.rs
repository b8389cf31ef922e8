//! Which numbers of a state or an action are its position, rotation and gripper: by columns that were stated, or by names.

use std::collections::BTreeSet;
use std::path::Path;

use super::names::{Role, Turn, kind, role};
use super::{ActionKind, Column, Columns, GripperForm, RotationForm};
use crate::exchange::ExchangeError;
use crate::exchange::error::{shown, source_error};

/// One feature of a data set: its key, how many numbers it has, and their names.
pub struct Numbers<'a> {
    /// Key in `info.json`.
    pub key: &'a str,
    /// How many.
    pub width: usize,
    /// Their names, where they have any.
    pub names: Option<Vec<String>>,
}

/// A layout found in names, before what is missing is asked for.
pub(super) struct Found {
    pub position: [usize; 3],
    pub turn: Vec<usize>,
    pub form: Option<RotationForm>,
    pub gripper: usize,
    pub gripper_form: Option<GripperForm>,
    pub kind: Option<ActionKind>,
    pub left_out: Vec<String>,
}

/// The layout that the columns asked for, or else the names, give.
pub(super) fn found(
    info: &Path,
    numbers: &Numbers<'_>,
    columns: Option<&Columns>,
    option: &'static str,
) -> Result<Found, ExchangeError> {
    match columns {
        Some(columns) => by_columns(info, numbers, columns, option),
        None => by_names(info, numbers, option),
    }
}

fn by_columns(
    info: &Path,
    numbers: &Numbers<'_>,
    columns: &Columns,
    option: &'static str,
) -> Result<Found, ExchangeError> {
    let refuse = |found: String, expected: String| {
        let fix = "name each column as info.json does, or give its place, counted from 0";
        source_error(info, format!("{} ({option})", numbers.key), found, expected, fix)
    };
    let names = numbers.names.as_deref().unwrap_or_default();
    let mut places = Vec::new();
    for column in columns {
        let place = match column {
            Column::Index(place) => Some(*place).filter(|place| *place < numbers.width),
            Column::Name(name) => names.iter().position(|known| known == name),
        };
        let expected = || match names.is_empty() {
            true => format!("a place below {}", numbers.width),
            false => format!("one of {}", shown(&names.join(" "))),
        };
        places.push(place.ok_or_else(|| refuse(shown(&format!("{column:?}")), expected()))?);
    }
    let (turn, gripper) = match places.len() {
        7 | 8 | 10 => (places[3..places.len() - 1].to_vec(), places[places.len() - 1]),
        other => {
            let expected = "x, y, z, then 3, 4 or 6 numbers of the rotation, then the gripper".into();
            return Err(refuse(format!("{other} columns"), expected));
        }
    };
    let names: Vec<Role> =
        turn.iter().map(|place| names.get(*place).map_or(Role::Unknown, |name| role(name))).collect();
    let form = names.iter().enumerate().try_fold(None, |before, (index, role)| match role {
        Role::Turn(turn, axis) if *axis == index && before.is_none_or(|before| before == *turn) => Some(Some(*turn)),
        _ => None,
    });
    let form = match turn.len() {
        6 => Some(RotationForm::SixNumbers),
        _ => form.flatten().and_then(Turn::form),
    };
    Ok(Found {
        position: [places[0], places[1], places[2]],
        turn,
        form,
        gripper,
        gripper_form: None,
        kind: None,
        left_out: Vec::new(),
    })
}

fn by_names(info: &Path, numbers: &Numbers<'_>, option: &'static str) -> Result<Found, ExchangeError> {
    let refuse = |found: String, expected: &str| {
        let fix = match option {
            "--columns" => {
                "say which are the pose and the gripper with --columns X,Y,Z,ROTATION...,GRIPPER (names or places)"
            }
            _ => {
                "say which are the pose and the gripper with --action-columns X,Y,Z,ROTATION...,GRIPPER (names or places)"
            }
        };
        source_error(info, numbers.key, found, expected, fix)
    };
    let Some(names) = numbers.names.as_ref().filter(|names| names.len() == numbers.width) else {
        let found = match &numbers.names {
            Some(names) => format!("{} names for {} numbers", names.len(), numbers.width),
            None => format!("{} numbers without names", numbers.width),
        };
        return Err(refuse(found, "names that say which number is what"));
    };
    let all = || shown(&names.join(" "));
    let pose = "one x, y, z each, the numbers of one rotation, and one gripper";
    let mut position = [None; 3];
    let mut turns: Vec<(Turn, usize, usize)> = Vec::new();
    let (mut grippers, mut left_out) = (Vec::new(), Vec::new());
    for (place, name) in names.iter().enumerate() {
        match role(name) {
            Role::Position(axis) if position[axis].is_none() => position[axis] = Some(place),
            Role::Turn(turn, axis) => turns.push((turn, axis, place)),
            Role::Gripper(form) => grippers.push((place, form)),
            Role::Padding => left_out.push(format!("the filler `{}`", shown(name))),
            Role::Position(_) | Role::Other | Role::Unknown => return Err(refuse(all(), pose)),
        }
    }
    let ([Some(x), Some(y), Some(z)], [(gripper, gripper_form)]) = (position, grippers.as_slice()) else {
        return Err(refuse(all(), pose));
    };
    let Some((first, ..)) = turns.first().copied() else { return Err(refuse(all(), pose)) };
    turns.sort_by_key(|(_, axis, _)| *axis);
    let width = match first {
        Turn::Quaternion => 4,
        Turn::Six => 6,
        Turn::Euler | Turn::Vector | Turn::Three => 3,
    };
    let whole =
        turns.len() == width && turns.iter().enumerate().all(|(at, (turn, axis, _))| *turn == first && *axis == at);
    if !whole {
        return Err(refuse(all(), pose));
    }
    let kinds: BTreeSet<_> = names.iter().filter_map(|name| kind(name)).map(|kind| kind == ActionKind::Delta).collect();
    let kind = match kinds.iter().collect::<Vec<_>>()[..] {
        [true] => Some(ActionKind::Delta),
        [false] => Some(ActionKind::Absolute),
        _ => None,
    };
    Ok(Found {
        position: [x, y, z],
        turn: turns.into_iter().map(|(.., place)| place).collect(),
        form: first.form(),
        gripper: *gripper,
        gripper_form: *gripper_form,
        kind,
        left_out,
    })
}

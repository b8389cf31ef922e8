//! What the numbers of another program's states and actions mean, and their conversion to Bridge's.
//!
//! Three sources of meaning, in this order: what the person who imports states ([`Statements`]), what the names of the numbers
//! say ([`names`]), and what is known of a public layout ([`layout`]). What none of them settles is refused with the options that
//! would settle it. Whatever is settled is compared with physical bounds ([`bounds`]) and with the motion of the states
//! ([`motion`]) before an import counts as done.

mod bounds;
mod layout;
mod motion;
mod names;
mod parts;
mod rotation;

pub(super) use bounds::Bounds;
pub(super) use layout::{Converted, Meaning};
pub(super) use motion::MotionCheck;
pub(super) use parts::Numbers;
pub use rotation::RotationForm;

/// What an action's pose is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// The change of the tool's pose.
    Delta,
    /// The pose that the tool is to reach.
    Absolute,
}

/// The unit and the sense of a gripper's number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GripperForm {
    /// 0 closed .. 1 open, ours.
    OpenIsOne,
    /// 0 open .. 1 closed.
    OpenIsZero,
    /// 0 closed .. 100 open.
    Percent,
    /// -1 open .. 1 closed, as robosuite's actions.
    SignedOpenIsMinusOne,
    /// -1 closed .. 1 open.
    SignedOpenIsOne,
    /// Opening \[m\]; the number is the opening of a fully open gripper.
    Meters(f64),
}

impl GripperForm {
    /// 0 closed .. 1 open.
    fn opening(self, number: f64) -> f64 {
        match self {
            Self::OpenIsOne => number,
            Self::OpenIsZero => 1.0 - number,
            Self::Percent => number / 100.0,
            Self::SignedOpenIsMinusOne => (1.0 - number) / 2.0,
            Self::SignedOpenIsOne => (1.0 + number) / 2.0,
            Self::Meters(open) => number / open,
        }
    }

    /// In words.
    fn words(self) -> String {
        match self {
            Self::OpenIsOne => "0 closed .. 1 open".into(),
            Self::OpenIsZero => "0 open .. 1 closed".into(),
            Self::Percent => "0 closed .. 100 open".into(),
            Self::SignedOpenIsMinusOne => "-1 open .. 1 closed".into(),
            Self::SignedOpenIsOne => "-1 closed .. 1 open".into(),
            Self::Meters(open) => format!("meters, {open} open"),
        }
    }
}

/// The axes along which a change of the pose is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frame {
    /// The arm's base.
    #[default]
    Base,
    /// The tool.
    Tool,
}

/// A number of a state or an action, by its name or its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// Place, counted from 0.
    Index(usize),
    /// Name in `info.json`.
    Name(String),
}

/// The seven parts of a pose with a gripper, in order: x, y, z, the numbers of the rotation, the gripper.
pub type Columns = Vec<Column>;

/// Factors that make meters and radians of the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Meters per unit of position.
    pub position: f64,
    /// Radians per unit of rotation.
    pub rotation: f64,
}

impl Default for Scale {
    fn default() -> Self {
        Self { position: 1.0, rotation: 1.0 }
    }
}

/// What whoever imports states about the numbers; `None` where the source shall say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statements {
    /// `--action-kind`.
    pub action_kind: Option<ActionKind>,
    /// `--rotation`: of states and actions.
    pub rotation: Option<RotationForm>,
    /// `--gripper`: of states and actions.
    pub gripper: Option<GripperForm>,
    /// `--action-gripper`: of actions, where it differs from the states'.
    pub action_gripper: Option<GripperForm>,
    /// `--scale`: of actions.
    pub scale: Option<Scale>,
    /// `--state-scale`: of states, and of absolute actions.
    pub state_scale: Option<Scale>,
    /// `--frame`: of changes of the pose.
    pub frame: Option<Frame>,
    /// `--columns`: of states.
    pub columns: Option<Columns>,
    /// `--action-columns`: of actions.
    pub action_columns: Option<Columns>,
    /// `--without-motion-check`: actions are not compared with the motion of the states.
    pub without_motion_check: bool,
}

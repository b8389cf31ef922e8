//! The faults of rows in simulated time, the protections against each, and when each must have been noticed.

use visuomotor::action::ControlMode;
use visuomotor::protection::Protection;
use visuomotor::time::Timestamp;

/// The fault begins in the middle of a sway \[s\]...
pub const BEGIN: f64 = 1.9;
/// ... and lasts this long \[s\].
const LASTS: f64 = 1.2;
/// Time between two images of the made-up camera \[s\].
pub const IMAGE_PERIOD: f64 = 1.0 / 15.0;
/// Time between two decisions \[s\].
const POLICY_PERIOD: f64 = 0.2;
/// Maximum age of the image behind an action: the camera's bound and one policy period \[s\].
pub const ACTION_LIFE: f64 = 0.3 + POLICY_PERIOD;

/// The fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    CameraSilent,
    CameraFrozen,
    CameraRepeats,
    CameraBlack,
    CameraSaturated,
    CameraFlat,
    CameraWrongSize,
    CameraStampsBack,
    CameraStampsAhead,
    CameraLate,
    PolicyNan,
    PolicyInfinite,
    PolicyHuge,
    PolicyFar,
    PolicyWrongKind,
    PolicyFails,
    PolicyPanics,
    LoopsStall,
    WallClockForward,
    WallClockBack,
    StateNan,
    StateSilent,
    ArmBlocked,
    DiskFull,
}

impl Fault {
    pub const ALL: [Fault; 24] = [
        Fault::CameraSilent,
        Fault::CameraFrozen,
        Fault::CameraRepeats,
        Fault::CameraBlack,
        Fault::CameraSaturated,
        Fault::CameraFlat,
        Fault::CameraWrongSize,
        Fault::CameraStampsBack,
        Fault::CameraStampsAhead,
        Fault::CameraLate,
        Fault::PolicyNan,
        Fault::PolicyInfinite,
        Fault::PolicyHuge,
        Fault::PolicyFar,
        Fault::PolicyWrongKind,
        Fault::PolicyFails,
        Fault::PolicyPanics,
        Fault::LoopsStall,
        Fault::WallClockForward,
        Fault::WallClockBack,
        Fault::StateNan,
        Fault::StateSilent,
        Fault::ArmBlocked,
        Fault::DiskFull,
    ];

    pub fn words(self) -> &'static str {
        match self {
            Fault::CameraSilent => "camera silent",
            Fault::CameraFrozen => "camera frozen: one image under new stamps and numbers",
            Fault::CameraRepeats => "camera repeats an image under its old stamp",
            Fault::CameraBlack => "camera black",
            Fault::CameraSaturated => "camera saturated",
            Fault::CameraFlat => "camera shows one gray",
            Fault::CameraWrongSize => "camera changes its size",
            Fault::CameraStampsBack => "camera's stamps go back",
            Fault::CameraStampsAhead => "camera's stamps lie in the future",
            Fault::CameraLate => "every image comes 0.6 s late",
            Fault::PolicyNan => "policy returns NaN",
            Fault::PolicyInfinite => "policy returns infinity",
            Fault::PolicyHuge => "policy asks for 0.6 m at once",
            Fault::PolicyFar => "policy asks for 30 m at once",
            Fault::PolicyWrongKind => "policy returns actions of another kind",
            Fault::PolicyFails => "policy returns an error",
            Fault::PolicyPanics => "policy panics",
            Fault::LoopsStall => "the loops stand still for 2 s",
            Fault::WallClockForward => "the wall clock is set one hour forward",
            Fault::WallClockBack => "the wall clock is set one hour back",
            Fault::StateNan => "a joint position is NaN",
            Fault::StateSilent => "the driver reports silence",
            Fault::ArmBlocked => "the arm is blocked",
            Fault::DiskFull => "the disk is full",
        }
    }

    /// All protections against it, for the control row: if one backs up another, both.
    pub fn protections(self) -> &'static [Protection] {
        use Protection::*;
        match self {
            Fault::CameraSilent | Fault::CameraRepeats | Fault::CameraLate | Fault::CameraStampsBack => {
                &[ImageLiveness, ActionAge]
            }
            Fault::CameraFrozen
            | Fault::CameraBlack
            | Fault::CameraSaturated
            | Fault::CameraFlat
            | Fault::CameraWrongSize
            | Fault::CameraStampsAhead => &[ImageLiveness],
            // NaN fails every limit.
            Fault::PolicyNan | Fault::PolicyInfinite => {
                &[Finite, ActionBounds, Reach, JointPosition, JointVelocity, Torque, Workspace, Residual]
            }
            Fault::StateNan => &[Finite, StateCheck, JointPosition, JointVelocity, Torque, Workspace, Residual],
            Fault::PolicyHuge | Fault::PolicyFar => {
                &[ActionBounds, Reach, JointPosition, JointVelocity, Torque, Workspace, Residual]
            }
            Fault::PolicyWrongKind => &[ActionKind],
            Fault::PolicyFails | Fault::PolicyPanics | Fault::StateSilent => &[HoldAtTheEnd],
            Fault::LoopsStall => &[ActionAge],
            Fault::WallClockForward | Fault::WallClockBack => &[WallClock],
            Fault::ArmBlocked => &[Residual],
            Fault::DiskFull => &[Recording],
        }
    }

    /// Why the mode has no such row.
    pub fn left_out(self, mode: ControlMode) -> Option<&'static str> {
        (self == Fault::ArmBlocked && mode == ControlMode::Torque)
            .then_some("a torque has no place to run ahead of: the maker's collision thresholds decide")
    }

    /// Longest time from the fault until the arm must begin to stop \[s\].
    pub fn detection(self) -> f64 {
        match self {
            // Three periods without an image, or three equal images.
            Fault::CameraSilent | Fault::CameraFrozen | Fault::CameraRepeats => 3.0 * IMAGE_PERIOD + 0.02,
            // The next image shows it.
            Fault::CameraBlack
            | Fault::CameraSaturated
            | Fault::CameraFlat
            | Fault::CameraWrongSize
            | Fault::CameraStampsBack
            | Fault::CameraStampsAhead => IMAGE_PERIOD + POLICY_PERIOD,
            // The image in force grows old.
            Fault::CameraLate => ACTION_LIFE,
            // The next decision is refused; the previous one is followed until then.
            Fault::PolicyNan
            | Fault::PolicyInfinite
            | Fault::PolicyWrongKind
            | Fault::PolicyFails
            | Fault::PolicyPanics => POLICY_PERIOD,
            Fault::StateNan | Fault::StateSilent => 0.02,
            _ => f64::INFINITY,
        }
    }

    /// Does the arm keep moving within its limits? Then its distance is not judged.
    pub fn goes_on(self) -> bool {
        self.detection().is_infinite()
    }

    /// Must the arm's work continue unaffected?
    pub fn is_none_of_the_arms(self) -> bool {
        matches!(self, Fault::DiskFull | Fault::WallClockForward | Fault::WallClockBack)
    }

    /// How long it lasts \[s\].
    pub fn lasts(self) -> f64 {
        match self {
            // A command must run ahead of the arm before it is noticed.
            Fault::ArmBlocked => 2.5,
            // The next thing the loops do is what counts.
            Fault::LoopsStall => 3.0,
            _ => LASTS,
        }
    }

    /// Is it on at this moment?
    pub fn on(self, now: Timestamp) -> bool {
        (BEGIN..BEGIN + self.lasts()).contains(&now.as_secs_f64())
    }
}

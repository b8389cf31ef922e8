//! Protections that a fault test can switch off, to show that each of them matters.
//!
//! In every ordinary build [`Protection::is_on`] is the constant `true`. Only a build with the feature `fault-controls`,
//! which `cargo xtask faults` makes for its control rows and nothing else uses, reads the environment variable
//! `VISUOMOTOR_PROTECTION_OFF` (names separated by commas).

/// A protection with a control row in the fault matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// `epoll_wait` is repeated after a signal.
    EpollRetry,
    /// A stop ramps to rest although the arm's state is silent.
    BlindRamp,
    /// SIGHUP, SIGQUIT and SIGTERM hold the arm before the program ends.
    Signals,
    /// A program whose guard has ended holds.
    GuardWatch,
    /// A separate process stops the arm when this one has ended.
    Guard,
    /// Silence of the control thread causes a ramp to rest.
    CommandDeadline,
    /// A stale, non-finite or impossible state ends the motion.
    StateCheck,
    /// A packet of the servo bus with a wrong checksum is discarded.
    PacketCheck,
    /// Another publisher of commands ends the motion.
    SecondCommander,
    /// Images are checked for age, order, repetition and content.
    ImageLiveness,
    /// Actions expire with the image they were decided on.
    ActionAge,
    /// Missed control periods are counted against a budget.
    DeadlineBudget,
    /// Non-finite numbers stop the arm, wherever they occur.
    Finite,
    /// Actions are clipped to their bounds.
    ActionBounds,
    /// An action of a kind that the control law does not take is refused.
    ActionKind,
    /// A pose without an inverse-kinematics solution is not approached.
    Reach,
    /// Stamps are compared with the wall clock at the same time, so that setting the clock shifts no image.
    WallClock,
    /// Joint positions are kept within the braking distance of their limits.
    JointPosition,
    /// Joint speeds are limited.
    JointVelocity,
    /// Torques and their rates are limited.
    Torque,
    /// The tool stays inside its box and on its side of the planes, and no part of the arm hits another or the table.
    Workspace,
    /// A command that the arm does not follow is taken back.
    Residual,
    /// An arm that keeps moving against its command is stopped by its controller's services.
    Runaway,
    /// However a loop ends, the arm is commanded to hold.
    HoldAtTheEnd,
    /// A recording that fails does not end the motion.
    Recording,
}

impl Protection {
    /// Is it at work? Always, but in a control row of the fault matrix.
    #[cfg(not(feature = "fault-controls"))]
    #[inline(always)]
    pub const fn is_on(self) -> bool {
        true
    }

    /// Is it at work? Always, but in a control row of the fault matrix.
    #[cfg(feature = "fault-controls")]
    pub fn is_on(self) -> bool {
        use std::sync::OnceLock;
        static OFF: OnceLock<String> = OnceLock::new();
        let off = OFF.get_or_init(|| std::env::var("VISUOMOTOR_PROTECTION_OFF").unwrap_or_default());
        !off.split(',').any(|name| name == format!("{self:?}"))
    }
}

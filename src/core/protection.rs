//! The protections that a fault test can switch off, so that each of them is shown to matter.
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
    /// A program whose guard is gone holds.
    GuardWatch,
    /// A process of its own stops the arm when this one is gone.
    Guard,
    /// The control thread falling silent is answered by a ramp to rest.
    CommandDeadline,
    /// A state that is old, not finite or impossible ends the motion.
    StateCheck,
    /// A packet of the servo bus whose checksum is wrong is thrown away.
    PacketCheck,
    /// Another publisher of commands ends the motion.
    SecondCommander,
    /// Images are checked for age, order, repetition and content.
    ImageLiveness,
    /// Actions expire with the image they were decided on.
    ActionAge,
    /// Missed control periods are counted against a budget.
    DeadlineBudget,
    /// Numbers that are not finite stop the arm, and are gone by wherever they turn up.
    Finite,
    /// Actions are clipped to their bounds.
    ActionBounds,
    /// An action of a kind that the control law does not take is refused.
    ActionKind,
    /// A pose that inverse kinematics does not reach is not gone to.
    Reach,
    /// Stamps are compared with the wall clock as it is then, so that setting the clock moves no image.
    WallClock,
    /// Joint positions are kept within the braking distance of their limits.
    JointPosition,
    /// Joint speeds are limited.
    JointVelocity,
    /// Torques and their rates are limited.
    Torque,
    /// The tool stays inside its box, on its side of the planes, and no part of the arm meets another or the table.
    Workspace,
    /// A command that the arm does not follow is taken back.
    Residual,
    /// An arm that goes on although it is commanded otherwise is stopped by its controller's services.
    Runaway,
    /// Whatever way a loop ends, the arm is told to hold.
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

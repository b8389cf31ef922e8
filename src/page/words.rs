//! The safety filter's interventions as text.

use crate::episode::{Filtered, LimitReason};

/// `passed`, `limited` or `stopped`.
pub(super) fn word(filtered: Filtered) -> &'static str {
    match filtered {
        Filtered::Passed => "passed",
        Filtered::Limited(_) => "limited",
        Filtered::Stopped(_) => "stopped",
    }
}

/// The intervention as a sentence.
pub(super) fn sentence(filtered: Filtered) -> String {
    match filtered {
        Filtered::Passed => "Commands are sent as wished.".into(),
        Filtered::Limited(reason) => format!("Commands are changed: {}.", cause(reason)),
        Filtered::Stopped(reason) => format!("The arm holds: {}.", cause(reason)),
    }
}

fn cause(reason: LimitReason) -> &'static str {
    match reason {
        LimitReason::NotFinite => "a number was not finite",
        LimitReason::JointPosition => "a joint is at its position limit",
        LimitReason::JointVelocity => "a joint would be too fast",
        LimitReason::JointAcceleration => "a joint would accelerate too hard",
        LimitReason::JointJerk => "a joint would start too suddenly",
        LimitReason::JointTorque => "a joint's torque would be too large",
        LimitReason::JointTorqueRate => "a joint's torque would change too fast",
        LimitReason::ToolVelocity => "the tool would be too fast",
        LimitReason::Workspace => "the tool is at the edge of its workspace",
        LimitReason::Plane => "a part of the arm is at the table or a wall",
        LimitReason::SelfCollision => "two parts of the arm would meet",
        LimitReason::Residual => "a joint is blocked: it does not follow its command",
        LimitReason::CommandAge => "the newest action is too old",
        LimitReason::ImageAge => "the image behind the newest action is too old, or its camera is at fault",
        LimitReason::NoSolution => "no joint positions reach that pose",
        LimitReason::WrongAction => "the action is of a kind this control law does not take",
        LimitReason::Deadlines => "too many deadlines were missed",
        LimitReason::Paused => "the run is paused, or changes hands",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_says_that_the_arm_holds_and_why() {
        let stopped = Filtered::Stopped(LimitReason::CommandAge);
        assert_eq!(word(stopped), "stopped");
        assert_eq!(sentence(stopped), "The arm holds: the newest action is too old.");
    }
}

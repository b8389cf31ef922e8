//! `action_msgs`, `unique_identifier_msgs`, and the five messages an action is made of.
//!
//! An action `/a` is three services (`/a/_action/send_goal`, `cancel_goal`, `get_result`) and two topics
//! (`/a/_action/feedback`, `status`).

use serde::{Deserialize, Serialize};

use super::array::Array;
use super::builtin::Time;
use crate::transport::ros2::message::ros_messages;

/// Names the package, type and parts of actions.
macro_rules! ros_actions {
    ($package:literal: $($(#[$doc:meta])* $action:ident($goal:ty, $result:ty, $feedback:ty)),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $action;
            impl $crate::transport::ros2::RosAction for $action {
                const PACKAGE: &'static str = $package;
                const NAME: &'static str = stringify!($action);
                type Goal = $goal;
                type Result = $result;
                type Feedback = $feedback;
            }
        )+
    };
}
pub(super) use ros_actions;

/// `unique_identifier_msgs/msg/UUID`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Uuid {
    /// 16 bytes.
    pub uuid: Array<u8, 16>,
}

/// `action_msgs/msg/GoalInfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoalInfo {
    /// Which goal.
    pub goal_id: Uuid,
    /// When it was accepted, by the server's clock.
    pub stamp: Time,
}

/// `action_msgs/msg/GoalStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoalStatus {
    /// Which goal.
    pub goal_info: GoalInfo,
    /// One of the constants, code.
    pub status: i8,
}

impl GoalStatus {
    /// Being worked on.
    pub const EXECUTING: i8 = 2;
    /// Reached.
    pub const SUCCEEDED: i8 = 4;
    /// Given up by request.
    pub const CANCELED: i8 = 5;
    /// Given up by the server.
    pub const ABORTED: i8 = 6;
}

/// `action_msgs/msg/GoalStatusArray`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoalStatusArray {
    /// Goals known.
    pub status_list: Vec<GoalStatus>,
}

ros_messages!("action_msgs": GoalInfo, GoalStatus, GoalStatusArray);

/// `..._SendGoal_Request`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SendGoalRequest<G> {
    /// Chosen by the client.
    pub goal_id: Uuid,
    /// The goal.
    pub goal: G,
}

/// `..._SendGoal_Response`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SendGoalResponse {
    /// Will it be tried?
    pub accepted: bool,
    /// When, by the server's clock.
    pub stamp: Time,
}

/// `..._GetResult_Request`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GetResultRequest {
    /// Which goal.
    pub goal_id: Uuid,
}

/// `..._GetResult_Response`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GetResultResponse<R> {
    /// As in [`GoalStatus`], code.
    pub status: i8,
    /// What came of it.
    pub result: R,
}

/// `..._FeedbackMessage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedbackMessage<F> {
    /// Which goal.
    pub goal_id: Uuid,
    /// How it stands.
    pub feedback: F,
}

/// `action_msgs/srv/CancelGoal_Request`: zero id and stamp is all goals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CancelGoalRequest {
    /// Which goal.
    pub goal_info: GoalInfo,
}

/// `action_msgs/srv/CancelGoal_Response`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CancelGoalResponse {
    /// 0 done, 1 refused, 2 unknown goal, 3 goal already ended, code.
    pub return_code: i8,
    /// Goals that are being given up.
    pub goals_canceling: Vec<GoalInfo>,
}

//! Stopping the servos by the node's service for registers: another way than the command topic, and one that does not depend on
//! what the topic's numbers mean. `Goal_Velocity` of zero stops a servo in velocity mode and is of no effect in any other; it
//! takes no torque, and the servos are written one after the other (about 0.1 s at the USB adapter's 16 ms latency).

use std::time::Duration;

use crate::driver::widowx::xs_sdk::wire::ARM;
use crate::transport::ros2::messages::interbotix::{RegisterValues, RegisterValuesRequest};
use crate::transport::ros2::{RepeatedRequest, RosClient, RosError, RosNode};
use visuomotor_core::time::Timestamp;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A stop by service: begun once, then looked after until it is answered. No method waits.
pub(super) struct ServiceStop {
    set: RosClient<RegisterValues>,
    /// Since when; none while nothing is to be stopped.
    began: Option<Timestamp>,
    request: RepeatedRequest,
}

impl ServiceStop {
    /// By this node.
    pub fn of(node: &RosNode) -> Result<Self, RosError> {
        Ok(Self { set: node.client("set_motor_registers")?, began: None, request: RepeatedRequest::default() })
    }

    /// Waits until the node serves it.
    pub fn wait_for_server(&self, patience: Duration) -> Result<(), RosError> {
        self.set.wait_for_server(patience)
    }

    /// From now on.
    pub fn begin(&mut self, now: Timestamp) {
        (self.began, self.request) = (Some(now), RepeatedRequest::default());
    }

    /// Asks, or asks again, or takes the answer; says in the log what became of it.
    pub fn go_on(&mut self, now: Timestamp) {
        let Some(began) = self.began else { return };
        let request = || RegisterValuesRequest {
            cmd_type: "group".into(),
            name: ARM.into(),
            reg: "Goal_Velocity".into(),
            value: 0,
        };
        if self.request.go_on(&self.set, request, |_| true).is_some() {
            tracing::warn!("widowx: its servos were stopped by service; its states show whether they stand");
            self.began = None;
        } else if now.since(began) > PATIENCE {
            tracing::error!(
                "widowx: its node did not reply within {} s: it could not be stopped by service",
                PATIENCE.as_secs()
            );
            self.began = None;
        }
    }
}

//! Stopping the servos by the node's service for registers: a second path besides the command topic, independent of the meaning of
//! the topic's numbers. A `Goal_Velocity` of zero stops a servo in velocity mode and has no effect in any other. It removes no
//! torque. The servos are written one after the other (about 0.1 s at the USB adapter's 16 ms latency).

use std::time::Duration;

use crate::driver::widowx::xs_sdk::wire::ARM;
use crate::transport::ros2::messages::interbotix::{RegisterValues, RegisterValuesRequest};
use crate::transport::ros2::{RepeatedRequest, RosClient, RosError, RosNode};
use visuomotor_core::time::Timestamp;

/// Time-out of a reply.
const PATIENCE: Duration = Duration::from_secs(2);

/// A stop by service: started once, then polled until it is confirmed. No method waits.
pub(super) struct ServiceStop {
    set: RosClient<RegisterValues>,
    /// Start of the stop; `None` while nothing is to be stopped.
    began: Option<Timestamp>,
    request: RepeatedRequest,
}

impl ServiceStop {
    /// For this node.
    pub fn of(node: &RosNode) -> Result<Self, RosError> {
        Ok(Self { set: node.client("set_motor_registers")?, began: None, request: RepeatedRequest::default() })
    }

    /// Waits until the node serves it.
    pub fn wait_for_server(&self, patience: Duration) -> Result<(), RosError> {
        self.set.wait_for_server(patience)
    }

    /// Starts the stop.
    pub fn begin(&mut self, now: Timestamp) {
        (self.began, self.request) = (Some(now), RepeatedRequest::default());
    }

    /// Sends or repeats the request, or takes the reply; logs the result.
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

//! Stopping the servos by the node's service for registers: another way than the command topic, and one that does not depend on
//! what the topic's numbers mean. `Goal_Velocity` of zero stops a servo in velocity mode and is of no effect in any other; it
//! takes no torque, and the servos are written one after the other (about 0.1 s at the USB adapter's 16 ms latency).

use std::time::Duration;

use crate::driver::widowx::wire::xs_sdk::ARM;
use crate::time::Timestamp;
use crate::transport::ros2::messages::interbotix::{RegisterValues, RegisterValuesRequest};
use crate::transport::ros2::{Asked, RosClient, RosError, RosNode};

/// How often the node is asked again while it does not answer.
const AGAIN: Duration = Duration::from_millis(300);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A stop by service: begun once, then looked after until it is answered. No method waits.
pub(super) struct ServiceStop {
    set: RosClient<RegisterValues>,
    /// When it began, and when and whether it was asked last; none while nothing is to be stopped.
    under_way: Option<UnderWay>,
}

#[derive(Clone, Copy)]
struct UnderWay {
    began: Timestamp,
    asked: Option<(Option<Asked>, Timestamp)>,
}

impl ServiceStop {
    /// By this node.
    pub fn of(node: &RosNode) -> Result<Self, RosError> {
        Ok(Self { set: node.client("set_motor_registers")?, under_way: None })
    }

    /// Does somebody serve it?
    pub fn available(&self) -> bool {
        self.set.available()
    }

    /// Absolute name of the service.
    pub fn service(&self) -> &str {
        self.set.service()
    }

    /// From now on.
    pub fn begin(&mut self, now: Timestamp) {
        self.under_way = Some(UnderWay { began: now, asked: None });
    }

    /// Asks, or asks again, or takes the answer; says in the log what became of it.
    pub fn go_on(&mut self, now: Timestamp) {
        let Some(mut way) = self.under_way else { return };
        if let Some((asked, at)) = way.asked {
            let answer = asked.and_then(|asked| self.set.answer(asked).ok().flatten());
            if answer.is_some() {
                tracing::warn!(
                    "widowx: its servos were told by service to stand still; its states show whether they do"
                );
                self.under_way = None;
                return;
            }
            if now.since(way.began) > PATIENCE {
                tracing::error!(
                    "widowx: its node did not answer within {} s: it could not be stopped by service",
                    PATIENCE.as_secs()
                );
                self.under_way = None;
                return;
            }
            if now.since(at) < AGAIN {
                return;
            }
        }
        let request =
            RegisterValuesRequest { cmd_type: "group".into(), name: ARM.into(), reg: "Goal_Velocity".into(), value: 0 };
        // Nobody there, or the request could not be sent: asked again.
        way.asked = Some((self.set.ask(request).ok().flatten(), now));
        self.under_way = Some(way);
    }
}

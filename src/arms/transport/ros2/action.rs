//! Actions: goals that take time. A goal is awaited with a deadline and canceled when it passes.

use std::time::{Duration, Instant};

use ros2_client::action::{
    ActionClientQosPolicies, ActionServerQosPolicies, AsyncActionServer, GoalEndStatus, GoalStatusEnum,
};
use ros2_client::builtin_interfaces::Time;
use ros2_client::{ActionClient, ActionTypeName};

use super::client::Body;
use super::node::{RosNode, created, named};
use super::server::RosServer;
use super::wait::{poll_once, wait_for};
use super::{Qos, RosAction, RosError};

type Inner<A> =
    ActionClient<Body<<A as RosAction>::Goal>, Body<<A as RosAction>::Result>, Body<<A as RosAction>::Feedback>>;

/// Sends goals of one action.
pub struct RosActionClient<A: RosAction> {
    inner: Inner<A>,
    node: RosNode,
    action: String,
}

/// How an action server ends a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionEnd {
    /// The goal was reached.
    Succeeded,
    /// It was not.
    Aborted,
}

/// How often the server's presence is checked.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl RosNode {
    /// Sends goals of an action; the name is resolved by the settings.
    pub fn action_client<A: RosAction>(&self, action: &str) -> Result<RosActionClient<A>, RosError> {
        let action = self.settings().resolve(action);
        let service = Qos::Reliable.publisher();
        let qos = ActionClientQosPolicies {
            goal_service: service.clone(),
            result_service: service.clone(),
            cancel_service: service,
            feedback_subscription: Qos::Reliable.subscriber(),
            status_subscription: Qos::Latched.subscriber(),
        };
        let kind = ActionTypeName::new(A::PACKAGE, A::NAME);
        let inner = self.with(|node| {
            node.create_action_client(self.settings().services.mapping(), &named(&action)?, &kind, qos)
                .map_err(|error| created(format!("client of {action}"), error))
        })?;
        Ok(RosActionClient { inner, node: self.clone(), action })
    }

    /// Serves an action on a thread of its own until the returned server is dropped, one goal after the other: `accept` checks a
    /// goal, `run` executes it and may take its time. The name is resolved by the settings.
    pub fn serve_action<A: RosAction>(
        &self,
        action: &str,
        mut accept: impl FnMut(&A::Goal) -> bool + Send + 'static,
        mut run: impl FnMut(A::Goal) -> (ActionEnd, A::Result) + Send + 'static,
    ) -> Result<RosServer, RosError> {
        let action = self.settings().resolve(action);
        let service = Qos::Reliable.publisher();
        let qos = ActionServerQosPolicies {
            goal_service: service.clone(),
            result_service: service.clone(),
            cancel_service: service,
            feedback_publisher: Qos::Reliable.publisher(),
            status_publisher: Qos::Latched.publisher(),
        };
        let kind = ActionTypeName::new(A::PACKAGE, A::NAME);
        let made = self.with(|node| {
            node.create_action_server::<Body<A::Goal>, Body<A::Result>, Body<A::Feedback>>(
                self.settings().services.mapping(),
                &named(&action)?,
                &kind,
                qos,
            )
            .map_err(|error| created(format!("server of {action}"), error))
        })?;
        let (server, node) = (AsyncActionServer::new(made), self.clone());
        RosServer::spawn(action.clone(), move |stop| {
            let _node = node;
            while !stop() {
                let one = async {
                    let Ok(new) = server.receive_new_goal().await else { return };
                    let Some(Body(goal)) = server.get_new_goal(new.clone()) else { return };
                    if !accept(&goal) {
                        let _ = server.reject_goal(new).await;
                        return;
                    }
                    let Ok(accepted) = server.accept_goal(new).await else { return };
                    let Ok(executing) = server.start_executing_goal(accepted).await else { return };
                    let (end, result) = run(goal);
                    let end = match end {
                        ActionEnd::Succeeded => GoalEndStatus::Succeeded,
                        ActionEnd::Aborted => GoalEndStatus::Aborted,
                    };
                    if let Err(error) = server.send_result_response(executing, end, Body(result)).await {
                        tracing::warn!("{action}: a result could not be sent: {error:?}");
                    }
                };
                wait_for(one, None, stop);
            }
        })
    }
}

impl<A: RosAction> RosActionClient<A> {
    /// Absolute name of the action.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Is there a server?
    pub fn available(&self) -> bool {
        self.node
            .with(|node| {
                Ok(poll_once(self.inner.goal_client().wait_for_service(node)).is_some()
                    && poll_once(self.inner.result_client().wait_for_service(node)).is_some())
            })
            .unwrap_or(false)
    }

    /// Sends a goal and waits for its result; when `timeout` passes the goal is canceled.
    pub fn execute(&mut self, goal: A::Goal, timeout: Duration) -> Result<A::Result, RosError> {
        let deadline = Instant::now() + timeout;
        while !self.available() {
            if Instant::now() >= deadline {
                return Err(RosError::NoPeer {
                    what: format!("serves the action {} ({}/{})", self.action, A::PACKAGE, A::NAME),
                    seconds: timeout.as_secs_f64(),
                    fix: "start the node that serves it, with the same RMW_IMPLEMENTATION as here".into(),
                });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let unanswered = || RosError::Unanswered {
            service: self.action.clone(),
            seconds: timeout.as_secs_f64(),
            fix: "the goal was canceled: is the node busy or hung?".into(),
        };
        let failed = |cause: String| RosError::Receive { topic: self.action.clone(), cause };
        let (id, response) = wait_for(self.inner.async_send_goal(Body(goal)), Some(deadline), || false)
            .ok_or_else(unanswered)?
            .map_err(|error| failed(error.to_string()))?;
        if !response.accepted {
            return Err(RosError::Goal {
                action: self.action.clone(),
                found: "that it does not accept the goal".into(),
                fix: "is the goal within its limits, and no other goal under way?".into(),
            });
        }
        let Some(ended) = wait_for(self.inner.async_request_result(id), Some(deadline), || false) else {
            let grace = Some(Instant::now() + Duration::from_millis(500));
            // The server may be gone: the error to report is the missing result.
            let _ = wait_for(self.inner.async_cancel_goal(id, Time::ZERO), grace, || false);
            return Err(unanswered());
        };
        match ended.map_err(|error| failed(error.to_string()))? {
            (GoalStatusEnum::Succeeded, Body(result)) => Ok(result),
            (status, _) => Err(RosError::Goal {
                action: self.action.clone(),
                found: format!("{status:?}"),
                fix: "its node's log says why".into(),
            }),
        }
    }
}

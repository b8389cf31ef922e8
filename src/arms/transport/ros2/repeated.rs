//! A request that is repeated until its response is good. Nothing here waits.

use std::time::{Duration, Instant};

use super::client::{PendingRequest, RosClient};
use super::message::RosService;

/// How long a response may take before the request is sent again.
const AGAIN: Duration = Duration::from_millis(300);

/// The pending request, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepeatedRequest {
    /// `None` for the request: there was no server, or it could not be sent.
    sent: Option<(Option<PendingRequest>, Instant)>,
}

impl RepeatedRequest {
    /// Sends the request, takes its response, or sends it again; returns the first response that is `good`.
    pub fn go_on<S: RosService>(
        &mut self,
        service: &RosClient<S>,
        request: impl FnOnce() -> S::Request,
        good: impl FnOnce(&S::Response) -> bool,
    ) -> Option<S::Response> {
        if let Some((request, at)) = self.sent {
            let answer = request.and_then(|request| service.response(request).ok().flatten());
            if answer.as_ref().is_some_and(good) {
                self.sent = None;
                return answer;
            }
            if at.elapsed() < AGAIN {
                return None;
            }
        }
        self.sent = Some((service.send_request(request()).ok().flatten(), Instant::now()));
        None
    }

    /// Is it pending without a good response yet?
    pub fn is_pending(&self) -> bool {
        self.sent.is_some()
    }
}

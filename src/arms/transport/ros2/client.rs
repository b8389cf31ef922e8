//! Calling services. A call waits, so it is for connecting, activating and recovering, never for the control thread.

use std::time::{Duration, Instant};

use ros2_client::Client;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::node::RosNode;
use super::wait::{poll_once, wait_for};
use super::{RosError, RosService};
use crate::transport::loss;

/// Wraps any struct as ros2-client requires for requests and responses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Body<T>(pub T);

impl<T: Serialize + DeserializeOwned> ros2_client::Message for Body<T> {}

/// Calls one service.
pub struct RosClient<S: RosService> {
    inner: Client<Body<S::Request>, Body<S::Response>>,
    node: RosNode,
    service: String,
}

/// A pending request.
#[derive(Clone, Copy, Debug)]
pub struct PendingRequest(ros2_client::RmwRequestId);

/// How often the server's presence is checked.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl<S: RosService> RosClient<S> {
    pub(super) fn new(inner: Client<Body<S::Request>, Body<S::Response>>, node: RosNode, service: String) -> Self {
        Self { inner, node, service }
    }

    /// Absolute name of the service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Is there a server?
    pub fn available(&self) -> bool {
        !loss::network_is_lost()
            && self.node.with(|node| Ok(poll_once(self.inner.wait_for_service(node)).is_some())).unwrap_or(false)
    }

    /// Sends a request without waiting; the response is picked up with [`RosClient::response`]. `None` without a server.
    pub fn send_request(&self, request: S::Request) -> Result<Option<PendingRequest>, RosError> {
        if !self.available() {
            return Ok(None);
        }
        let sent = self.inner.send_request(Body(request));
        sent.map(|id| Some(PendingRequest(id)))
            .map_err(|error| RosError::Send { topic: self.service.clone(), cause: error.to_string() })
    }

    /// The response to the request, if it came.
    pub fn response(&self, request: PendingRequest) -> Result<Option<S::Response>, RosError> {
        match poll_once(self.inner.async_receive_response(request.0)) {
            None => Ok(None),
            Some(_) if loss::network_is_lost() => Ok(None),
            Some(Ok(Body(answer))) => Ok(Some(answer)),
            Some(Err(error)) => Err(RosError::Receive { topic: self.service.clone(), cause: error.to_string() }),
        }
    }

    /// Waits for a server to appear.
    pub fn wait_for_server(&self, patience: Duration) -> Result<(), RosError> {
        let deadline = Instant::now() + patience;
        while !self.available() {
            if Instant::now() >= deadline {
                return Err(RosError::NoPeer {
                    what: format!("serves {} ({}/{})", self.service, S::PACKAGE, S::NAME),
                    seconds: patience.as_secs_f64(),
                    fix: "start the node that serves it, with the same RMW_IMPLEMENTATION as here".into(),
                });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Sends a request and waits for the response; the time-out includes waiting for a server to appear.
    pub fn call(&mut self, request: S::Request, timeout: Duration) -> Result<S::Response, RosError> {
        let deadline = Instant::now() + timeout;
        self.wait_for_server(timeout)?;
        let request = self
            .inner
            .send_request(Body(request))
            .map_err(|error| RosError::Send { topic: self.service.clone(), cause: error.to_string() })?;
        match wait_for(self.inner.async_receive_response(request), Some(deadline), || false) {
            Some(Ok(Body(answer))) => Ok(answer),
            Some(Err(error)) => Err(RosError::Receive { topic: self.service.clone(), cause: error.to_string() }),
            None => Err(RosError::Unanswered {
                service: self.service.clone(),
                seconds: timeout.as_secs_f64(),
                fix: "is its node busy or hung? RMW_IMPLEMENTATION must be the same as here".into(),
            }),
        }
    }
}

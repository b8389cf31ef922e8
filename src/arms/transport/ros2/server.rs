//! Serving services and actions, each on a thread of its own that ends when the server is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use ros2_client::Server;

use super::client::Body;
use super::node::RosNode;
use super::wait::wait_for;
use super::{RosError, RosService};

/// Serves until it is dropped.
pub struct RosServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RosServer {
    /// Runs `work` on a thread of its own; it must return soon after its argument returns true.
    pub(super) fn spawn(name: String, work: impl FnOnce(&dyn Fn() -> bool) + Send + 'static) -> Result<Self, RosError> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("ros-server".into())
            .spawn(move || work(&|| seen.load(Ordering::Acquire)))
            .map_err(|error| RosError::Create {
                what: format!("server of {name}"),
                cause: error.to_string(),
                fix: "too many threads: end other programs".into(),
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    pub(super) fn of_service<S: RosService>(
        server: Server<Body<S::Request>, Body<S::Response>>,
        node: RosNode,
        service: String,
        mut handler: impl FnMut(S::Request) -> S::Response + Send + 'static,
    ) -> Result<Self, RosError> {
        let name = service.clone();
        Self::spawn(name, move |stop| {
            // The node lives as long as its server.
            let _node = node;
            while !stop() {
                match wait_for(server.async_receive_request(), None, stop) {
                    None => {}
                    Some(Ok((id, Body(request)))) => {
                        if let Err(error) = server.send_response(id, Body(handler(request))) {
                            tracing::warn!("{service}: a reply could not be sent: {error}");
                        }
                    }
                    // A request that cannot be read names no client to reply to.
                    Some(Err(error)) => tracing::warn!("{service}: a request could not be read: {error}"),
                }
            }
        })
    }
}

impl Drop for RosServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A handler that panicked has reported it.
            let _ = thread.join();
        }
    }
}

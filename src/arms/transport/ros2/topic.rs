//! Topics: publishing, and taking messages without waiting or with a deadline.
//!
//! A thread that polled a subscriber and found nothing is unparked when something arrives, so a loop may `park_timeout` between its
//! turns without added latency. Malformed and oversized messages are counted and dropped.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use ros2_client::{Publisher, ReadError, Subscription, WriteError};
use rustdds::serialization::to_writer_with_rep_id;

use super::erased::{Incoming, Kind, Outgoing, next};
use super::node::{Endpoint, RosNode, dds_type};
use super::wait::{poll_once, wait_for};
use super::{Qos, RosError, RosMessage};
use crate::transport::loss;

/// Publishes messages on a topic.
pub struct RosPublisher<M: RosMessage> {
    inner: Publisher<Outgoing>,
    node: RosNode,
    topic: String,
    qos: Qos,
    kind: PhantomData<fn(M)>,
}

impl<M: RosMessage> RosPublisher<M> {
    pub(super) fn new(inner: Publisher<Outgoing>, node: RosNode, topic: String, qos: Qos) -> Self {
        Self { inner, node, topic, qos, kind: PhantomData }
    }

    /// Absolute name of the topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Passes a message to the middleware; [`Qos::Command`] and [`Qos::State`] never wait.
    pub fn publish(&self, message: M) -> Result<(), RosError> {
        if loss::outgoing_is_lost() {
            return Ok(());
        }
        self.inner.publish(Outgoing::of(message)).map_err(|error| match error {
            WriteError::WouldBlock { .. } => RosError::Full { topic: self.topic.clone() },
            other => RosError::Send { topic: self.topic.clone(), cause: other.to_string() },
        })
    }

    /// Matched subscribers: same type, and they request no more than is offered.
    pub fn subscribers(&self) -> usize {
        self.node.subscribers_of(&self.topic).iter().filter(|endpoint| self.serves(endpoint)).count()
    }

    /// Other publishers on the same topic, of any type.
    pub fn other_publishers(&self) -> usize {
        self.node.publishers_of(&self.topic).len()
    }

    /// Waits until there is a subscriber and messages reach it.
    pub fn wait_for_subscriber(&self, timeout: Duration) -> Result<(), RosError> {
        let deadline = Instant::now() + timeout;
        while self.node.with(|node| Ok(poll_once(self.inner.wait_for_subscription(node)).is_none()))? {
            if Instant::now() >= deadline {
                return Err(self.no_subscriber(timeout));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn serves(&self, endpoint: &Endpoint) -> bool {
        endpoint.type_name == dds_type::<M>()
            && (!endpoint.reliable || self.qos != Qos::Sensor)
            && (!endpoint.latched || self.qos == Qos::Latched)
    }

    fn no_subscriber(&self, timeout: Duration) -> RosError {
        let unfit: Vec<_> = self.node.subscribers_of(&self.topic).into_iter().filter(|e| !self.serves(e)).collect();
        let what = format!("subscribes to {} ({}/{})", self.topic, M::PACKAGE, M::NAME);
        RosError::NoPeer { what, seconds: timeout.as_secs_f64(), fix: advice::<M>(&self.node, &unfit) }
    }
}

/// Takes messages from a topic.
pub struct RosSubscriber<M: RosMessage> {
    inner: Subscription<Incoming>,
    node: RosNode,
    topic: String,
    qos: Qos,
    dropped: u64,
    kind: PhantomData<fn() -> M>,
}

/// How often the presence of a subscriber is checked.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Most malformed messages discarded in one call; a flood of them must not block the caller.
const DROPPED_AT_ONCE: usize = 64;

impl<M: RosMessage> RosSubscriber<M> {
    pub(super) fn new(inner: Subscription<Incoming>, node: RosNode, topic: String, qos: Qos) -> Self {
        Self { inner, node, topic, qos, dropped: 0, kind: PhantomData }
    }

    /// Absolute name of the topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Messages dropped so far because they were malformed or larger than [`RosMessage::MAX_BYTES`].
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next message, if one is there.
    pub fn take(&mut self) -> Result<Option<M>, RosError> {
        for _ in 0..DROPPED_AT_ONCE {
            match poll_once(next(&self.inner, Kind::of::<M>())) {
                None => return Ok(None),
                Some(_) if loss::incoming_is_lost() => {}
                Some(taken) => {
                    if let Some(message) = self.accept(taken)? {
                        return Ok(Some(message));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The newest message, if one is there; older ones are discarded.
    pub fn newest(&mut self) -> Result<Option<M>, RosError> {
        let mut newest = None;
        while let Some(message) = self.take()? {
            newest = Some(message);
        }
        Ok(newest)
    }

    /// The next message; `None` when none came in time.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<M>, RosError> {
        let deadline = Instant::now() + timeout;
        loop {
            match wait_for(next(&self.inner, Kind::of::<M>()), Some(deadline), || false) {
                None => return Ok(None),
                Some(taken) => {
                    if let Some(message) = self.accept(taken)? {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }

    /// Matched publishers: same type, and they offer no less than is requested.
    pub fn publishers(&self) -> usize {
        self.node.publishers_of(&self.topic).iter().filter(|endpoint| self.hears(endpoint)).count()
    }

    /// Why nothing came for `waited`: no publisher, or one with another type or quality of service.
    pub fn silence(&self, waited: Duration) -> RosError {
        let unfit: Vec<_> = self.node.publishers_of(&self.topic).into_iter().filter(|e| !self.hears(e)).collect();
        let what = format!("publishes on {} ({}/{})", self.topic, M::PACKAGE, M::NAME);
        RosError::NoPeer { what, seconds: waited.as_secs_f64(), fix: advice::<M>(&self.node, &unfit) }
    }

    fn hears(&self, endpoint: &Endpoint) -> bool {
        let best_effort = matches!(self.qos, Qos::State | Qos::Sensor);
        endpoint.type_name == dds_type::<M>()
            && (endpoint.reliable || best_effort)
            && (endpoint.latched || self.qos != Qos::Latched)
    }

    fn accept(&mut self, taken: Result<Incoming, ReadError>) -> Result<Option<M>, RosError> {
        match taken.map(|message| message.downcast::<M>()) {
            Ok(Ok(message)) if encoded_len(&*message) <= M::MAX_BYTES => Ok(Some(*message)),
            Ok(_) | Err(ReadError::Deserialization { .. } | ReadError::Malformed | ReadError::Middleware { .. }) => {
                self.dropped += 1;
                Ok(None)
            }
            Err(error) => Err(RosError::Receive { topic: self.topic.clone(), cause: error.to_string() }),
        }
    }
}

/// What to do about a topic with no other participant, or only incompatible ones.
fn advice<M: RosMessage>(node: &RosNode, unfit: &[Endpoint]) -> String {
    let settings = node.settings();
    match unfit.first() {
        None => format!(
            "start it in ROS domain {} (reach {:?}), or correct the namespace: `ros2 topic list` shows what is there",
            settings.domain, settings.range
        ),
        Some(other) if other.type_name != dds_type::<M>() => {
            format!(
                "another program uses that name with the type {}: correct the name or update that program",
                other.type_name
            )
        }
        Some(other) => {
            let (reliable, latched) = (other.reliable, other.latched);
            format!(
                "another program is there with another quality of service ({}, {}): `ros2 topic info -v` shows it",
                if reliable { "reliable" } else { "best effort" },
                if latched { "transient local" } else { "volatile" }
            )
        }
    }
}

/// Length of a message on the wire \[bytes\], without its 4-byte header; the largest number for one that cannot be
/// written.
fn encoded_len(message: &dyn erased_serde::Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match to_writer_with_rep_id(&mut count, &message, rustdds::RepresentationIdentifier::CDR_LE) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

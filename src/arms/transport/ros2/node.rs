//! Our node on the ROS 2 graph: visible to `ros2 node list`, with topics, services and actions hanging on it.
//!
//! A node owns a DDS participant with its two background threads and a spinner thread that follows the graph. Everything
//! made from it keeps it alive; it ends by itself when the last of them is dropped. Nothing here is for the control
//! thread: publishing allocates and locks.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ros2_client::{
    Context, MessageTypeName, Name, Node, NodeName, NodeOptions, Publisher, ServiceTypeName, Subscription,
};
use rustdds::policy::{Durability, Reliability};
use rustdds::{DomainParticipantBuilder, GUID, RTPSEntity};

use super::client::{Body, RosClient};
use super::erased::{Incoming, Outgoing};
use super::loops::Loops;
use super::server::RosServer;
use super::settings::DiscoveryRange;
use super::topic::{RosPublisher, RosSubscriber};
use super::wait::wait_for;
use super::{Qos, RosError, RosMessage, RosService, RosSettings};

/// A node on the ROS 2 graph; clones are the same node.
#[derive(Clone)]
pub struct RosNode {
    shared: Arc<Shared>,
}

struct Shared {
    settings: RosSettings,
    context: Context,
    loops: Loops,
    /// `None` only while it ends.
    node: Mutex<Option<Node>>,
    spinner: Mutex<Option<JoinHandle<()>>>,
}

/// Participants of other processes whose endpoints count as ours; for all nodes of this process, the later ones too.
static OURS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on the endpoints of this participant ([`RosNode::participant`]) are not among those of others, for any node of this
/// process.
pub fn count_as_own(participant: &str) {
    OURS.lock().unwrap_or_else(PoisonError::into_inner).push(participant.into());
}

fn is_ours(endpoint: &GUID) -> bool {
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    !ours.is_empty() && ours.contains(&participant(endpoint))
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Dropping the node stops the spinner.
        drop(self.node.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(spinner) = self.spinner.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A spinner that panicked has reported it; the node ends either way.
            let _ = spinner.join();
        }
    }
}

/// Another participant's publisher or subscriber on a topic, as discovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// DDS type (`sensor_msgs::msg::dds_::JointState_`).
    pub type_name: String,
    /// Does it offer (publisher) or ask for (subscriber) delivery of every message?
    pub reliable: bool,
    /// Does it offer or ask for messages from before it joined?
    pub latched: bool,
}

/// The participant an endpoint belongs to.
fn participant(endpoint: &GUID) -> String {
    format!("{:?}", endpoint.prefix)
}

/// `sensor_msgs/msg/JointState` as DDS calls it.
pub(super) fn dds_type<M: RosMessage>() -> String {
    MessageTypeName::new(M::PACKAGE, M::NAME).dds_msg_type()
}

impl RosNode {
    /// Joins the graph.
    pub fn start(settings: RosSettings) -> Result<Self, RosError> {
        let what = format!("node {}/{}", settings.namespace.trim_end_matches('/'), settings.node);
        let failed = |cause: String, fix: &str| RosError::Create { what: what.clone(), cause, fix: fix.into() };
        let mut builder = DomainParticipantBuilder::new(settings.domain);
        if settings.range != DiscoveryRange::Subnet {
            // Only loopback is announced and used; `lo` has no multicast, so nothing leaves this machine. Peers are found
            // by unicast to the ports of the first participants on this machine.
            builder = builder.with_only_networks([Ipv4Addr::LOCALHOST]);
        }
        if settings.range == DiscoveryRange::Off {
            builder = builder.same_host_loopback(false);
        }
        let ports = "is the network up, and are there less than 120 participants in this domain on this machine?";
        let built = Loops::of(|| builder.build());
        let (participant, loops) = built.map_err(|error| failed(format!("{error:?}"), ports))?;
        let context =
            Context::from_domain_participant(participant).map_err(|error| failed(error.to_string(), ports))?;
        let name = NodeName::new(&settings.namespace, &settings.node)
            .map_err(|error| failed(format!("{error:?}"), "use letters, digits and single underscores"))?;
        // No parameter services: we have no parameters, and twelve more endpoints slow discovery down.
        let options = NodeOptions::new().enable_rosout(true).start_parameter_services(false);
        let mut node = context.new_node(name, options).map_err(|error| failed(error.to_string(), ports))?;
        let spinner = node.spinner().map_err(|error| failed(error.to_string(), ports))?;
        let handle = std::thread::Builder::new()
            .name("ros-spinner".into())
            .spawn(move || {
                if let Some(Err(error)) = wait_for(spinner.spin(), None, || false) {
                    tracing::error!("the ROS 2 spinner ended: {error}");
                }
            })
            .map_err(|error| failed(error.to_string(), "too many threads: end other programs"))?;
        let (node, spinner) = (Mutex::new(Some(node)), Mutex::new(Some(handle)));
        Ok(Self { shared: Arc::new(Shared { settings, context, loops, node, spinner }) })
    }

    /// The node's settings on the graph.
    pub fn settings(&self) -> &RosSettings {
        &self.shared.settings
    }

    /// Our participant, in hexadecimal digits: the ids of all our endpoints, and only those, begin with it.
    pub fn participant(&self) -> String {
        participant(&self.shared.context.domain_participant().guid())
    }

    /// Are the threads alive that send, receive and follow the graph? Without them everything made from this node neither sends nor
    /// receives, and a new node is needed. Reads some small files: not for the control thread.
    pub fn loops_alive(&self) -> bool {
        let spinner = self.shared.spinner.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.loops.alive() && spinner.as_ref().is_some_and(|spinner| !spinner.is_finished())
    }

    /// Publishes on a topic; the name is resolved by the settings.
    pub fn publisher<M: RosMessage>(&self, topic: &str, qos: Qos) -> Result<RosPublisher<M>, RosError> {
        let topic = self.settings().resolve(topic);
        let publisher = self.outgoing(&topic, type_name::<M>(), qos)?;
        Ok(RosPublisher::new(publisher, self.clone(), topic, qos))
    }

    fn outgoing(&self, topic: &str, kind: MessageTypeName, qos: Qos) -> Result<Publisher<Outgoing>, RosError> {
        let failed = |error: ros2_client::CreateError| created(format!("publisher of {topic}"), error);
        self.with(|node| {
            let made = node.create_topic(&named(topic)?, kind, &qos.publisher()).map_err(failed)?;
            node.create_publisher(&made, Some(qos.publisher())).map_err(failed)
        })
    }

    /// Subscribes to a topic; the name is resolved by the settings.
    pub fn subscriber<M: RosMessage>(&self, topic: &str, qos: Qos) -> Result<RosSubscriber<M>, RosError> {
        let topic = self.settings().resolve(topic);
        let subscription = self.incoming(&topic, type_name::<M>(), qos)?;
        Ok(RosSubscriber::new(subscription, self.clone(), topic, qos))
    }

    fn incoming(&self, topic: &str, kind: MessageTypeName, qos: Qos) -> Result<Subscription<Incoming>, RosError> {
        let failed = |error: ros2_client::CreateError| created(format!("subscriber to {topic}"), error);
        self.with(|node| {
            let made = node.create_topic(&named(topic)?, kind, &qos.subscriber()).map_err(failed)?;
            node.create_subscription(&made, Some(qos.subscriber())).map_err(failed)
        })
    }

    /// Calls a service; the name is resolved by the settings.
    pub fn client<S: RosService>(&self, service: &str) -> Result<RosClient<S>, RosError> {
        let service = self.settings().resolve(service);
        let kind = ServiceTypeName::new(S::PACKAGE, S::NAME);
        // As rmw_qos_profile_services_default.
        let (ask, answer) = (Qos::Reliable.publisher(), Qos::Reliable.subscriber());
        let client = self.with(|node| {
            node.create_client::<Body<S::Request>, Body<S::Response>>(
                self.settings().services.mapping(),
                &named(&service)?,
                &kind,
                ask,
                answer,
            )
            .map_err(|error| created(format!("client of {service}"), error))
        })?;
        Ok(RosClient::new(client, self.clone(), service))
    }

    /// Serves a service on a thread of its own until the returned server is dropped; the name is resolved by the settings.
    pub fn serve<S: RosService>(
        &self,
        service: &str,
        handler: impl FnMut(S::Request) -> S::Response + Send + 'static,
    ) -> Result<RosServer, RosError> {
        let service = self.settings().resolve(service);
        let kind = ServiceTypeName::new(S::PACKAGE, S::NAME);
        let (ask, answer) = (Qos::Reliable.subscriber(), Qos::Reliable.publisher());
        let server = self.with(|node| {
            node.create_server::<Body<S::Request>, Body<S::Response>>(
                self.settings().services.mapping(),
                &named(&service)?,
                &kind,
                ask,
                answer,
            )
            .map_err(|error| created(format!("server of {service}"), error))
        })?;
        RosServer::of_service::<S>(server, self.clone(), service, handler)
    }

    /// Publishers of a topic that are neither this node's nor those of a participant that counts as ours.
    pub fn publishers_of(&self, topic: &str) -> Vec<Endpoint> {
        let name = format!("rt{}", self.settings().resolve(topic));
        let found = self.shared.context.domain_participant().discovered_writers();
        let of_topic = found.into_iter().map(|writer| writer.publication_topic_data).filter(|w| w.topic_name == name);
        of_topic
            .filter(|writer| !is_ours(&writer.key))
            .map(|writer| Endpoint {
                type_name: writer.type_name.clone(),
                // What an announcement omits is the default; a writer's is reliable.
                reliable: !matches!(writer.reliability, Some(Reliability::BestEffort)),
                latched: writer.durability.is_some_and(|d| d != Durability::Volatile),
            })
            .collect()
    }

    /// Subscribers to a topic that are not this node's.
    pub fn subscribers_of(&self, topic: &str) -> Vec<Endpoint> {
        let name = format!("rt{}", self.settings().resolve(topic));
        let found = self.shared.context.domain_participant().discovered_readers();
        let of_topic = found.into_iter().map(|reader| reader.subscription_topic_data).filter(|r| r.topic_name == name);
        of_topic
            .map(|reader| Endpoint {
                type_name: reader.type_name().clone(),
                reliable: matches!(reader.qos().reliability(), Some(Reliability::Reliable { .. })),
                latched: reader.qos().durability().is_some_and(|d| d != Durability::Volatile),
            })
            .collect()
    }

    /// Runs `work` on the node; it exists as long as a handle to it does.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Node) -> Result<T, RosError>) -> Result<T, RosError> {
        let mut guard: MutexGuard<Option<Node>> = self.shared.node.lock().unwrap_or_else(PoisonError::into_inner);
        match guard.as_mut() {
            Some(node) => work(node),
            None => Err(RosError::Ended { name: "ros-spinner".into() }),
        }
    }
}

/// An absolute ROS name as ros2-client takes it (a relative one would get two slashes in the root namespace).
pub(super) fn named(name: &str) -> Result<Name, RosError> {
    Name::parse(name).ok().filter(Name::is_absolute).ok_or_else(|| RosError::Setting {
        what: "a ROS 2 name".into(),
        found: format!("`{name}`"),
        expected: "letters, digits, single underscores and slashes, like /wx250s/joint_states".into(),
        fix: "correct link.namespace, link.remap or the camera's topic in the launch file".into(),
    })
}

fn type_name<M: RosMessage>() -> MessageTypeName {
    MessageTypeName::new(M::PACKAGE, M::NAME)
}

pub(super) fn created(what: String, error: ros2_client::CreateError) -> RosError {
    RosError::Create { what, cause: error.to_string(), fix: "is the same name used with another type?".into() }
}

//! Messages of any kind as one type: the middleware's readers and writers compile to some ten thousand lines for each type they
//! carry.

use std::any::Any;

use ros2_client::{ReadError, Subscription};
use serde::de::{DeserializeSeed, Deserializer, Error};
use serde::{Serialize, Serializer};

use super::RosMessage;

/// A message on its way out.
pub(super) struct Outgoing(Box<dyn erased_serde::Serialize + Send>);

impl Outgoing {
    pub fn of<M: RosMessage>(message: M) -> Self {
        Self(Box::new(message))
    }
}

impl Serialize for Outgoing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(&*self.0, serializer)
    }
}

/// A message that arrived.
pub(super) type Incoming = Box<dyn Any + Send>;

type Read =
    for<'a, 'de> fn(&'a mut (dyn erased_serde::Deserializer<'de> + 'a)) -> Result<Incoming, erased_serde::Error>;

/// Reads messages of one kind.
#[derive(Clone, Copy)]
pub(super) struct Kind(Read);

impl Kind {
    pub fn of<M: RosMessage>() -> Self {
        Self(|deserializer| Ok(Box::new(erased_serde::deserialize::<M>(deserializer)?)))
    }
}

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Incoming;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Incoming, D::Error> {
        (self.0)(&mut <dyn erased_serde::Deserializer>::erase(deserializer)).map_err(D::Error::custom)
    }
}

/// The next message of a subscription that carries this kind.
pub(super) async fn next(subscription: &Subscription<Incoming>, kind: Kind) -> Result<Incoming, ReadError> {
    let mut messages = std::pin::pin!(subscription.async_stream_seed(kind));
    match futures_util::StreamExt::next(&mut messages).await {
        Some(taken) => taken.map(|(message, _)| message),
        // The middleware's stream has no end.
        None => std::future::pending().await,
    }
}

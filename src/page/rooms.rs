//! Limits on connections: a small waiting room for unauthenticated ones, places for the others.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use tokio::sync::oneshot;

/// Maximum connections that have shown the token: up to six per browser, plus its websocket.
pub(super) const MOST_PLACES: usize = 128;
/// Maximum of these per address. All browsers behind a forwarded port share one.
pub(super) const MOST_OF_ONE_PEER: usize = 96;
/// Maximum unauthenticated connections; a further one evicts the oldest.
pub(super) const MOST_WAITING: usize = 64;

/// Identifier of a connection.
pub(super) type Id = u64;

/// Waiting connections, and the number of places per address.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// In order of arrival.
    waiting: VecDeque<Waiting>,
    placed: HashMap<IpAddr, usize>,
    next: Id,
}

/// A connection that has not shown the token.
#[derive(Debug)]
struct Waiting {
    id: Id,
    peer: IpAddr,
    /// Notifies the connection of its eviction.
    close: oneshot::Sender<()>,
}

impl Rooms {
    /// Admits a connection; always succeeds, by evicting the oldest if necessary. The returned receiver signals this
    /// connection's own eviction.
    pub fn enter(&mut self, peer: IpAddr) -> (Id, oneshot::Receiver<()>) {
        if self.waiting.len() >= MOST_WAITING
            && let Some(oldest) = self.oldest_of_the_most().and_then(|at| self.waiting.remove(at))
        {
            // A connection that has closed meanwhile does not listen.
            let _ = oldest.close.send(());
        }
        let (close, closed) = oneshot::channel();
        let id = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { id, peer, close });
        (id, closed)
    }

    /// The oldest connection of the address with the most waiting connections.
    fn oldest_of_the_most(&self) -> Option<usize> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for waiting in &self.waiting {
            *counts.entry(waiting.peer).or_default() += 1;
        }
        let most = counts.values().copied().max()?;
        self.waiting.iter().position(|waiting| counts.get(&waiting.peer) == Some(&most))
    }

    /// Gives a waiting connection a place; false if none is free.
    pub fn place(&mut self, id: Id, peer: IpAddr) -> bool {
        let all: usize = self.placed.values().sum();
        let own = self.placed.entry(peer).or_default();
        if all >= MOST_PLACES || *own >= MOST_OF_ONE_PEER {
            return false;
        }
        *own += 1;
        self.waiting.retain(|waiting| waiting.id != id);
        true
    }

    /// A waiting connection has closed.
    pub fn leave(&mut self, id: Id) {
        self.waiting.retain(|waiting| waiting.id != id);
    }

    /// A connection with a place has closed.
    pub fn free(&mut self, peer: IpAddr) {
        if let Some(own) = self.placed.get_mut(&peer) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.placed.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn the_oldest_of_the_peer_with_most_is_evicted_and_the_newest_is_always_admitted() {
        let mut rooms = Rooms::default();
        let (quiet, mut quiets) = rooms.enter(peer(1));
        let mut others: Vec<_> = (0..1000).map(|_| rooms.enter(peer(2)).1).collect();
        assert!(quiets.try_recv().is_err(), "one of another peer was sent away");
        let closed = others.iter_mut().map(|other| other.try_recv().is_ok()).collect::<Vec<_>>();
        assert_eq!(closed.iter().filter(|closed| **closed).count(), 1001 - MOST_WAITING);
        assert!(closed[..1001 - MOST_WAITING].iter().all(|closed| *closed), "not the oldest");
        rooms.leave(quiet);
        assert_eq!(rooms.waiting.len(), MOST_WAITING - 1);
    }

    #[test]
    fn places_are_counted_per_peer_and_in_total_and_are_freed() {
        let mut rooms = Rooms::default();
        let take = |rooms: &mut Rooms, last| {
            let (id, _closed) = rooms.enter(peer(last));
            let placed = rooms.place(id, peer(last));
            rooms.leave(id);
            placed
        };
        assert!((0..MOST_OF_ONE_PEER).all(|_| take(&mut rooms, 1)));
        assert!(!take(&mut rooms, 1), "more than its share");
        assert!((MOST_OF_ONE_PEER..MOST_PLACES).all(|_| take(&mut rooms, 2)));
        assert!(!take(&mut rooms, 3), "more than there are");
        rooms.free(peer(1));
        assert!(take(&mut rooms, 3));
        assert!(rooms.waiting.is_empty());
    }
}

//! A cache of decoded frames with a limit in bytes; the least recently used are dropped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Clip and frame; frame 0 where whole clips are cached.
pub(super) type Key = (usize, usize);

/// The cached frames.
#[derive(Debug)]
pub(super) struct Recent {
    limit: u64,
    bytes: u64,
    uses: u64,
    held: HashMap<Key, (u64, Arc<[u8]>)>,
    /// Last use -> key; the first is the oldest.
    order: BTreeMap<u64, Key>,
}

impl Recent {
    pub fn new(limit: u64) -> Self {
        Self { limit, bytes: 0, uses: 0, held: HashMap::new(), order: BTreeMap::new() }
    }

    /// The frames cached under this key; the key becomes the newest.
    pub fn get(&mut self, key: Key) -> Option<Arc<[u8]>> {
        self.uses += 1;
        let (used, frames) = self.held.get_mut(&key)?;
        self.order.remove(used);
        *used = self.uses;
        self.order.insert(self.uses, key);
        Some(frames.clone())
    }

    /// Caches these as the newest. Frames larger than the limit are not cached.
    pub fn insert(&mut self, key: Key, frames: Arc<[u8]>) {
        let length = frames.len() as u64;
        if length > self.limit {
            return;
        }
        self.remove(key);
        while self.bytes + length > self.limit {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            self.remove(*oldest);
        }
        self.uses += 1;
        self.bytes += length;
        self.order.insert(self.uses, key);
        self.held.insert(key, (self.uses, frames));
    }

    fn remove(&mut self, key: Key) {
        if let Some((used, frames)) = self.held.remove(&key) {
            self.order.remove(&used);
            self.bytes -= frames.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_is_dropped() {
        let mut recent = Recent::new(10);
        for clip in 0..3 {
            recent.insert((clip, 0), vec![clip as u8; 3].into());
        }
        assert_eq!(recent.get((0, 0)).unwrap()[..], [0; 3]);
        recent.insert((3, 0), vec![3; 4].into());
        assert!(recent.get((1, 0)).is_none());
        assert!([0, 2, 3].iter().all(|clip| recent.get((*clip, 0)).is_some()));
        assert_eq!(recent.bytes, 10);
        recent.insert((4, 0), vec![0; 11].into());
        assert!(recent.get((4, 0)).is_none() && recent.get((3, 0)).is_some());
        recent.insert((3, 0), vec![5; 1].into());
        assert_eq!((recent.bytes, recent.order.len()), (7, 3));
    }
}

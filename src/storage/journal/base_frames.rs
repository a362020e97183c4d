//! The frames of a base that were read last, with the places of their items: a chart's values stand close together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::crypto::hash::HmacKey;
use crate::format::base::{self, Item, Origin};
use crate::format::frame::{Frame, FrameError};
use crate::storage::lock;

/// Frames kept.
const FRAMES: usize = 32;
/// Longer frames hold few values each, and are not kept.
const LONGEST: usize = 128 << 10;

#[derive(Default)]
pub(super) struct Frames(Mutex<VecDeque<(u64, Arc<OpenFrame>)>>);

/// A frame as it was read. Whoever takes something out of it knows its hash; the frame's own are not looked at.
pub(super) struct OpenFrame {
    bytes: Vec<u8>,
    /// Ascending by origin: where in the frame a value or an entry starts, and its length.
    places: Vec<(Origin, usize, usize)>,
}

impl OpenFrame {
    /// Finds what a frame holds, as far as it can be made out.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let mut places = Vec::new();
        let start = bytes.as_ptr().addr();
        base::items_unverified(&bytes, |origin, item| {
            let held = match item {
                Item::Row { value, .. } => value,
                Item::Entry(entry) => entry.bytes,
                Item::Tally { .. } => return,
            };
            places.push((origin, held.as_ptr().addr().saturating_sub(start), held.len()));
        });
        Self { bytes, places }
    }

    /// Says what is wrong with the whole frame, if anything is.
    pub(super) fn verify(&self, key: &HmacKey) -> Result<(), FrameError> {
        Frame::parse(&self.bytes, key).map(drop)
    }

    /// What an origin wrote.
    pub(super) fn item(&self, origin: Origin) -> Option<&[u8]> {
        let at = self.places.binary_search_by_key(&origin, |(place, ..)| *place).ok()?;
        let (_, start, len) = *self.places.get(at)?;
        self.bytes.get(start..)?.get(..len)
    }
}

impl Frames {
    /// The frame that starts at `at`.
    pub(super) fn get(&self, at: u64) -> Option<Arc<OpenFrame>> {
        let mut kept = lock(&self.0);
        let place = kept.iter().position(|(start, _)| *start == at)?;
        let found = kept.remove(place)?;
        let frame = Arc::clone(&found.1);
        kept.push_back(found);
        Some(frame)
    }

    /// Keeps a frame; the one unused for longest makes room.
    pub(super) fn keep(&self, at: u64, frame: &Arc<OpenFrame>) {
        if frame.bytes.len() > LONGEST {
            return;
        }
        let mut kept = lock(&self.0);
        if kept.len() >= FRAMES {
            kept.pop_front();
        }
        kept.push_back((at, Arc::clone(frame)));
    }

    pub(super) fn forget(&self) {
        lock(&self.0).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tests::{create, put};
    use crate::storage::{Storage, Tree};

    #[test]
    fn values_of_a_base_are_found_in_any_order_among_more_frames_than_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        let value = |key: u16| [&key.to_be_bytes()[..], &[1; 6_000]].concat();
        let keys = 0..500_u16;
        for key in keys.clone() {
            put(&storage, &[(&key.to_be_bytes(), Some(&value(key)))], vec![]);
        }
        let base = storage.compact(&mut |_| {}, &|| true).unwrap().unwrap();
        storage.remove_compacted(u64::MAX).unwrap();
        assert!(base.bytes_after > 64 * 1024 * u64::try_from(FRAMES).unwrap(), "{base:?}");
        for key in keys.clone().chain(keys.clone().rev()).chain(keys.step_by(97)) {
            let found = storage.get(Tree::Records, &key.to_be_bytes()).unwrap().unwrap();
            assert!(found[..] == value(key)[..], "{key}");
        }
    }
}

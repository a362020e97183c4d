//! Finds a frame in a segment of which only the beginning is known, without reading all that comes before: frames are numbered
//! in their order and start at multiples of eight with a head that has a check of its own. Whatever looks like a head is only
//! a guess; whoever follows it knows by the value's hash whether it was right.

use std::ops::RangeInclusive;

use crate::format::frame::{FrameHead, HEAD_LEN};
use crate::storage::file::StoredFile;

/// Bytes read for each guess.
const LOOK: usize = 16 << 10;
/// Guesses at most.
const GUESSES: usize = 40;
/// Frames are so close that walking is as good.
const CLOSE: u64 = 16;

/// A frame at or before `seq`, and where it seems to start: nearer than `known`, which is such a frame as well.
pub(super) fn near(file: &StoredFile, size: u64, known: (u64, u64), seq: u64) -> Option<(u64, u64)> {
    let (mut low, mut high) = (known, size);
    for _ in 0..GUESSES {
        // A frame is not shorter than its head.
        if seq.saturating_sub(low.0) <= CLOSE || high.saturating_sub(low.1) <= to_u64(LOOK) {
            break;
        }
        let middle = (low.1 + (high - low.1) / 2).next_multiple_of(8);
        match first_head(file, middle, high, low.0..=u64::MAX) {
            Some(head) if head.0 <= seq => low = head,
            _ => high = middle,
        }
    }
    (low != known).then_some(low)
}

/// The first frame that seems to start at `from` or shortly behind, before `end`, with a number within.
fn first_head(file: &StoredFile, from: u64, end: u64, within: RangeInclusive<u64>) -> Option<(u64, u64)> {
    let len = end.saturating_sub(from).min(to_u64(LOOK));
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_at(&mut bytes, from).ok()?;
    let starts = (0..bytes.len()).step_by(8);
    starts.filter_map(|at| Some((at, bytes.get(at..)?.get(..HEAD_LEN)?))).find_map(|(at, head)| {
        let head = FrameHead::parse(head).ok().filter(|head| within.contains(&head.seq))?;
        Some((head.seq, from + to_u64(at)))
    })
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tests::{create, open, put};
    use crate::storage::{Storage, Tree};

    /// The places of all frames, by walking.
    fn frames(file: &StoredFile, size: u64) -> Vec<(u64, u64)> {
        let (mut at, mut found) = (512, Vec::new());
        while let Some((seq, offset)) = first_head(file, at, at + 24, 0..=u64::MAX).filter(|_| at < size) {
            let mut head = [0; HEAD_LEN];
            file.read_at(&mut head, offset).unwrap();
            at = offset + to_u64(FrameHead::parse(&head).unwrap().len);
            found.push((seq, offset));
        }
        found
    }

    #[test]
    fn guesses_lead_close_to_each_frame_among_small_and_large_ones() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        for key in 0..1_500_u16 {
            let len = if key.is_multiple_of(400) { 30_000 } else { 300 };
            put(&storage, &[(&key.to_be_bytes(), Some(&vec![1; len]))], vec![]);
        }
        storage.close().unwrap();
        let mut names = crate::storage::file::names(&dir.path().join("journal")).unwrap();
        names.sort();
        let mut close = 0;
        let mut all = 0;
        for name in names {
            let file = StoredFile::open(&dir.path().join("journal").join(name)).unwrap();
            let size = file.len().unwrap();
            let frames = frames(&file, size);
            for (seq, _) in &frames {
                let guess = near(&file, size, frames[0], *seq).unwrap_or(frames[0]);
                assert!(frames.contains(&guess) && guess.0 <= *seq, "{guess:?}");
                all += 1;
                close += usize::from(seq - guess.0 <= 100);
            }
        }
        assert!(all > 1_500 && close * 10 > all * 9, "{close} of {all}");
    }

    #[test]
    fn what_only_looks_like_a_head_leads_nowhere_and_the_value_is_found_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let storage = create(dir.path());
        for key in 0..200_u16 {
            put(&storage, &[(&key.to_be_bytes(), Some(&[1; 300]))], vec![]);
        }
        // A value that is full of genuine heads.
        let path = dir.path().join("journal/0000000001.cvj");
        let bytes = std::fs::read(&path).unwrap();
        let head = bytes.windows(HEAD_LEN).rfind(|bytes| FrameHead::parse(bytes).is_ok()).unwrap();
        let heads = head.repeat(2_000);
        put(&storage, &[(b"heads", Some(&heads))], vec![]);
        for key in 200..400_u16 {
            put(&storage, &[(&key.to_be_bytes(), Some(&[1; 5_000]))], vec![]);
        }
        storage.close().unwrap();
        let (storage, _) = open(dir.path());
        assert_eq!(&storage.get(Tree::Records, b"heads").unwrap().unwrap()[..], &heads[..]);
        for key in (200..400_u16).rev() {
            assert_eq!(&storage.get(Tree::Records, &key.to_be_bytes()).unwrap().unwrap()[..], &[1; 5_000]);
        }
    }
}

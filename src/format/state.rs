//! The state file and the clean mark (docs/format/journal.md, "State file" and "Clean mark").

use crate::bytes::{Put, Reader, TooLong, Truncated};
use crate::crypto::hash::{self, HmacKey};
use crate::ids::VaultId;

use super::digest::Digest;

/// Newest format of state files. The one before has no number of the first entry, which is 0.
pub(crate) const FORMAT: u16 = 2;
/// A larger file is not read: room for some forty million subjects.
pub(crate) const MAX_LEN: u64 = 1 << 30;
/// Bytes of a clean mark.
pub(crate) const CLEAN_LEN: usize = 8 + 16 + 8 + 32 + 32;
const MAGIC: [u8; 8] = *b"CVSTATE1";
const CLEAN_MAGIC: [u8; 8] = *b"CVCLEAN1";

/// A frame, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// 0 before the first frame; then the other fields are zero as well.
    pub(crate) seq: u64,
    /// Its frame hash.
    pub(crate) hash: [u8; 32],
    /// Number of its segment.
    pub(crate) segment: u64,
    /// Where it starts in the segment, in bytes.
    pub(crate) offset: u64,
}

/// How far the trees have been applied, and all that replay needs to go on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// 1, 2, 3 … with each state file written.
    pub(crate) generation: u64,
    /// The last frame in the trees.
    pub(crate) applied: Place,
    /// The highest header generation up to that frame.
    pub(crate) header_generation: u64,
    /// Number of the directory that holds the trees.
    pub(crate) trees: u64,
    /// Number of audit entries so far.
    pub(crate) entries: u64,
    /// Number of the oldest entry that is kept.
    pub(crate) first_entry: u64,
    /// Number of the first entry in the open pack.
    pub(crate) pack_first: u64,
    /// The entries that no row in the trees holds yet.
    pub(crate) pack: Vec<u8>,
    /// The newest entry; empty when there is none.
    pub(crate) last_entry: Vec<u8>,
    /// Number of entries for each subject, ascending by tag.
    pub(crate) tallies: Vec<([u8; 16], u64)>,
    pub(crate) digest: Digest,
}

/// Why bytes are no state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateError {
    Damaged,
    /// Whole, but made with another key or for another vault.
    Foreign,
    UnknownFormat(u16),
}

impl From<Truncated> for StateError {
    fn from(_: Truncated) -> Self {
        Self::Damaged
    }
}

impl State {
    pub(crate) fn encode(&self, vault: VaultId, key: &HmacKey) -> Result<Vec<u8>, TooLong> {
        let mut body = Vec::new();
        body.put(vault.as_bytes());
        body.put_u64(self.generation);
        put_place(&mut body, &self.applied);
        body.put_u64(self.header_generation);
        body.put_u64(self.trees);
        body.put_u64(self.entries);
        if self.first_entry > 0 {
            body.put_u64(self.first_entry);
        }
        body.put_u64(self.pack_first);
        body.put_len16(&self.pack)?;
        body.put_len16(&self.last_entry)?;
        body.put_u32(u32::try_from(self.tallies.len()).map_err(|_| TooLong)?);
        for (tag, count) in &self.tallies {
            body.put(tag);
            body.put_u64(*count);
        }
        self.digest.encode(&mut body);
        let len = u64::try_from(HEAD_LEN + body.len() + TAIL_LEN).map_err(|_| TooLong)?;
        let mut out = Vec::with_capacity(HEAD_LEN + body.len() + TAIL_LEN);
        out.put(&MAGIC);
        out.put_u16(if self.first_entry > 0 { FORMAT } else { 1 });
        out.put_u64(len);
        out.put(&body);
        let hash = hash::sha256(&[&out]);
        out.put(&hash);
        out.put(&key.tag(&[&MAGIC, &hash]));
        Ok(out)
    }

    pub(crate) fn parse(bytes: &[u8], vault: VaultId, key: &HmacKey) -> Result<Self, StateError> {
        let (body, tail) = bytes.split_at_checked(bytes.len().saturating_sub(TAIL_LEN)).ok_or(StateError::Damaged)?;
        let mut tail = Reader::new(tail);
        let (hash, mac) = (tail.array::<32>()?, tail.array::<32>()?);
        let mut reader = Reader::new(body);
        if reader.array()? != MAGIC || hash != hash::sha256(&[body]) {
            return Err(StateError::Damaged);
        }
        let format = reader.u16()?;
        if !(1..=FORMAT).contains(&format) {
            return Err(StateError::UnknownFormat(format));
        }
        if usize::try_from(reader.u64()?) != Ok(bytes.len()) {
            return Err(StateError::Damaged);
        }
        if !hash::equal(&mac, &key.tag(&[&MAGIC, &hash])) || reader.array()? != *vault.as_bytes() {
            return Err(StateError::Foreign);
        }
        let state = Self {
            generation: reader.u64()?,
            applied: take_place(&mut reader)?,
            header_generation: reader.u64()?,
            trees: reader.u64()?,
            entries: reader.u64()?,
            first_entry: if format > 1 { reader.u64()? } else { 0 },
            pack_first: reader.u64()?,
            pack: reader.len16()?.to_vec(),
            last_entry: reader.len16()?.to_vec(),
            tallies: take_tallies(&mut reader)?,
            digest: Digest::decode(&mut reader)?,
        };
        reader.finish()?;
        // What was never cut has the format before.
        let kept = u64::from(format > 1)..=state.entries;
        if kept.contains(&state.first_entry) { Ok(state) } else { Err(StateError::Damaged) }
    }
}

const HEAD_LEN: usize = 8 + 2 + 8;
const TAIL_LEN: usize = 32 + 32;

fn put_place(out: &mut Vec<u8>, place: &Place) {
    out.put_u64(place.seq);
    out.put(&place.hash);
    out.put_u64(place.segment);
    out.put_u64(place.offset);
}

fn take_place(reader: &mut Reader<'_>) -> Result<Place, Truncated> {
    Ok(Place { seq: reader.u64()?, hash: reader.array()?, segment: reader.u64()?, offset: reader.u64()? })
}

fn take_tallies(reader: &mut Reader<'_>) -> Result<Vec<([u8; 16], u64)>, StateError> {
    let count = reader.u32()?;
    let tallies = (0..count)
        .map(|_| Ok((reader.array()?, reader.u64()?)))
        .collect::<Result<Vec<([u8; 16], u64)>, Truncated>>()?;
    if tallies.is_sorted_by(|(a, _), (b, _)| a < b) { Ok(tallies) } else { Err(StateError::Damaged) }
}

/// `magic ‖ vault id ‖ seq u64 ‖ frame hash ‖ MAC`: written when a vault is closed, removed when it is opened.
pub(crate) fn encode_clean(vault: VaultId, seq: u64, hash: &[u8; 32], key: &HmacKey) -> Vec<u8> {
    let mut out = Vec::with_capacity(CLEAN_LEN);
    out.put(&CLEAN_MAGIC);
    out.put(vault.as_bytes());
    out.put_u64(seq);
    out.put(hash);
    let mac = key.tag(&[&out]);
    out.put(&mac);
    out
}

/// The last frame that a clean mark names; nothing if the mark is not whole and genuine.
pub(crate) fn parse_clean(bytes: &[u8], vault: VaultId, key: &HmacKey) -> Option<(u64, [u8; 32])> {
    let (marked, mac) = bytes.split_at_checked(CLEAN_LEN - 32)?;
    if !hash::equal(mac, &key.tag(&[marked])) {
        return None;
    }
    let mut reader = Reader::new(marked);
    let (magic, of) = (reader.array::<8>().ok()?, reader.array::<16>().ok()?);
    let (seq, hash) = (reader.u64().ok()?, reader.array().ok()?);
    (magic == CLEAN_MAGIC && of == *vault.as_bytes()).then_some((seq, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VAULT: VaultId = VaultId::from_bytes([3; 16]);

    fn key() -> HmacKey {
        HmacKey::new(&[9; 32])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn what_was_written_is_read_back(
            numbers: [u64; 8], hash: [u8; 32], pack: Vec<u8>, last_entry: Vec<u8>,
            tallies: std::collections::BTreeMap<[u8; 16], u64>, leaf: [u8; 32],
        ) {
            let mut digest = Digest::default();
            digest.replace(super::super::keys::Tree::Lookup, &pack, None, Some(&leaf));
            let [generation, seq, segment, offset, trees, entries, pack_first, first] = numbers;
            let first_entry = if first % 2 == 0 { 0 } else { first.min(entries) };
            let state = State {
                generation, applied: Place { seq, hash, segment, offset }, header_generation: seq ^ offset, trees, entries,
                first_entry, pack_first, pack, last_entry, tallies: tallies.into_iter().collect(), digest,
            };
            let bytes = state.encode(VAULT, &key()).unwrap();
            prop_assert_eq!(State::parse(&bytes, VAULT, &key()), Ok(state));
        }
    }

    #[test]
    fn damage_a_foreign_key_and_a_newer_format_are_told_apart() {
        let state = State { tallies: vec![([1; 16], 2), ([2; 16], 1)], ..State::default() };
        let bytes = state.encode(VAULT, &key()).unwrap();
        assert_eq!(State::parse(&bytes, VAULT, &HmacKey::new(&[8; 32])), Err(StateError::Foreign));
        assert_eq!(State::parse(&bytes, VaultId::from_bytes([4; 16]), &key()), Err(StateError::Foreign));
        // Every byte counts the same for the hash, so a sample of the large middle is enough.
        for at in (0..400).chain((400..bytes.len()).step_by(997)).chain(bytes.len() - 64..bytes.len()) {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(State::parse(&bad, VAULT, &key()).is_err(), "byte {at}");
        }
        for len in (0..200).chain([bytes.len() - 1]) {
            assert_eq!(State::parse(&bytes[..len], VAULT, &key()), Err(StateError::Damaged), "length {len}");
        }
        let mut newer = bytes.clone();
        newer[9] = 3;
        let end = newer.len() - 64;
        let hash = hash::sha256(&[&newer[..end]]);
        newer[end..end + 32].copy_from_slice(&hash);
        assert_eq!(State::parse(&newer, VAULT, &key()), Err(StateError::UnknownFormat(3)));
        let unsorted = State { tallies: vec![([2; 16], 2), ([1; 16], 1)], ..State::default() };
        assert_eq!(State::parse(&unsorted.encode(VAULT, &key()).unwrap(), VAULT, &key()), Err(StateError::Damaged));
    }

    #[test]
    fn a_clean_mark_is_whole_or_nothing() {
        let mark = encode_clean(VAULT, 7, &[5; 32], &key());
        assert_eq!(mark.len(), CLEAN_LEN);
        assert_eq!(parse_clean(&mark, VAULT, &key()), Some((7, [5; 32])));
        assert_eq!(parse_clean(&mark, VaultId::from_bytes([4; 16]), &key()), None);
        for bit in 0..mark.len() * 8 {
            let mut bad = mark.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse_clean(&bad, VAULT, &key()), None, "bit {bit}");
        }
        (0..mark.len()).for_each(|len| assert_eq!(parse_clean(&mark[..len], VAULT, &key()), None, "length {len}"));
        assert_eq!(parse_clean(&[&mark[..], &[0]].concat(), VAULT, &key()), None);
    }
}

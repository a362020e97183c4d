//! What must hold of this floor's decoders whatever the bytes. Each function answers whether the bytes were taken.
//!
//! Checksums and authentication codes are made good first, as somebody would who has the keys: otherwise nothing behind
//! them would ever be reached.

use super::envelope::{self, EnvelopeHead, Place as Where};
use super::frame::{
    CUT_LEN, END_MARK, Entry, Frame, FrameHead, FrameWriter, HEAD_LEN, MAX_LEN, Offsets, Op, SEAL_LEN, TAIL_LEN,
    put_cut,
};
use super::frame::{Write, frame_len};
use super::header::{HeaderContent, MAX_HEADER, MAX_SLOTS, MAX_WORK, UnverifiedHeader};
use super::key_file::{self, KEY_FILE_LEN};
use super::keyring::KeyMaterial;
use super::keys::{LookupRowKey, PatientKey, RecordKey, Tree};
use super::row::{self, Row};
use super::segment::{HEADER_LEN, SegmentHeader};
use super::slot::{Slot, is_sound_label};
use super::state::{self, State};
use super::{Fields, digest::Digest};
use crate::bytes::Put;
use crate::crypto::aead::Suite;
use crate::crypto::hash::{HmacKey, Prk, sha256, sha256_short};
use crate::crypto::kdf::SEAL_RECORD;
use crate::crypto::pad;
use crate::crypto::seal::{FLOOR_KEY, FLOOR_VALUE, Sealer};
use crate::ids::VaultId;

const VAULT: VaultId = VaultId::from_bytes([7; 16]);

fn key() -> HmacKey {
    HmacKey::new(&[1; 32])
}

/// `bytes` with `with` written over them from `at` on.
fn put_at(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}

pub(crate) fn header(bytes: &[u8]) -> bool {
    let _ = UnverifiedHeader::parse_padded(bytes);
    let mut whole = bytes.get(..bytes.len().min(MAX_HEADER)).unwrap_or_default().to_vec();
    let Some(body_end) = whole.len().checked_sub(64).filter(|end| *end >= 14) else { return false };
    let len = u32::try_from(whole.len()).unwrap();
    put_at(&mut whole, 10, &len.to_be_bytes());
    let mac = key().tag(&[&whole[..body_end]]);
    put_at(&mut whole, body_end, &mac);
    let hash = sha256(&[&whole[..body_end + 32]]);
    put_at(&mut whole, body_end + 32, &hash);
    let Ok(header) = UnverifiedHeader::parse(&whole) else { return false };
    let content: &HeaderContent = header.verify(&key()).unwrap();
    assert_eq!(content.encode(&key()).unwrap(), whole);
    assert!((1..=MAX_SLOTS).contains(&header.slots().len()));
    assert!(header.slots().iter().map(Slot::work).sum::<u64>() <= MAX_WORK);
    let padded = [&whole[..], &[0; 9]].concat();
    assert_eq!(UnverifiedHeader::parse_padded(&padded).unwrap(), header);
    true
}

pub(crate) fn slot(bytes: &[u8]) -> bool {
    let mut fields = Fields::new(bytes);
    let Ok(slot) = Slot::parse(&mut fields) else { return false };
    let mut again = Vec::new();
    slot.encode(&mut again).unwrap();
    assert_eq!(again, &bytes[..fields.offset()]);
    assert!(is_sound_label(&slot.label));
    slot.aad(VAULT, Suite::Aes256Gcm).unwrap();
    true
}

pub(crate) fn key_file(bytes: &[u8]) -> bool {
    let _ = key_file::parse(bytes);
    let mut whole = bytes.get(..bytes.len().min(KEY_FILE_LEN - 32)).unwrap_or_default().to_vec();
    let hash = sha256(&[&whole]);
    whole.extend_from_slice(&hash);
    let Ok((vault, key)) = key_file::parse(&whole) else { return false };
    assert_eq!(key_file::encode(vault, key.expose()).to_vec(), whole);
    true
}

pub(crate) fn keyring(bytes: &[u8]) -> bool {
    let Ok(keys) = KeyMaterial::parse(bytes) else { return false };
    assert_eq!(&keys.to_bytes()[..], bytes);
    assert!(keys.data.get(keys.data.newest().epoch).is_some());
    true
}

pub(crate) fn envelope(bytes: &[u8]) -> bool {
    let sealer = Sealer::new(Prk::from_key(&[3; 32]), SEAL_RECORD, FLOOR_VALUE);
    let place = Where { vault: VAULT, tree: Tree::Records, key: b"key" };
    // Whatever is sealed comes back, and nothing opens that was not sealed.
    let head = EnvelopeHead { suite: Suite::ChaCha20Poly1305, epoch: 1, generation: 2 };
    let sealed = envelope::seal_value(&sealer, head, place, bytes).unwrap();
    let (found, opened) = envelope::open_value(&sealer, place, &sealed).unwrap();
    assert_eq!((found, &opened[..]), (head, bytes));
    assert!(envelope::open_value(&sealer, Where { tree: Tree::Lookup, ..place }, &sealed).is_err());
    assert!(envelope::open_value(&sealer, place, bytes).is_err());
    let Ok((head, rest)) = envelope::parse(bytes) else { return false };
    assert_eq!([&head.to_bytes()[..], rest].concat(), bytes);
    true
}

pub(crate) fn padding(bytes: &[u8]) -> bool {
    let mut sound = false;
    for floor in [FLOOR_KEY, FLOOR_VALUE] {
        if let Some(body) = pad::unpad(bytes, floor) {
            assert_eq!(pad::pad(&bytes[body], floor, 16).unwrap(), bytes);
            sound = true;
        }
        let padded = pad::pad(bytes, floor, 16).unwrap();
        assert_eq!(pad::unpad(&padded, floor), Some(4..4 + bytes.len()));
    }
    sound
}

pub(crate) fn frame(bytes: &[u8]) -> bool {
    let _ = (FrameHead::parse(bytes), Frame::is_whole(bytes));
    assert!(Frame::parse(bytes, &HmacKey::new(&[9; 32])).is_err(), "a frame under a key that nobody has");
    let len = bytes.len().min(MAX_LEN) / 8 * 8;
    if len < SEAL_LEN {
        return false;
    }
    let mut whole = bytes[..len].to_vec();
    put_at(&mut whole, 4, &u32::try_from(len).unwrap().to_be_bytes());
    let check: [u8; 8] = sha256_short(&[&whole[..16]]);
    put_at(&mut whole, 16, &check);
    let end = len - TAIL_LEN;
    let hash = sha256(&[&whole[..end]]);
    let mac = key().tag(&[&whole[..HEAD_LEN], &hash]);
    put_at(&mut whole, end, &[&hash[..], &mac, &END_MARK].concat());
    let Ok(frame) = Frame::parse(&whole, &key()) else { return false };
    assert!(Frame::is_whole(&whole));
    let Ok(contents) = frame.contents() else { return false };

    let (mut offsets, mut body) = (Offsets::start(), 0);
    let at = |offset: u32, len: usize| whole.get(offset as usize..offset as usize + len);
    for write in &contents.writes {
        let value = match write.op {
            Op::Delete => &[][..],
            Op::Inline(value) | Op::Kept(value) => value,
        };
        body += Write::encoded_len(write.key.len(), value.len(), write.old_leaf.is_some());
        let offset = offsets.write(write.key.len(), value.len(), write.old_leaf.is_some());
        assert_eq!(at(offset, value.len()), Some(value));
    }
    offsets.entries(contents.cut);
    body += contents.cut.map_or(0, |_| CUT_LEN);
    for entry in &contents.entries {
        body += Entry::encoded_len(entry.bytes.len(), entry.subjects.len());
        let offset = offsets.entry(entry.bytes.len(), entry.subjects.len());
        assert_eq!(at(offset, entry.bytes.len()), Some(entry.bytes));
    }
    assert_eq!(frame_len(body), len);
    let mut again = Vec::new();
    let writes = contents.writes.len() + usize::from(contents.cut.is_some());
    let mut writer = FrameWriter::new(&mut again, &frame.link, body, writes).unwrap();
    contents.writes.iter().for_each(|write| write.encode(writer.writes()).unwrap());
    contents.cut.into_iter().for_each(|first| put_cut(first, writer.writes()));
    let out = writer.entries(contents.entries.len()).unwrap();
    contents.entries.iter().for_each(|entry| Entry::encode(entry.bytes, &entry.subjects, out).unwrap());
    assert_eq!(writer.finish(&key()).unwrap(), frame.hash);
    assert_eq!(again, whole);
    true
}

pub(crate) fn segment(bytes: &[u8]) -> bool {
    let mut whole = [0; HEADER_LEN];
    let fields = bytes.len().min(HEADER_LEN - 32);
    whole[..fields].copy_from_slice(&bytes[..fields]);
    let hash = sha256(&[&whole[..HEADER_LEN - 32]]);
    whole[HEADER_LEN - 32..].copy_from_slice(&hash);
    let Ok(header) = SegmentHeader::parse(&whole) else { return false };
    assert_eq!(header.encode(), whole);
    true
}

/// The bytes stand for what is between the vault's id and the digest; a digest of nothing is put behind them, because the
/// 184,360 bytes of one would leave the fuzzer little else to try.
pub(crate) fn state_file(bytes: &[u8]) -> bool {
    let _ = State::parse(bytes, VAULT, &key());
    // Each format from the first to the newest.
    (1..=state::FORMAT).filter(|format| state_file_of(*format, bytes)).count() > 0
}

fn state_file_of(format: u16, bytes: &[u8]) -> bool {
    let mut whole = Vec::new();
    whole.put(b"CVSTATE1");
    whole.put_u16(format);
    whole.put_u64(0);
    whole.put(VAULT.as_bytes());
    whole.put(bytes);
    Digest::default().encode(&mut whole);
    let len = u64::try_from(whole.len() + 64).unwrap();
    put_at(&mut whole, 10, &len.to_be_bytes());
    let hash = sha256(&[&whole]);
    whole.put(&hash);
    whole.put(&key().tag(&[b"CVSTATE1", &hash]));
    let Ok(state) = State::parse(&whole, VAULT, &key()) else { return false };
    assert_eq!(state.encode(VAULT, &key()).unwrap(), whole);
    true
}

pub(crate) fn clean_mark(bytes: &[u8]) -> bool {
    let mut whole = bytes.get(..bytes.len().min(64)).unwrap_or_default().to_vec();
    whole.resize(64, 0);
    put_at(&mut whole, 8, VAULT.as_bytes());
    let mac = key().tag(&[&whole]);
    whole.put(&mac);
    let Some((seq, hash)) = state::parse_clean(&whole, VAULT, &key()) else { return false };
    assert_eq!(state::encode_clean(VAULT, seq, &hash, &key()), whole);
    true
}

/// Rows of the trees, packs of entries, and storage keys.
pub(crate) fn rows(bytes: &[u8]) -> bool {
    let row = Row::parse(bytes);
    if let Ok(row) = &row {
        assert_eq!(row.encode(), bytes);
    }
    let pack = row::unpack(bytes);
    if let Ok(entries) = &pack {
        let mut again = Vec::new();
        entries.iter().for_each(|entry| row::put_packed(&mut again, entry).unwrap());
        assert_eq!(again, bytes);
    }
    if let Ok(key) = RecordKey::from_bytes(bytes) {
        assert_eq!(key.to_bytes(), bytes);
        assert!(key.number > 0 && key.version > 0);
    }
    if let Ok(key) = PatientKey::from_bytes(bytes) {
        assert_eq!(key.to_bytes(), bytes);
    }
    if let Ok(key) = LookupRowKey::from_bytes(bytes) {
        assert_eq!(key.to_bytes(), bytes);
    }
    row.is_ok() || pack.is_ok()
}

/// The slots of a header, each alone.
#[cfg(test)]
pub(crate) fn slots_of(header: &[u8]) -> Vec<Vec<u8>> {
    let encoded = |slot: &Slot| {
        let mut bytes = Vec::new();
        slot.encode(&mut bytes).unwrap();
        bytes
    };
    UnverifiedHeader::parse_padded(header).unwrap().slots().iter().map(encoded).collect()
}

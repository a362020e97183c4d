use proptest::prelude::*;

use super::kit::{self, START, VAULT};
use crate::audit::defect::EntryDefect;
use crate::audit::entry::{EntryKind, EntryRef, Front, MAX_ENTRY, MAX_PAYLOAD, OVERHEAD, entry_len};
use crate::clock::Timestamp;
use crate::crypto::aead::{self, Suite};
use crate::crypto::kdf;
use crate::crypto::seal::SealError;

const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

fn front(suite: Suite, seq: u64) -> Front {
    Front {
        kind: if seq == 0 { EntryKind::Genesis } else { EntryKind::Event },
        clock_step: seq == 2,
        suite,
        vault: VAULT,
        seq,
        time: Timestamp::from_micros(START),
        epoch: 1,
        key_id: 1,
        prev: if seq == 0 { [0; 32] } else { [0x44; 32] },
    }
}

fn seal(suite: Suite, seq: u64, payload: &[u8]) -> Vec<u8> {
    front(suite, seq).seal(&kit::keys(), payload, &[7; 32]).unwrap()
}

fn opens(bytes: &[u8]) -> bool {
    EntryRef::parse(bytes).is_ok_and(|entry| entry.is_under(&kit::keys()) && entry.open(&kit::keys()).is_ok())
}

fn defect(change: impl Fn(&mut Vec<u8>)) -> Option<EntryDefect> {
    let mut bytes = seal(SUITES[0], 1, b"payload");
    change(&mut bytes);
    EntryRef::parse(&bytes).err()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn open_inverts_seal(payload in proptest::collection::vec(any::<u8>(), 0..2000), seq in 0u64..4) {
        for suite in SUITES {
            let bytes = seal(suite, seq, &payload);
            let entry = EntryRef::parse(&bytes).unwrap();
            prop_assert_eq!(entry.front, front(suite, seq));
            prop_assert_eq!(&entry.open(&kit::keys()).unwrap()[..], &payload[..]);
            prop_assert_eq!(bytes.len(), entry_len(payload.len()));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0u8..7, flags: u8) {
        prop_assert!(!opens(&bytes));
        prop_assert!(!opens(&[b"CVA1", &[kind, flags][..], &bytes].concat()));
    }
}

#[test]
fn no_flipped_bit_opens() {
    for suite in SUITES {
        let good = seal(suite, 1, b"payload");
        assert!(opens(&good));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&bad), "bit {bit}");
        }
    }
}

#[test]
fn no_cut_or_longer_entry_is_parsed() {
    let good = seal(SUITES[0], 1, b"payload");
    for len in 0..good.len() {
        assert_eq!(EntryRef::parse(&good[..len]).err(), Some(EntryDefect::Truncated), "length {len}");
    }
    assert_eq!(EntryRef::parse(&[&good[..], &[0]].concat()).err(), Some(EntryDefect::Trailing));
}

#[test]
fn each_structural_defect_has_its_name() {
    assert_eq!(defect(|_| ()), None);
    assert_eq!(defect(|bytes| bytes[3] = b'2'), Some(EntryDefect::Magic));
    for kind in [0, 6, 255] {
        assert_eq!(defect(|bytes| bytes[4] = kind), Some(EntryDefect::UnknownKind(kind)));
    }
    for bit in 1..4 {
        assert_eq!(defect(|bytes| bytes[5] |= 1 << bit), Some(EntryDefect::ReservedFlag));
    }
    for suite in [0, 3, 15] {
        assert_eq!(defect(|bytes| bytes[5] = suite << 4), Some(EntryDefect::UnknownSuite(suite)));
    }
    assert_eq!(defect(|bytes| bytes[4] = 1), Some(EntryDefect::Genesis), "a genesis entry in the middle");
    assert_eq!(defect(|bytes| bytes[22..30].fill(0)), Some(EntryDefect::Genesis), "an event as the first entry");
    let mut genesis = seal(SUITES[0], 0, b"");
    genesis[46] = 1;
    assert_eq!(EntryRef::parse(&genesis).err(), Some(EntryDefect::Genesis), "a genesis entry after something");
    for ct_len in [0, 63, 67, 63_489, u16::MAX] {
        let set = |bytes: &mut Vec<u8>| bytes[126..128].copy_from_slice(&ct_len.to_be_bytes());
        assert_eq!(defect(set), Some(EntryDefect::Size), "ct_len {ct_len}");
    }
}

#[test]
fn the_largest_payload_is_exact() {
    assert!(entry_len(MAX_PAYLOAD) <= MAX_ENTRY && entry_len(MAX_PAYLOAD + 1) > MAX_ENTRY);
    let bytes = seal(SUITES[0], 1, &vec![1; MAX_PAYLOAD]);
    assert!(opens(&bytes));
    let larger = front(SUITES[0], 1).seal(&kit::keys(), &vec![1; MAX_PAYLOAD + 1], &[7; 32]);
    assert_eq!(larger, Err(SealError::TooLarge));
}

#[test]
fn a_repeating_random_generator_still_gives_other_salts_for_other_entries() {
    let salt = |seq, payload: &[u8]| seal(SUITES[0], seq, payload)[78..94].to_vec();
    assert_eq!(salt(1, b"a"), salt(1, b"a"));
    assert_ne!(salt(1, b"a"), salt(1, b"b"));
    assert_ne!(salt(1, b"a"), salt(2, b"a"));
}

/// Someone who knows two keys writes the commitment of the second one over that of the first.
#[test]
fn an_entry_opens_under_no_second_key() {
    let mut bytes = seal(SUITES[0], 1, b"payload");
    let second = kit::audit_keys(0xA2);
    assert!(EntryRef::parse(&bytes).unwrap().open(&second).is_err());
    let (_, commitment) = kdf::audit_open(&second.entry_key(&[&bytes[..94]]));
    bytes[94..126].copy_from_slice(&commitment);
    let entry = EntryRef::parse(&bytes).unwrap();
    assert!(entry.open(&kit::keys()).is_err() && entry.open(&second).is_err());
}

/// Someone who knows the key writes what padding never gives.
#[test]
fn wrong_padding_under_a_valid_tag_is_refused() {
    let good = seal(SUITES[0], 1, b"payload");
    let (key, _) = kdf::audit_open(&kit::keys().entry_key(&[&good[..94]]));
    let reseal = |change: fn(&mut [u8])| {
        let mut padded = good[128..].to_vec();
        aead::decrypt(SUITES[0], key.expose(), &mut padded).unwrap();
        change(&mut padded);
        aead::encrypt(SUITES[0], key.expose(), &mut padded).unwrap();
        [&good[..128], &padded].concat()
    };
    assert!(opens(&reseal(|_| ())));
    assert!(!opens(&reseal(|padded| padded[63] = 1)));
    assert!(!opens(&reseal(|padded| padded[3] = 61)));
    assert!(!opens(&reseal(|padded| padded[0] = 0xFF)));
}

#[test]
fn an_entry_key_opens_its_entry_and_no_other() {
    let (one, two) = (seal(SUITES[0], 1, b"payload"), seal(SUITES[0], 2, b"payload"));
    let key = kit::keys().entry_key(&[&one[..94]]);
    assert!(EntryRef::parse(&one).unwrap().open_with_entry_key(&key).is_ok());
    assert!(EntryRef::parse(&two).unwrap().open_with_entry_key(&key).is_err());
    assert_eq!(one.len(), OVERHEAD + 64);
}

use super::*;
use crate::crypto::hash::Prk;
use crate::crypto::kdf::{SEAL_POLICY, SEAL_RECORD};
use crate::crypto::seal::FLOOR_VALUE;
use proptest::prelude::*;

const VAULT: VaultId = VaultId::from_bytes([0xA1; 16]);
const HEAD: EnvelopeHead = EnvelopeHead { suite: Suite::ChaCha20Poly1305, epoch: 2, generation: 3 };
const HERE: Place<'static> = Place { vault: VAULT, tree: Tree::Records, key: b"storage key" };

fn sealer(key: u8) -> Sealer {
    Sealer::new(Prk::from_key(&[key; 32]), SEAL_RECORD, FLOOR_VALUE)
}

fn sealed() -> Vec<u8> {
    seal_value(&sealer(1), HEAD, HERE, b"body").unwrap().to_vec()
}

proptest! {
    #[test]
    fn envelopes_round_trip(
        aes: bool, epoch: u32, generation: u32,
        key in proptest::collection::vec(any::<u8>(), 0..50), body in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let suite = if aes { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
        let head = EnvelopeHead { suite, epoch, generation };
        let place = Place { key: &key, ..HERE };
        let envelope = seal_value(&sealer(1), head, place, &body).unwrap();
        prop_assert_eq!(envelope.len(), HEAD_LEN + sealer(1).sealed_len(body.len()));
        prop_assert_eq!(&envelope[..HEAD_LEN], &head.to_bytes()[..]);
        let (found, opened) = open_value(&sealer(1), place, &envelope).unwrap();
        prop_assert_eq!(found, head);
        prop_assert_eq!(&opened[..], &body[..]);
    }

    #[test]
    fn parsing_any_bytes_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let envelope = sealed();
    for bit in 0..envelope.len() * 8 {
        let mut bad = envelope.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(open_value(&sealer(1), HERE, &bad).is_err(), "bit {bit}");
    }
}

#[test]
fn every_cut_and_extension_is_refused() {
    let envelope = sealed();
    for len in 0..envelope.len() {
        assert!(open_value(&sealer(1), HERE, &envelope[..len]).is_err(), "length {len}");
    }
    let longer = [&envelope[..], &[0]].concat();
    assert_eq!(open_value(&sealer(1), HERE, &longer).unwrap_err(), EnvelopeError::DoesNotOpen);
}

#[test]
fn a_value_moved_to_another_vault_tree_or_key_does_not_open() {
    let envelope = sealed();
    assert!(open_value(&sealer(1), HERE, &envelope).is_ok());
    let elsewhere = [
        Place { vault: VaultId::from_bytes([0xA2; 16]), ..HERE },
        Place { tree: Tree::Patients, ..HERE },
        Place { tree: Tree::Lookup, ..HERE },
        Place { tree: Tree::Policy, ..HERE },
        Place { key: b"storage kez", ..HERE },
        Place { key: b"storage ke", ..HERE },
        Place { key: b"storage key\0", ..HERE },
    ];
    for place in elsewhere {
        assert_eq!(open_value(&sealer(1), place, &envelope).unwrap_err(), EnvelopeError::DoesNotOpen, "{place:?}");
    }
}

#[test]
fn suite_epoch_and_generation_cannot_be_exchanged() {
    for (at, value) in [(1, 2), (7, 3), (11, 4)] {
        let mut other = sealed();
        other[at] = value;
        assert!(parse(&other).is_ok(), "byte {at}");
        assert_eq!(open_value(&sealer(1), HERE, &other).unwrap_err(), EnvelopeError::DoesNotOpen, "byte {at}");
    }
}

#[test]
fn unknown_format_suite_and_flag_are_named() {
    let with = |at: usize, value: u8| {
        let mut other = sealed();
        other[at] = value;
        parse(&other).unwrap_err()
    };
    assert_eq!(with(0, 2), ParseError::UnknownFormat { found: 2, newest: 1 });
    assert_eq!(with(0, 0), ParseError::BadValue { field: "format", offset: 0 });
    assert_eq!(with(1, 0), ParseError::UnknownSuite { found: 0 });
    assert_eq!(with(1, 3), ParseError::UnknownSuite { found: 3 });
    assert_eq!(with(2, 1), ParseError::BadValue { field: "flags", offset: 2 });
    assert_eq!(with(3, 1), ParseError::BadValue { field: "flags", offset: 2 });
    assert_eq!(parse(&sealed()[..11]), Err(ParseError::CutShort { field: "generation", offset: 8 }));
    let shortest = HEAD_LEN + MIN_SEALED;
    assert!(parse(&sealed()[..shortest]).is_ok());
    assert_eq!(parse(&sealed()[..shortest - 1]), Err(ParseError::CutShort { field: "sealed value", offset: 12 }));
}

/// The commitment ties a ciphertext to one key: nothing but the right one passes, and a foreign one is judged even
/// where salt and ciphertext are right.
#[test]
fn another_key_label_or_commitment_does_not_open() {
    let envelope = sealed();
    let theirs = seal_value(&sealer(2), HEAD, HERE, b"body").unwrap();
    let policy = Sealer::new(Prk::from_key(&[1; 32]), SEAL_POLICY, FLOOR_VALUE);
    assert_eq!(open_value(&sealer(2), HERE, &envelope).unwrap_err(), EnvelopeError::DoesNotOpen);
    assert_eq!(open_value(&policy, HERE, &envelope).unwrap_err(), EnvelopeError::DoesNotOpen);
    let mut grafted = envelope;
    let commitment = HEAD_LEN + 32..HEAD_LEN + SEALED_HEAD;
    grafted[commitment.clone()].copy_from_slice(&theirs[commitment]);
    assert_eq!(open_value(&sealer(1), HERE, &grafted).unwrap_err(), EnvelopeError::DoesNotOpen);
}

#[test]
fn a_storage_key_too_long_for_its_length_field_is_refused() {
    let key = vec![0; 65_536];
    let place = Place { key: &key, ..HERE };
    assert_eq!(seal_value(&sealer(1), HEAD, place, b"body"), Err(SealError::TooLarge));
    assert_eq!(open_value(&sealer(1), place, &sealed()).unwrap_err(), EnvelopeError::DoesNotOpen);
}

/// docs/format/envelope.md, "Worked example": each line is what the code makes, and the envelope opens.
#[test]
fn the_worked_example_is_true() {
    use crate::crypto::hash::{HmacKey, hmac, sha256};
    use crate::crypto::kdf;
    use crate::format::keys::RecordKey;
    use crate::format::worked;
    use crate::ids::PatientId;
    use crate::secret::{Key, Secret};

    let page = include_str!("../../../docs/format/envelope.md");
    let key = |name| worked::array::<32>(page, name);
    let index = HmacKey::new(&key("K_index"));
    let patient_tag = kdf::patient_tag(&index, PatientId::from_bytes(worked::array(page, "patient_id")));
    assert_eq!(patient_tag, worked::array(page, "patient_tag"));
    assert_eq!(*kdf::kind_id("allergy").as_bytes(), worked::array(page, "kind_id"));
    let kind_tag = kdf::kind_tag(&index, &patient_tag, kdf::kind_id("allergy"));
    assert_eq!(kind_tag, worked::array(page, "kind_tag"));
    let storage_key = RecordKey { patient_tag, kind_tag, number: 1, version: 1 }.to_bytes();
    assert_eq!(storage_key, worked::array(page, "storage_key"));

    let head = EnvelopeHead { suite: Suite::ChaCha20Poly1305, epoch: 1, generation: 1 };
    let vault = VaultId::from_bytes(worked::array(page, "vault_id"));
    let place = Place { vault, tree: Tree::Records, key: &storage_key };
    let aad = aad(head, place).unwrap();
    assert_eq!(aad, worked::bytes(page, "aad"));

    // The derivation once more, step by step as the page says it.
    let master = Prk::from_key(&key("DK_1")).expand32(&[b"\x1bchartvault/v1/record-master"]);
    assert_eq!(*master.expose(), key("record_master"));
    let prk = hmac(master.expose(), &[&key("PS")]);
    assert_eq!(prk, key("record_prk"));
    let prk = Prk::from_key(&prk);
    assert_eq!(*prk.expand32(&[b"\x1achartvault/v1/record-hedge"]).expose(), key("hedge"));
    let aad_len = u64::try_from(aad.len()).unwrap().to_be_bytes();
    let context = sha256(&[&aad_len, &aad, &key("salt")]);
    let (aead_key, commitment) = prk.expand64(&[b"\x14chartvault/v1/record", &context]);
    assert_eq!((*aead_key.expose(), commitment), (key("aead_key"), key("commitment")));

    let master = Prk::from_key(&key("CK")).expand32(&[b"\x20chartvault/v1/compartment-master"]);
    let record = prk.expand32(&[b"\x19chartvault/v1/compartment"]);
    assert_eq!(hmac(master.expose(), &[record.expose()]), key("compartment_prk"));
    let kept_apart = kdf::compartment_prk(&Key::new(Secret::take(&mut key("CK"))), &prk);
    let expected = Prk::from_key(&key("compartment_prk"));
    assert_eq!(kept_apart.expand32(&[b"x"]).expose(), expected.expand32(&[b"x"]).expose());

    let data = Key::new(Secret::take(&mut key("DK_1")));
    let patient = Key::new(Secret::take(&mut key("PS")));
    let sealer = Sealer::new(kdf::record_prk(&data, &patient), SEAL_RECORD, FLOOR_VALUE);
    let body = worked::bytes(page, "body");
    let sealed = sealer.seal_with(head.suite, &aad, &body, &key("random")).unwrap();
    let envelope = [&head.to_bytes()[..], &sealed].concat();
    assert_eq!(envelope, worked::bytes(page, "envelope"));
    let (found, opened) = open_value(&sealer, place, &worked::bytes(page, "envelope")).unwrap();
    assert_eq!((found, &opened[..]), (head, &body[..]));
}

/// A label that `kdf.rs` has and the page lacks would leave a reader in another language without it.
#[test]
fn every_label_stands_on_the_page() {
    let (code, page) = (include_str!("../../crypto/kdf.rs"), include_str!("../../../docs/format/envelope.md"));
    let labels: Vec<&str> = code.split("label!(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(labels.len() > 30, "{}", labels.len());
    for label in labels.iter().filter(|label| !label.ends_with("-hedge") || **label == "audit-hedge") {
        let named = page.contains(&format!("L(\"{label}\")")) || page.contains(&format!("`{label}`"));
        assert!(named, "docs/format/envelope.md does not name the label {label}");
    }
}

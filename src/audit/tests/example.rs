//! The worked example of docs/format/audit.md, recomputed from its inputs.

use data_encoding::HEXLOWER;

use super::kit;
use crate::audit::chain::Chain;
use crate::audit::draft::Draft;
use crate::audit::entry::{EntryRef, leaf_hash};
use crate::audit::event::{AuditEvent, Outcome};
use crate::audit::keys::AuditKeys;
use crate::audit::subject::AuditRecord;
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::crypto::kdf;
use crate::ids::{KindId, PatientId, PrincipalId};
use crate::secret::{Key, Secret};
use crate::terms::{Action, Purpose};

const PAGE: &str = include_str!("../../../docs/format/audit.md");

/// The bytes in the first code block after the line `Example bytes: <name>`.
fn on_page(name: &str) -> String {
    let mark = format!("Example bytes: {name}\n");
    let after = PAGE.split_once(&mark).unwrap_or_else(|| panic!("{name} is not on the page")).1;
    let block = after.split("```").nth(1).unwrap().strip_prefix("text\n").unwrap();
    block.split_whitespace().collect()
}

#[test]
fn the_page_is_true_to_the_code() {
    let secret = |byte| Secret::take(&mut [byte; 32]);
    let keys = AuditKeys::new(1, Key::new(secret(0xA1)));
    let subject = std::sync::Arc::new(keys.subject(&Key::new(secret(0xB2))));
    let patient = PatientId::from_bytes([0xC3; 16]);
    let kind: KindId = kdf::kind_id("allergy");
    let version_tag = subject.version_tag(patient, kind, 1, 1, b"body");

    let mut draft = Draft::new(AuditEvent::RecordRead, Outcome::Allowed);
    draft.fields.actor = Some::<PrincipalId>(kdf::principal_id("dr.osei"));
    draft.fields.action = Some(Action::Read);
    draft.fields.purpose = Some(Purpose::Treatment);
    draft.fields.host = Some("ward-3".to_owned());
    draft.subjects = kit::read(1).subjects;
    let stands = &mut draft.subjects[0];
    (stands.patient, stands.patient_tag, stands.key) = (patient, [0xD4; 16], subject);
    stands.records = vec![AuditRecord::new(kind, 1, 1, version_tag)];

    let mut chain = Chain::new(kit::VAULT, None);
    let mut append = |draft: Draft, time| {
        let prepared = draft.prepare_with(|more| Ok(([0xE5; 32], vec![[0xE5; 32]; more]))).unwrap();
        chain.append(&keys, Suite::ChaCha20Poly1305, Timestamp::from_micros(time), prepared, |_| 1).unwrap()
    };
    let genesis = append(kit::genesis(), kit::START);
    let entry = append(draft, kit::START + 1_000_000);
    let payload = EntryRef::parse(&entry).unwrap().open(&keys).unwrap();
    let mut block = [&[0xC3; 16][..], &1u64.to_be_bytes(), &[0, 1], kind.as_bytes(), &[0, 1]].concat();
    block.extend([&1u64.to_be_bytes()[..], &1u32.to_be_bytes(), &version_tag].concat());

    for (name, bytes) in [
        ("genesis entry", &genesis[..]),
        ("block", &block),
        ("payload", &payload),
        ("entry", &entry),
        ("leaf of the entry", &leaf_hash(&entry)),
    ] {
        assert_eq!(on_page(name), HEXLOWER.encode(bytes), "{name}");
    }
}

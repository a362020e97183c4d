//! What the tests of this floor share: keys, patients, and logs to attack.

use std::sync::Arc;

use crate::audit::chain::Chain;
use crate::audit::draft::Draft;
use crate::audit::entry::{EntryKind, EntryRef};
use crate::audit::event::{AuditEvent, Outcome};
use crate::audit::keys::{AuditKeys, SubjectKey};
use crate::audit::pruned::LogPruned;
use crate::audit::reads::Reads;
use crate::audit::subject::{AuditRecord, DraftSubject};
use crate::audit::view::{AuditEntry, OpenEntryError, open_entry};
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::ids::{
    AttesterId, DeviceId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, SessionId, Ticket, VaultId,
};
use crate::secret::{Key, Secret};
use crate::terms::{Action, Purpose};

pub(crate) const VAULT: VaultId = VaultId::from_bytes([0x11; 16]);
pub(crate) const OTHER_VAULT: VaultId = VaultId::from_bytes([0x22; 16]);
pub(crate) const START: i64 = 1_767_614_400_000_000;
pub(crate) const SUITE: Suite = Suite::ChaCha20Poly1305;

pub(crate) fn audit_keys(byte: u8) -> AuditKeys {
    AuditKeys::new(1, Key::new(Secret::take(&mut [byte; 32])))
}

pub(crate) fn keys() -> AuditKeys {
    audit_keys(0xA1)
}

pub(crate) fn patient(n: u8) -> PatientId {
    PatientId::from_bytes([n; 16])
}

pub(crate) fn patient_tag(n: u8) -> [u8; 16] {
    [n ^ 0x80; 16]
}

pub(crate) fn subject_key(n: u8) -> SubjectKey {
    keys().subject(&Key::new(Secret::take(&mut [n; 32])))
}

pub(crate) fn subject(n: u8, records: Vec<AuditRecord>) -> DraftSubject {
    DraftSubject {
        patient: patient(n),
        patient_tag: patient_tag(n),
        generation: 1,
        key: Arc::new(subject_key(n)),
        records,
    }
}

pub(crate) fn record(kind: u8, number: u64) -> AuditRecord {
    AuditRecord::new(KindId::from_bytes([kind; 16]), number, 1, [0xEE; 16])
}

pub(crate) fn genesis() -> Draft {
    Draft { kind: EntryKind::Genesis, ..Draft::new(AuditEvent::VaultCreated, Outcome::Allowed) }
}

/// A read of one record of patient `n`.
pub(crate) fn read(n: u8) -> Draft {
    let mut draft = Draft::new(AuditEvent::RecordRead, Outcome::Allowed);
    draft.fields.actor = Some(PrincipalId::from_bytes([0x33; 16]));
    draft.subjects.push(subject(n, vec![record(1, 1)]));
    draft
}

/// Every field that a draft can have.
pub(crate) fn full() -> Draft {
    let mut draft = Draft::new(AuditEvent::RecordRead, Outcome::Denied);
    let fields = &mut draft.fields;
    fields.actor = Some(PrincipalId::from_bytes([0x33; 16]));
    fields.issuer = Some(IssuerId::from_bytes([0x34; 16]));
    fields.revocation_ids = vec![RevocationId::from_bytes([0x35; 16]), RevocationId::from_bytes([0x36; 16])];
    fields.session = Some(SessionId::from_bytes([0x37; 16]));
    fields.action = Some(Action::Read);
    fields.purpose = Some(Purpose::SystemAdministration);
    fields.reason = Some(999);
    fields.ticket = Some(Ticket::from_bytes([0x38; 16]));
    fields.kind = Some(KindId::from_bytes([1; 16]));
    fields.requested = Some(patient(0x39));
    fields.count = Some(999);
    fields.detail = Some("entered in error".to_owned());
    fields.request_id = Some("req-7".to_owned());
    fields.host = Some("ward-3".to_owned());
    fields.device = Some("tablet-12".to_owned());
    super::super::consent::note(&mut fields.consent, false, "no directive");
    draft.subjects.push(subject(1, vec![record(1, 1), record(1, 2), record(2, 1)]));
    draft
}

/// A session opened with all that can be shown beside a token.
pub(crate) fn opened_with_proofs() -> Draft {
    let mut draft = Draft::new(AuditEvent::SessionOpened, Outcome::Allowed);
    draft.fields.device = Some(DeviceId::from_bytes([0x3A; 32]).to_string());
    draft.fields.possession = true;
    draft.fields.attesters = vec![AttesterId::from_bytes([0x3B; 16]), AttesterId::from_bytes([0x3C; 16])];
    draft
}

/// Three reads of two patients.
pub(crate) fn several_reads() -> Draft {
    let at = |micros| Timestamp::from_micros(START + micros);
    let mut reads = Reads::of(read(1), at(0));
    for (patient, micros) in [(2, 40), (1, 75_000)] {
        assert!(reads.add(read(patient), at(micros)).is_none());
    }
    reads.into_draft()
}

/// Two tiles were removed, the first of which had been the third of the log.
pub(crate) fn pruning() -> Draft {
    let (last, root, archive) = ([0x1A; 32], [0x1B; 32], [0x1C; 32]);
    let last_time = Timestamp::from_micros(START - 1);
    let (second, epochs) = (PrincipalId::from_bytes([0x1D; 16]), (1, 4));
    let pruned = LogPruned { first: 512, end: 1_024, last, last_time, root, archive, second, epochs };
    Draft::new(AuditEvent::LogPruned, Outcome::Allowed).pruning(pruned)
}

pub(crate) fn full_entry() -> AuditEntry {
    let entries = log(vec![genesis(), full()]);
    open(&EntryRef::parse(&entries[1]).unwrap()).unwrap()
}

/// The entries of a log in which every patient's counter runs from 1; the same bytes for the same drafts.
pub(crate) fn log(drafts: Vec<Draft>) -> Vec<Vec<u8>> {
    log_of(VAULT, &keys(), drafts)
}

pub(crate) fn log_of(vault: VaultId, keys: &AuditKeys, drafts: Vec<Draft>) -> Vec<Vec<u8>> {
    let mut chain = Chain::new(vault, None);
    let mut counters = std::collections::HashMap::new();
    let append = |(second, draft): (i64, Draft)| {
        let now = Timestamp::from_micros(START + second * 1_000_000);
        let counter = |patient| {
            let counter = counters.entry(patient).or_insert(0);
            *counter += 1;
            *counter
        };
        chain
            .append(
                keys,
                SUITE,
                now,
                draft.prepare_with(|more| Ok(([0x5E; 32], vec![[0x5E; 32]; more]))).unwrap(),
                counter,
            )
            .unwrap()
    };
    (0..).zip(drafts).map(append).collect()
}

/// Opens under the keys that [`log`] used.
pub(crate) fn open(entry: &EntryRef<'_>) -> Result<AuditEntry, OpenEntryError> {
    open_entry(entry, &keys(), |_, tag, generation| (generation == 1).then(|| subject_key(tag[0] ^ 0x80)))
}

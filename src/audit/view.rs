//! An entry opened and readable.

use std::borrow::Borrow;
use std::fmt;

use super::consent::AuditConsent;
use super::defect::EntryDefect;
use super::entry::{EntryKind, EntryRef, Front};
use super::event::{AuditEvent, Outcome};
use super::keys::{AuditKeys, SubjectKey};
use super::payload::{Payload, tag};
use super::pruned::LogPruned;
use super::reads::{self, AuditRead};
use super::subject::{AuditSubject, BlockPlace, MAX_RECORDS_PER_ENTRY, SubjectRef};
use crate::clock::Timestamp;
use crate::ids::{AttesterId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, SessionId, Ticket};
use crate::terms::{Action, Purpose};

/// One entry of the audit log: who did what to whom, when, why, and how it ended.
///
/// `Display` gives one line of at most 140 columns with abbreviated ids; `Debug` gives the same, so that no text that a
/// person typed gets into a log by accident.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its number in the log, from 0 and without gaps.
    pub seq: u64,
    /// When. Never before the entry before it.
    pub time: Timestamp,
    /// What the system clock said, where it stood more than 120 s before the entry before; `time` is that entry's then.
    pub clock: Option<Timestamp>,
    /// What happened.
    pub event: AuditEvent,
    /// How it ended.
    pub outcome: Outcome,
    /// Who.
    pub actor: Option<PrincipalId>,
    /// Who issued the actor's token.
    pub issuer: Option<IssuerId>,
    /// The revocation ids of all blocks of the token.
    pub revocation_ids: Vec<RevocationId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// Under which right.
    pub action: Option<Action>,
    /// For which purpose.
    pub purpose: Option<Purpose>,
    /// The code of the rule that denied it.
    pub reason: Option<u16>,
    /// The ticket that the caller was given with the denial.
    pub ticket: Option<Ticket>,
    /// Which kind of records, where one was asked for.
    pub kind: Option<KindId>,
    /// The patient that was asked for, where there is no such patient.
    pub requested: Option<PatientId>,
    /// How many: identical denials that this entry stands for, failed attempts to unlock, or records given out.
    pub count: Option<u32>,
    /// Free text, such as the reason of a void or an amendment. At most 1,024 bytes.
    pub detail: Option<String>,
    /// The host's own request id. At most 128 bytes.
    pub request_id: Option<String>,
    /// The host's name. At most 128 bytes.
    pub host: Option<String>,
    /// The device: the id of one that was shown when the session was opened. At most 128 bytes.
    pub device: Option<String>,
    /// Whether the session was opened with a proof of possession of the token's last key.
    pub possession: bool,
    /// Whose attestations the session was opened with, or which attester was trusted.
    pub attesters: Vec<AttesterId>,
    /// Of a denial: all that refused, as the number of a block and the code of [`DenyReason`](crate::DenyReason); empty in
    /// entries of earlier versions.
    pub refusals: Vec<(u8, u16)>,
    /// What the host's [`Consent`](crate::Consent) answered, where it was asked.
    pub consent: Vec<AuditConsent>,
    /// What was removed from the log with it.
    pub pruned: Option<LogPruned>,
    /// The patients that it is about, with the records touched.
    pub subjects: Vec<AuditSubject>,
    /// Where several reads of one session share the entry ([`ReadAudit::Windowed`](crate::ReadAudit::Windowed)): each of
    /// them, in order. Otherwise empty.
    pub reads: Vec<AuditRead>,
}

/// Why an entry is not readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenEntryError {
    #[error("the entry is sealed under epoch {epoch}, key {key_id}, which is not the key given")]
    OtherKey { epoch: u32, key_id: u32 },
    #[error("the entry does not open under its key")]
    Sealed,
    #[error("what the entry says about its patient number {index} does not open")]
    Subject { index: u16 },
    #[error("the entry opens, but {0}")]
    Defect(#[from] EntryDefect),
}

/// Opens an entry. `subject_key` finds a patient's key by epoch, patient tag and generation; `None` means that the patient was
/// erased, and what is said about them stays closed without an error.
pub(crate) fn open_entry<K: Borrow<SubjectKey>>(
    entry: &EntryRef<'_>,
    keys: &AuditKeys,
    mut subject_key: impl FnMut(u32, &[u8; 16], u32) -> Option<K>,
) -> Result<AuditEntry, OpenEntryError> {
    let front = &entry.front;
    if !entry.is_under(keys) {
        return Err(OpenEntryError::OtherKey { epoch: front.epoch, key_id: front.key_id });
    }
    let payload = entry.open(keys).map_err(|_| OpenEntryError::Sealed)?;
    let Payload { fields, subjects: closed, clock, reads } = Payload::decode(&payload)?;
    if (front.kind == EntryKind::Prune) != fields.pruned.is_some() {
        return Err(EntryDefect::MissingField(tag::PRUNED).into());
    }
    let mut subjects = Vec::with_capacity(closed.len());
    let mut records = 0;
    for (index, subject) in (0..).zip(&closed) {
        let place = BlockPlace { vault: front.vault, seq: front.seq, index };
        let key = subject_key(front.epoch, &subject.patient_tag, subject.generation);
        let opened = open_subject(subject, key, front.suite, place)?;
        records += opened.records.len();
        if opened.patient.is_some() && !reads::adds_up(&reads, usize::from(index), opened.records.len()) {
            return Err(EntryDefect::FieldValue(tag::READS).into());
        }
        if records > MAX_RECORDS_PER_ENTRY {
            return Err(EntryDefect::FieldValue(tag::SUBJECTS).into());
        }
        subjects.push(opened);
    }
    Ok(AuditEntry {
        seq: front.seq,
        time: front.time,
        clock,
        event: fields.event,
        outcome: fields.outcome,
        actor: fields.actor,
        issuer: fields.issuer,
        revocation_ids: fields.revocation_ids,
        session: fields.session,
        action: fields.action,
        purpose: fields.purpose,
        reason: fields.reason,
        ticket: fields.ticket,
        kind: fields.kind,
        requested: fields.requested,
        count: fields.count,
        detail: fields.detail,
        request_id: fields.request_id,
        host: fields.host,
        device: fields.device,
        possession: fields.possession,
        attesters: fields.attesters,
        refusals: fields.refusals,
        consent: fields.consent,
        pruned: fields.pruned,
        subjects,
        reads: reads.into_iter().map(|read| read.shown(clock.unwrap_or(front.time))).collect(),
    })
}

/// The patient tags of the subjects that an entry names.
pub(crate) fn subject_tags(entry: &EntryRef<'_>, keys: &AuditKeys) -> Result<Vec<[u8; 16]>, OpenEntryError> {
    let Front { epoch, key_id, .. } = entry.front;
    if !entry.is_under(keys) {
        return Err(OpenEntryError::OtherKey { epoch, key_id });
    }
    let payload = entry.open(keys).map_err(|_| OpenEntryError::Sealed)?;
    Ok(Payload::decode(&payload)?.subjects.iter().map(|subject| subject.patient_tag).collect())
}

fn open_subject<K: Borrow<SubjectKey>>(
    subject: &SubjectRef<'_>,
    key: Option<K>,
    suite: crate::crypto::aead::Suite,
    place: BlockPlace,
) -> Result<AuditSubject, OpenEntryError> {
    match key {
        None => Ok(AuditSubject { patient: None, counter: None, records: Vec::new() }),
        Some(key) => subject.open(key.borrow(), suite, place).ok_or(OpenEntryError::Subject { index: place.index }),
    }
}

impl fmt::Display for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = Timestamp::from_micros(self.time.as_micros().div_euclid(1_000_000).saturating_mul(1_000_000));
        write!(f, "{second} {} {}", self.event, self.outcome)?;
        if let Some(reason) = self.reason {
            write!(f, "({reason})")?;
        }
        if let Some(count) = self.count.filter(|count| *count > 1) {
            write!(f, " x{count}")?;
        }
        if !self.reads.is_empty() {
            write!(f, " x{}", self.reads.len())?;
        }
        match &self.actor {
            Some(actor) => write!(f, " {}", Short(actor.as_bytes()))?,
            None => f.write_str(" -")?,
        }
        self.fmt_patients(f)?;
        if let Some(purpose) = self.purpose {
            write!(f, " {purpose}")?;
        }
        self.ticket.map_or(Ok(()), |ticket| write!(f, " #{}", Short(ticket.as_bytes())))
    }
}

impl AuditEntry {
    fn fmt_patients(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.subjects.as_slice(), &self.requested) {
            ([], None) => Ok(()),
            ([], Some(requested)) => write!(f, " on {}?", Short(requested.as_bytes())),
            ([AuditSubject { patient: Some(patient), .. }], _) => write!(f, " on {}", Short(patient.as_bytes())),
            ([_], _) => f.write_str(" on erased"),
            (several, _) => write!(f, " on {} patients", several.len()),
        }
    }
}

impl fmt::Debug for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditEntry({}: {self})", self.seq)
    }
}

/// The first four bytes of an id, enough to tell two apart on a screen.
struct Short<'a>(&'a [u8; 16]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

//! The payload of an entry: tagged fields, ascending, so that later versions can add fields and earlier ones know
//! whether they may ignore them.

use std::collections::BTreeSet;

use super::consent::{self, AuditConsent};
use super::defect::EntryDefect;
use super::event::{AuditEvent, Outcome};
use super::pruned::LogPruned;
use super::reads::{self, ReadMark};
use super::subject::SubjectRef;
use crate::bytes::{Put, Reader, TooLong};
use crate::clock::Timestamp;
use crate::ids::{AttesterId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, SessionId, Ticket};
use crate::terms::{Action, Purpose};

/// Tags of the fields. One without its top bit set must be understood by whoever reads the entry.
pub(crate) mod tag {
    pub(crate) const EVENT: u16 = 0x0001;
    pub(crate) const OUTCOME: u16 = 0x0002;
    pub(crate) const ACTOR: u16 = 0x0003;
    pub(crate) const ISSUER: u16 = 0x0004;
    pub(crate) const REVOCATION_IDS: u16 = 0x0005;
    pub(crate) const SESSION: u16 = 0x0006;
    pub(crate) const ACTION: u16 = 0x0007;
    pub(crate) const PURPOSE: u16 = 0x0008;
    pub(crate) const REASON: u16 = 0x0009;
    pub(crate) const TICKET: u16 = 0x000A;
    pub(crate) const KIND: u16 = 0x000B;
    pub(crate) const REQUESTED: u16 = 0x000C;
    pub(crate) const COUNT: u16 = 0x000D;
    pub(crate) const SUBJECTS: u16 = 0x0100;
    pub(super) const IGNORABLE: u16 = 0x8000;
    pub(crate) const DETAIL: u16 = 0x8001;
    pub(crate) const REQUEST_ID: u16 = 0x8002;
    pub(crate) const HOST: u16 = 0x8003;
    pub(crate) const DEVICE: u16 = 0x8004;
    pub(crate) const POSSESSION: u16 = 0x8005;
    pub(crate) const ATTESTERS: u16 = 0x8006;
    pub(crate) const READS: u16 = 0x8007;
    pub(crate) const REFUSALS: u16 = 0x8008;
    pub(crate) const CONSENT: u16 = 0x8009;
    pub(crate) const PRUNED: u16 = 0x800A;
    pub(crate) const CLOCK: u16 = 0x80FF;
}

/// Blocks of a token, and so revocation ids in an entry.
pub(crate) const MAX_REVOCATION_IDS: usize = 8;
/// Attestations that are looked at when a session is opened, and so attesters in an entry.
pub(crate) const MAX_ATTESTERS: usize = 32;
/// Refusals of one denial: more than the items of all blocks that can refuse.
pub(crate) const MAX_REFUSALS: usize = 96;
/// Bytes of the detail text.
pub(crate) const MAX_DETAIL: usize = 1_024;
/// Bytes of the texts that the host gives: request id, host, device.
pub(crate) const MAX_HOST_TEXT: usize = 128;

/// Tag and length of a field.
pub(super) const FIELD_HEAD: usize = 4;
/// Size of the clock field, which is known only when the entry is appended.
pub(super) const CLOCK_FIELD: usize = FIELD_HEAD + 8;

/// The fields of an entry except its subjects.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(any(test, fuzzing), derive(Debug))]
pub(crate) struct Fields {
    pub(crate) event: AuditEvent,
    pub(crate) outcome: Outcome,
    pub(crate) actor: Option<PrincipalId>,
    pub(crate) issuer: Option<IssuerId>,
    pub(crate) revocation_ids: Vec<RevocationId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) action: Option<Action>,
    pub(crate) purpose: Option<Purpose>,
    /// Why it was denied, as the code of the rule.
    pub(crate) reason: Option<u16>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) kind: Option<KindId>,
    /// The patient that was asked for where there is none; others stand in subject blocks.
    pub(crate) requested: Option<PatientId>,
    pub(crate) count: Option<u32>,
    pub(crate) detail: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) device: Option<String>,
    /// The key of a token's last block was shown.
    pub(crate) possession: bool,
    /// Whose attestations were shown, or who was trusted to give them.
    pub(crate) attesters: Vec<AttesterId>,
    /// All that refused: the number of a block, and the code of why.
    pub(crate) refusals: Vec<(u8, u16)>,
    /// What the host's consent answered.
    pub(crate) consent: Vec<AuditConsent>,
    /// What was removed from the log with it.
    pub(crate) pruned: Option<LogPruned>,
}

impl Fields {
    pub(crate) const fn new(event: AuditEvent, outcome: Outcome) -> Self {
        Self {
            event,
            outcome,
            actor: None,
            issuer: None,
            revocation_ids: Vec::new(),
            session: None,
            action: None,
            purpose: None,
            reason: None,
            ticket: None,
            kind: None,
            requested: None,
            count: None,
            detail: None,
            request_id: None,
            host: None,
            device: None,
            possession: false,
            attesters: Vec::new(),
            refusals: Vec::new(),
            consent: Vec::new(),
            pruned: None,
        }
    }

    /// The first field over its bounds: its tag and what it may hold at most.
    pub(super) fn over_limit(&self) -> Option<(u16, usize)> {
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        [
            (tag::REVOCATION_IDS, self.revocation_ids.len(), MAX_REVOCATION_IDS),
            (tag::DETAIL, len(&self.detail), MAX_DETAIL),
            (tag::REQUEST_ID, len(&self.request_id), MAX_HOST_TEXT),
            (tag::HOST, len(&self.host), MAX_HOST_TEXT),
            (tag::DEVICE, len(&self.device), MAX_HOST_TEXT),
            (tag::ATTESTERS, self.attesters.len(), MAX_ATTESTERS),
            (tag::REFUSALS, self.refusals.len(), MAX_REFUSALS),
            (tag::CONSENT, self.consent.len(), consent::MAX_LISTED),
        ]
        .into_iter()
        .find(|(_, len, limit)| len > limit)
        .map(|(tag, _, limit)| (tag, limit))
    }

    /// The fields that stand before the subjects.
    pub(super) fn put_before_subjects(&self, out: &mut impl Put) -> Result<(), TooLong> {
        put_field(out, tag::EVENT, &self.event.code().to_be_bytes())?;
        put_field(out, tag::OUTCOME, &[self.outcome.code()])?;
        put_some(out, tag::ACTOR, self.actor.as_ref().map(PrincipalId::as_bytes))?;
        put_some(out, tag::ISSUER, self.issuer.as_ref().map(IssuerId::as_bytes))?;
        put_ids(out, tag::REVOCATION_IDS, self.revocation_ids.iter().map(RevocationId::as_bytes))?;
        put_some(out, tag::SESSION, self.session.as_ref().map(SessionId::as_bytes))?;
        put_some(out, tag::ACTION, self.action.map(|action| action.bit().to_be_bytes()))?;
        put_some(out, tag::PURPOSE, self.purpose.map(|purpose| purpose.bit().to_be_bytes()))?;
        put_some(out, tag::REASON, self.reason.map(u16::to_be_bytes))?;
        put_some(out, tag::TICKET, self.ticket.as_ref().map(Ticket::as_bytes))?;
        put_some(out, tag::KIND, self.kind.as_ref().map(KindId::as_bytes))?;
        put_some(out, tag::REQUESTED, self.requested.as_ref().map(PatientId::as_bytes))?;
        put_some(out, tag::COUNT, self.count.map(u32::to_be_bytes))
    }

    /// The fields that stand after the subjects.
    pub(super) fn put_after_subjects(&self, out: &mut impl Put) -> Result<(), TooLong> {
        put_some(out, tag::DETAIL, self.detail.as_ref())?;
        put_some(out, tag::REQUEST_ID, self.request_id.as_ref())?;
        put_some(out, tag::HOST, self.host.as_ref())?;
        put_some(out, tag::DEVICE, self.device.as_ref())?;
        put_some(out, tag::POSSESSION, self.possession.then_some([SHOWN]))?;
        put_ids(out, tag::ATTESTERS, self.attesters.iter().map(AttesterId::as_bytes))?;
        // Field 8007 stands in entries of reads that were allowed, and so never beside this one.
        put_refusals(out, &self.refusals)
    }

    /// What stands behind what the host's consent answered.
    pub(super) fn put_last(&self, out: &mut impl Put) -> Result<(), TooLong> {
        put_some(out, tag::PRUNED, self.pruned.map(LogPruned::to_bytes))
    }
}

/// The only value of the field that says that something was shown.
const SHOWN: u8 = 1;

pub(super) fn put_field(out: &mut impl Put, tag: u16, value: &[u8]) -> Result<(), TooLong> {
    out.put_u16(tag);
    out.put_len16(value)
}

fn put_some(out: &mut impl Put, tag: u16, value: Option<impl AsRef<[u8]>>) -> Result<(), TooLong> {
    value.map_or(Ok(()), |value| put_field(out, tag, value.as_ref()))
}

/// A field of ids; none is no field.
fn put_ids<'a>(out: &mut impl Put, tag: u16, ids: impl ExactSizeIterator<Item = &'a [u8; 16]>) -> Result<(), TooLong> {
    if ids.len() == 0 {
        return Ok(());
    }
    out.put_u16(tag);
    out.put_u16(u16::try_from(ids.len().saturating_mul(16)).map_err(|_| TooLong)?);
    ids.for_each(|id| out.put(id));
    Ok(())
}

fn put_refusals(out: &mut impl Put, refusals: &[(u8, u16)]) -> Result<(), TooLong> {
    if refusals.is_empty() {
        return Ok(());
    }
    out.put_u16(tag::REFUSALS);
    out.put_u16(u16::try_from(refusals.len().saturating_mul(3)).map_err(|_| TooLong)?);
    for (block, code) in refusals {
        out.put_u8(*block);
        out.put_u16(*code);
    }
    Ok(())
}

/// A payload that was read; its subjects are still closed.
pub(super) struct Payload<'a> {
    pub(super) fields: Fields,
    pub(super) subjects: Vec<SubjectRef<'a>>,
    /// What the system clock said, where it was far behind.
    pub(super) clock: Option<Timestamp>,
    /// Each of several reads.
    pub(super) reads: Vec<ReadMark>,
}

impl<'a> Payload<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, EntryDefect> {
        let mut reader = Reader::new(bytes);
        let event = AuditEvent::from_code(u16::from_be_bytes(mandatory(&mut reader, tag::EVENT)?));
        let [outcome] = mandatory(&mut reader, tag::OUTCOME)?;
        let outcome = Outcome::from_code(outcome).ok_or(EntryDefect::FieldValue(tag::OUTCOME))?;
        let mut payload =
            Self { fields: Fields::new(event, outcome), subjects: Vec::new(), clock: None, reads: Vec::new() };
        let mut last = tag::OUTCOME;
        while !reader.rest().is_empty() {
            let tag = reader.u16()?;
            let value = reader.len16()?;
            if tag <= last {
                return Err(EntryDefect::FieldOrder(tag));
            }
            payload.take(tag, value)?;
            last = tag;
        }
        Ok(payload)
    }

    fn take(&mut self, tag: u16, value: &'a [u8]) -> Result<(), EntryDefect> {
        let fields = &mut self.fields;
        match tag {
            tag::ACTOR => fields.actor = Some(PrincipalId::from_bytes(exactly(tag, value)?)),
            tag::ISSUER => fields.issuer = Some(IssuerId::from_bytes(exactly(tag, value)?)),
            tag::REVOCATION_IDS => {
                fields.revocation_ids = ids(tag, value, MAX_REVOCATION_IDS)?.map(RevocationId::from_bytes).collect()
            }
            tag::SESSION => fields.session = Some(SessionId::from_bytes(exactly(tag, value)?)),
            tag::ACTION => fields.action = Some(term(tag, value, Action::from_bit)?),
            tag::PURPOSE => fields.purpose = Some(term(tag, value, Purpose::from_bit)?),
            tag::REASON => fields.reason = Some(u16::from_be_bytes(exactly(tag, value)?)),
            tag::TICKET => fields.ticket = Some(Ticket::from_bytes(exactly(tag, value)?)),
            tag::KIND => fields.kind = Some(KindId::from_bytes(exactly(tag, value)?)),
            tag::REQUESTED => fields.requested = Some(PatientId::from_bytes(exactly(tag, value)?)),
            tag::COUNT => fields.count = Some(u32::from_be_bytes(exactly(tag, value)?)),
            tag::SUBJECTS => self.subjects = subjects(value)?,
            tag::DETAIL => fields.detail = Some(text(tag, value, MAX_DETAIL)?),
            tag::REQUEST_ID => fields.request_id = Some(text(tag, value, MAX_HOST_TEXT)?),
            tag::HOST => fields.host = Some(text(tag, value, MAX_HOST_TEXT)?),
            tag::DEVICE => fields.device = Some(text(tag, value, MAX_HOST_TEXT)?),
            tag::POSSESSION if exactly(tag, value)? == [SHOWN] => fields.possession = true,
            tag::POSSESSION => return Err(EntryDefect::FieldValue(tag)),
            tag::ATTESTERS => {
                fields.attesters = ids(tag, value, MAX_ATTESTERS)?.map(AttesterId::from_bytes).collect();
            }
            tag::REFUSALS => fields.refusals = refusals(value).ok_or(EntryDefect::FieldValue(tag))?,
            tag::READS => self.reads = reads::parse(value, self.subjects.len())?,
            tag::CONSENT => fields.consent = consent::parse(value)?,
            tag::PRUNED => fields.pruned = Some(LogPruned::parse(value)?),
            tag::CLOCK => self.clock = Some(Timestamp::from_micros(i64::from_be_bytes(exactly(tag, value)?))),
            unknown if unknown & tag::IGNORABLE == 0 => return Err(EntryDefect::UnknownField(unknown)),
            _ => {}
        }
        Ok(())
    }
}

/// The next field, which has to be this one.
fn mandatory<const N: usize>(reader: &mut Reader<'_>, tag: u16) -> Result<[u8; N], EntryDefect> {
    if reader.rest().is_empty() || reader.u16()? != tag {
        return Err(EntryDefect::MissingField(tag));
    }
    exactly(tag, reader.len16()?)
}

fn exactly<const N: usize>(tag: u16, value: &[u8]) -> Result<[u8; N], EntryDefect> {
    value.try_into().map_err(|_| EntryDefect::FieldValue(tag))
}

fn term<T>(tag: u16, value: &[u8], from_bit: fn(u32) -> Option<T>) -> Result<T, EntryDefect> {
    from_bit(u32::from_be_bytes(exactly(tag, value)?)).ok_or(EntryDefect::FieldValue(tag))
}

fn text(tag: u16, value: &[u8], limit: usize) -> Result<String, EntryDefect> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= limit);
    text.map(str::to_owned).ok_or(EntryDefect::FieldValue(tag))
}

/// 1 to `most` ids.
fn ids(tag: u16, value: &[u8], most: usize) -> Result<impl Iterator<Item = [u8; 16]>, EntryDefect> {
    let (ids, rest) = value.as_chunks::<16>();
    if !rest.is_empty() || ids.is_empty() || ids.len() > most {
        return Err(EntryDefect::FieldValue(tag));
    }
    Ok(ids.iter().copied())
}

/// 1 to [`MAX_REFUSALS`] times `block u8 ‖ code u16`.
fn refusals(value: &[u8]) -> Option<Vec<(u8, u16)>> {
    let (refusals, rest) = value.as_chunks::<3>();
    let sound = rest.is_empty() && (1..=MAX_REFUSALS).contains(&refusals.len());
    sound.then(|| refusals.iter().map(|[block, high, low]| (*block, u16::from_be_bytes([*high, *low]))).collect())
}

/// `n u16 ‖ n × subject`, no patient twice.
fn subjects(value: &[u8]) -> Result<Vec<SubjectRef<'_>>, EntryDefect> {
    let wrong = EntryDefect::FieldValue(tag::SUBJECTS);
    let mut reader = Reader::new(value);
    let n = reader.u16().map_err(|_| wrong)?;
    let mut seen = BTreeSet::new();
    let mut subjects = Vec::new();
    for _ in 0..n {
        let subject = SubjectRef::read(&mut reader).map_err(|_| wrong)?;
        if !seen.insert(subject.patient_tag) {
            return Err(wrong);
        }
        subjects.push(subject);
    }
    if n == 0 || reader.finish().is_err() {
        return Err(wrong);
    }
    Ok(subjects)
}

//! Flags that monitoring raised, and what came of them: one row each (docs/format/policy.md, tables 24 and 36).

use super::row::BadRow;
use super::text::{bit, maybe, put_text, text, time};
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::ids::{FlagId, PrincipalId};
use crate::monitor::{FlagVerdict, MAX_AGAINST, MAX_EVIDENCE, MAX_WHY, MonitorRule};

/// Bytes of the note with which a flag is closed.
pub(crate) const MAX_FLAG_NOTE: usize = 512;

const ACTOR: u8 = 1;
const ASSIGNED: u8 = 2;
const CLOSED: u8 = 4;
const ESCALATED: u8 = 8;

/// A flag: a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlagRow {
    pub(crate) id: FlagId,
    pub(crate) patient_tag: Option<[u8; 16]>,
    pub(crate) rule: MonitorRule,
    pub(crate) actor: Option<PrincipalId>,
    /// Of the entry with which it was raised.
    pub(crate) at: Timestamp,
    /// When the rules found it.
    pub(crate) raised: Timestamp,
    pub(crate) entries: Vec<u64>,
    pub(crate) why: String,
    pub(crate) against: String,
    pub(crate) assigned: Option<(PrincipalId, Timestamp)>,
    pub(crate) closed: Option<FlagClosed>,
    /// When the log was told that it is overdue.
    pub(crate) escalated: Option<Timestamp>,
}

/// How a flag was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagClosed {
    /// By whom.
    pub by: PrincipalId,
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub verdict: FlagVerdict,
    /// What they said, up to 512 bytes.
    pub note: String,
}

impl FlagRow {
    /// Behind the number of the table, and the patient tag where there is one.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put(self.id.as_bytes());
        out.put_u8(
            bit(&self.actor, ACTOR)
                | bit(&self.assigned, ASSIGNED)
                | bit(&self.closed, CLOSED)
                | bit(&self.escalated, ESCALATED),
        );
        out.put_u8(self.rule.code());
        out.put_i64(self.at.as_micros());
        out.put_i64(self.raised.as_micros());
        // Never more than MAX_EVIDENCE.
        out.put_u8(u8::try_from(self.entries.len()).unwrap_or(u8::MAX));
        self.entries.iter().for_each(|seq| out.put_u64(*seq));
        put_text(out, &self.why);
        put_text(out, &self.against);
        if let Some(actor) = self.actor {
            out.put(actor.as_bytes());
        }
        if let Some((principal, at)) = self.assigned {
            out.put(principal.as_bytes());
            out.put_i64(at.as_micros());
        }
        if let Some(closed) = &self.closed {
            out.put(closed.by.as_bytes());
            out.put_i64(closed.at.as_micros());
            out.put_u8(closed.verdict.code());
            put_text(out, &closed.note);
        }
        if let Some(at) = self.escalated {
            out.put_i64(at.as_micros());
        }
    }

    pub(super) fn decode(mut reader: Reader<'_>, patient_tag: Option<[u8; 16]>) -> Result<Self, BadRow> {
        let reader = &mut reader;
        let (id, flags) = (FlagId::from_bytes(reader.array()?), reader.u8()?);
        let rule = MonitorRule::from_code(reader.u8()?).ok_or(BadRow)?;
        let (at, raised, n) = (time(reader)?, time(reader)?, usize::from(reader.u8()?));
        let entries: Vec<u64> = (0..n).map(|_| reader.u64()).collect::<Result<_, _>>()?;
        let (why, against) = (text(reader, MAX_WHY)?, text(reader, MAX_AGAINST)?);
        let actor = maybe(flags, ACTOR, || Ok(PrincipalId::from_bytes(reader.array()?)))?;
        let assigned = maybe(flags, ASSIGNED, || Ok((PrincipalId::from_bytes(reader.array()?), time(reader)?)))?;
        let closed = maybe(flags, CLOSED, || {
            let (by, at) = (PrincipalId::from_bytes(reader.array()?), time(reader)?);
            let verdict = FlagVerdict::from_code(reader.u8()?).ok_or(BadRow)?;
            Ok(FlagClosed { by, at, verdict, note: text(reader, MAX_FLAG_NOTE)? })
        })?;
        let escalated = maybe(flags, ESCALATED, || time(reader))?;
        reader.finish()?;
        let sound = flags & !(ACTOR | ASSIGNED | CLOSED | ESCALATED) == 0
            && n <= MAX_EVIDENCE
            && entries.is_sorted_by(|a, b| a < b)
            && !why.is_empty()
            && closed.as_ref().is_none_or(|closed| !closed.note.trim().is_empty());
        let row = Self { id, patient_tag, rule, actor, at, raised, entries, why, against, assigned, closed, escalated };
        if sound { Ok(row) } else { Err(BadRow) }
    }
}

#[cfg(test)]
mod tests;

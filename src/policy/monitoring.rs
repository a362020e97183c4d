//! What monitoring goes by, and how far it has come (docs/format/policy.md, tables 25, 27, 28 and 37).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Policy;
use super::flag::FlagRow;
use super::row::BadRow;
use super::text::{bit, maybe, put_text, text, time};
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::ids::{FlagId, PrincipalId};
use crate::monitor::{MAX_GROUP, MAX_SUPPRESS_REASON, MonitorRule, MonitoringRules};

const RULE: u8 = 1;
const ACTOR: u8 = 2;
const GROUP: u8 = 4;

/// The rules in force, and the entry from which on they run by themselves: a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MonitoringRow {
    pub(crate) from: u64,
    pub(crate) rules: MonitoringRules,
}

impl MonitoringRow {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.from);
        self.rules.encode(out);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        Ok(Self { from: reader.u64()?, rules: MonitoringRules::decode(reader)? })
    }
}

/// What keeps flags from being raised: a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SuppressorRow {
    pub(crate) number: u32,
    pub(crate) patient_tag: Option<[u8; 16]>,
    pub(crate) rule: Option<MonitorRule>,
    pub(crate) actor: Option<PrincipalId>,
    pub(crate) group: Option<String>,
    pub(crate) until: Timestamp,
    pub(crate) by: PrincipalId,
    pub(crate) made: Timestamp,
    pub(crate) reason: String,
}

impl SuppressorRow {
    pub(super) const fn place(&self) -> [u8; 16] {
        let [a, b, c, d] = self.number.to_be_bytes();
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    /// Behind the number of the table, and the patient tag where there is one.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.number);
        out.put_u8(bit(&self.rule, RULE) | bit(&self.actor, ACTOR) | bit(&self.group, GROUP));
        out.put_i64(self.until.as_micros());
        out.put(self.by.as_bytes());
        out.put_i64(self.made.as_micros());
        put_text(out, &self.reason);
        if let Some(rule) = self.rule {
            out.put_u8(rule.code());
        }
        if let Some(actor) = self.actor {
            out.put(actor.as_bytes());
        }
        if let Some(group) = &self.group {
            put_text(out, group);
        }
    }

    pub(super) fn decode(mut reader: Reader<'_>, patient_tag: Option<[u8; 16]>) -> Result<Self, BadRow> {
        let reader = &mut reader;
        let (number, flags, until) = (reader.u32()?, reader.u8()?, time(reader)?);
        let (by, made) = (PrincipalId::from_bytes(reader.array()?), time(reader)?);
        let reason = text(reader, MAX_SUPPRESS_REASON)?;
        let rule = maybe(flags, RULE, || MonitorRule::from_code(reader.u8()?).ok_or(BadRow))?;
        let actor = maybe(flags, ACTOR, || Ok(PrincipalId::from_bytes(reader.array()?)))?;
        let group = maybe(flags, GROUP, || text(reader, MAX_GROUP))?;
        reader.finish()?;
        let blank = |text: &String| text.trim().is_empty();
        let sound = flags & !(RULE | ACTOR | GROUP) == 0 && !blank(&reason) && !group.as_ref().is_some_and(blank);
        let row = Self { number, patient_tag, rule, actor, group, until, by, made, reason };
        if sound && number > 0 { Ok(row) } else { Err(BadRow) }
    }
}

/// What monitoring knows, in memory.
#[derive(Default)]
pub(super) struct Monitoring {
    pub(super) rules: Option<Arc<MonitoringRow>>,
    pub(super) state: Option<Arc<[u8]>>,
    pub(super) suppressors: BTreeMap<u32, SuppressorRow>,
    flags: BTreeMap<FlagId, FlagRow>,
    by_time: BTreeMap<(Timestamp, FlagId), ()>,
}

impl Monitoring {
    pub(super) fn put(&mut self, row: FlagRow) {
        self.by_time.insert((row.raised, row.id), ());
        self.flags.insert(row.id, row);
    }
}

impl Policy {
    /// The rules of monitoring, once they were set.
    pub(crate) fn monitoring(&self) -> Option<Arc<MonitoringRow>> {
        self.read().monitoring.rules.clone()
    }

    /// What monitoring remembers, as it was last saved.
    pub(crate) fn monitor_state(&self) -> Option<Arc<[u8]>> {
        self.read().monitoring.state.clone()
    }

    /// What keeps flags from being raised, ascending by number.
    pub(crate) fn suppressors(&self) -> Vec<SuppressorRow> {
        self.read().monitoring.suppressors.values().cloned().collect()
    }

    /// A flag.
    pub(crate) fn flag(&self, id: FlagId) -> Option<FlagRow> {
        self.read().monitoring.flags.get(&id).cloned()
    }

    /// The first flags behind a place that are wanted, in the order in which they were raised.
    pub(crate) fn flags(
        &self,
        after: Option<(Timestamp, FlagId)>,
        limit: usize,
        wanted: impl Fn(&FlagRow) -> bool,
    ) -> Vec<FlagRow> {
        use std::ops::Bound::{Excluded, Unbounded};
        let known = self.read();
        let places = known.monitoring.by_time.range((after.map_or(Unbounded, Excluded), Unbounded));
        let rows = places.filter_map(|((_, id), ())| known.monitoring.flags.get(id));
        rows.filter(|row| wanted(row)).take(limit).cloned().collect()
    }
}

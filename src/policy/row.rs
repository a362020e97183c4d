//! Policy rows as bytes (docs/format/policy.md): `table u8 ‖ fields`, sealed under the policy key.

use std::sync::Arc;
use std::time::Duration;

use super::backup::BackupRow;
use super::case::CaseRow;
use super::ceiling;
use super::chart_label::ChartLabelRow;
use super::compartment::Compartment;
use super::epoch::EpochRow;
use super::erasure::Erasure;
use super::failures::Failures;
use super::flag::FlagRow;
use super::grant::{GrantRow, GrantUse};
use super::log_retention::{CUT_PLACE, LogRetentionRow};
use super::monitoring::{MonitoringRow, SuppressorRow};
use super::principal::PrincipalRow;
use super::retention::RetentionRow;
use super::revocation::Revocation;
use super::role;
use super::round::{DecisionRow, RoundRow};
use super::rules::AccessRules;
use super::sink::SinkRow;
use crate::bytes::{Put, Reader, Truncated};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::format::doubt::DoubtMap;
use crate::format::keys::RecordKey;
use crate::ids::{FlagId, IssuerId, PrincipalId, RevocationId};
use crate::monitor::{Monitor, MonitoringRules};
use crate::read_audit::ReadAudit;
use crate::record::Kind;
use crate::token::{Ceiling, RoleRevision};

const TABLE_ISSUER: u8 = 1;
const TABLE_KIND: u8 = 2;
const TABLE_CLOCK: u8 = 3;
const TABLE_ATTESTER: u8 = 4;
const TABLE_READ_AUDIT: u8 = 5;
const TABLE_DOUBT: u8 = 6;
const TABLE_SLOT_USE: u8 = 7;
const TABLE_ROLE: u8 = 8;
const TABLE_ROLE_BEFORE: u8 = 9;
const TABLE_GRANT: u8 = 11;
const TABLE_REVOCATION: u8 = 12;
const TABLE_PRINCIPAL: u8 = 10;
const TABLE_USES: u8 = 13;
const TABLE_ROUND: u8 = 14;
const TABLE_DECISION: u8 = 15;
const TABLE_DATA_KEY: u8 = 16;
const TABLE_RULES: u8 = 17;
const TABLE_CEILING: u8 = 19;
const TABLE_GRANT_USE: u8 = 21;
const TABLE_SINK: u8 = 23;
const TABLE_FAILURES: u8 = 18;
const TABLE_LOG_RETENTION: u8 = 26;
const TABLE_FLAG: u8 = 24;
const TABLE_MONITORING: u8 = 25;
const TABLE_MONITOR_STATE: u8 = 27;
const TABLE_SUPPRESSOR: u8 = 28;
const TABLE_EPOCH: u8 = 22;
const TABLE_BACKUP: u8 = 29;
/// From here on: about patients.
const TABLE_RETENTION: u8 = 32;
const TABLE_ERASURE: u8 = 33;
const TABLE_CASE: u8 = 34;
const TABLE_CHART_LABEL: u8 = 35;
const TABLE_FLAG_OF_PATIENT: u8 = 36;
const TABLE_SUPPRESSOR_OF_PATIENT: u8 = 37;
const TABLE_COMPARTMENT: u8 = 20;

const CHOICE_DURABLE: u8 = 0;
const CHOICE_WINDOWED: u8 = 1;

/// One thing that the vault remembers about whom and what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PolicyRow {
    /// Tokens under this key are accepted.
    Issuer { public: [u8; 32], trusted_at: Timestamp },
    /// A kind that has been used, so that its name can be shown.
    Kind { kind: Kind },
    /// The clock had jumped ahead, and was set back.
    ClockReset { jumped_to: Timestamp, reset_to: Timestamp },
    /// When entries of reads become durable.
    ReadAudit(ReadAudit),
    /// Attestations under this key count.
    Attester { public: [u8; 32], trusted_at: Timestamp },
    /// A key slot opened the vault. `created` is the slot's, since another slot may get its number.
    SlotUse { slot: u8, created: Timestamp, used: Timestamp },
    /// The data key in force.
    DataKey(DataKeyRow),
    /// The vault was salvaged, and these parts of it may be older than they were or lack rows.
    Doubt { salvaged_at: Timestamp, map: DoubtMap },
    /// What keeps a chart, or records of it, from being erased.
    Retention(RetentionRow),
    /// An entry of the erasure ledger.
    Erasure(Erasure),
    /// Somebody who may sign in. Holds secrets, of which a clone is no copy.
    Principal(Arc<PrincipalRow>),
    /// Sign-ins that failed under one name.
    Failures(Failures),
    /// How a chart is labelled. Applied without any label it takes the label away; no such row is stored.
    ChartLabel(ChartLabelRow),
    /// Kinds that are kept apart.
    Compartment(Compartment),
    /// How often tokens with this block were used.
    Uses { rid: RevocationId, used: u32 },
    /// An emergency that was invoked.
    Case(CaseRow),
    /// What holds for all tokens.
    Rules(AccessRules),
    /// How long the log is kept, or what holds it.
    LogRetention(LogRetentionRow),
    /// A role, as it is in force.
    Role(RoleRevision),
    /// A role, as it was before.
    RoleBefore(RoleRevision),
    /// Something that was revoked.
    Revocation(Revocation),
    /// What an issuer can grant at most.
    Ceiling(IssuerId, Ceiling),
    /// A grant that was registered, or seen.
    Grant(Arc<GrantRow>),
    /// When a grant opened sessions.
    GrantUse(GrantUse),
    /// A review of grants.
    Round(Arc<RoundRow>),
    /// What was decided over a grant in a review.
    Decision(Arc<DecisionRow>),
    /// A signing epoch of the log.
    Epoch(EpochRow),
    /// A sink of the log.
    Sink(SinkRow),
    /// Something that monitoring found.
    Flag(FlagRow),
    /// What monitoring goes by.
    Monitoring(Arc<MonitoringRow>),
    /// What monitoring remembers.
    MonitorState(Arc<[u8]>),
    /// What keeps flags from being raised.
    Suppressor(SuppressorRow),
    /// Something about the backups at one target.
    Backup(BackupRow),
}

/// Which data key seals, and how far older records were sealed anew under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataKeyRow {
    pub(crate) epoch: u32,
    /// Versions that were looked at.
    pub(crate) passed: u64,
    /// The last of them. A hint: what is older is found by looking at each row.
    pub(crate) last: Option<RecordKey>,
}

/// A policy row that this version cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadRow;

impl From<Truncated> for BadRow {
    fn from(_: Truncated) -> Self {
        Self
    }
}

impl PolicyRow {
    /// [`PolicyRow::place`] of the row of doubt.
    pub(crate) const PLACE_OF_DOUBT: (u8, [u8; 16]) = (TABLE_DOUBT, [0; 16]);

    /// [`PolicyRow::place`] of what keeps a chart.
    pub(crate) const fn place_of_retention(patient_tag: [u8; 16]) -> (u8, [u8; 16]) {
        (TABLE_RETENTION, patient_tag)
    }

    /// [`PolicyRow::place`] of where the log begins.
    pub(crate) const fn place_of_log_cut() -> (u8, [u8; 16]) {
        (TABLE_LOG_RETENTION, CUT_PLACE)
    }

    /// [`PolicyRow::place`] of a grant.
    pub(crate) const fn place_of_grant(id: RevocationId) -> (u8, [u8; 16]) {
        (TABLE_GRANT, *id.as_bytes())
    }

    /// [`PolicyRow::place`] of when a grant was used.
    pub(crate) const fn place_of_grant_use(id: RevocationId) -> (u8, [u8; 16]) {
        (TABLE_GRANT_USE, *id.as_bytes())
    }

    /// [`PolicyRow::place`] of what was decided over a grant.
    pub(crate) fn place_of_decision(round: u32, grant: RevocationId) -> (u8, [u8; 16]) {
        (TABLE_DECISION, kdf::review_decision_id(round, grant))
    }

    /// The id of a flag that a rule raised: the tag of its place, whether it is about a patient or not.
    pub(crate) fn id_of_flag(tag: impl FnOnce(u8, &[u8; 16]) -> [u8; 16], raised: FlagId) -> FlagId {
        FlagId::from_bytes(tag(TABLE_FLAG, raised.as_bytes()))
    }

    /// [`PolicyRow::place`] of all that can be noted of a target of backups.
    #[cfg(feature = "backup")]
    pub(crate) fn places_of_backups(target: &str) -> impl Iterator<Item = (u8, [u8; 16])> + '_ {
        BackupRow::places(target).map(|id| (TABLE_BACKUP, id))
    }

    /// [`PolicyRow::place`] of a signing epoch.
    pub(crate) fn place_of_epoch(epoch: u32) -> (u8, [u8; 16]) {
        (TABLE_EPOCH, EpochRow::id_of(epoch))
    }

    /// [`PolicyRow::place`] of a principal.
    pub(crate) const fn place_of_principal(principal: PrincipalId) -> (u8, [u8; 16]) {
        (TABLE_PRINCIPAL, *principal.as_bytes())
    }

    /// Its table and the id that, blinded, is its storage key.
    pub(crate) fn place(&self) -> (u8, [u8; 16]) {
        match self {
            Self::Issuer { public, .. } => (TABLE_ISSUER, *kdf::issuer_id(public).as_bytes()),
            Self::Kind { kind } => (TABLE_KIND, *kind.id().as_bytes()),
            Self::ClockReset { .. } => (TABLE_CLOCK, [0; 16]),
            Self::ReadAudit(_) => (TABLE_READ_AUDIT, [0; 16]),
            Self::Attester { public, .. } => (TABLE_ATTESTER, *kdf::attester_id(public).as_bytes()),
            Self::Doubt { .. } => Self::PLACE_OF_DOUBT,
            Self::DataKey(_) => (TABLE_DATA_KEY, [0; 16]),
            Self::SlotUse { slot, .. } => (TABLE_SLOT_USE, [*slot, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Self::Retention(row) => Self::place_of_retention(row.patient_tag),
            Self::Erasure(row) => (TABLE_ERASURE, row.patient_tag),
            Self::Principal(row) => Self::place_of_principal(row.id()),
            Self::Failures(failures) => (TABLE_FAILURES, *failures.of.as_bytes()),
            Self::ChartLabel(row) => (TABLE_CHART_LABEL, row.patient_tag),
            Self::Compartment(row) => (TABLE_COMPARTMENT, *row.id().as_bytes()),
            Self::Uses { rid, .. } => (TABLE_USES, *rid.as_bytes()),
            Self::Case(row) => (TABLE_CASE, *row.id.as_bytes()),
            Self::Rules(_) => (TABLE_RULES, [0; 16]),
            Self::LogRetention(row) => (TABLE_LOG_RETENTION, row.place()),
            Self::Flag(row) => (of(row.patient_tag, TABLE_FLAG, TABLE_FLAG_OF_PATIENT), *row.id.as_bytes()),
            Self::Monitoring(_) => (TABLE_MONITORING, [0; 16]),
            Self::MonitorState(_) => (TABLE_MONITOR_STATE, [0; 16]),
            Self::Suppressor(row) => (of(row.patient_tag, TABLE_SUPPRESSOR, TABLE_SUPPRESSOR_OF_PATIENT), row.place()),
            Self::Revocation(row) => (TABLE_REVOCATION, row.place()),
            Self::Ceiling(issuer, _) => (TABLE_CEILING, *issuer.as_bytes()),
            Self::Grant(row) => Self::place_of_grant(row.id()),
            Self::GrantUse(row) => Self::place_of_grant_use(row.id),
            Self::Round(row) => (TABLE_ROUND, row.place()),
            Self::Decision(row) => (TABLE_DECISION, row.place()),
            Self::Epoch(row) => (TABLE_EPOCH, row.id()),
            Self::Sink(row) => (TABLE_SINK, row.place()),
            Self::Backup(row) => (TABLE_BACKUP, row.place()),
            Self::Role(row) => (TABLE_ROLE, role::place(row, false)),
            Self::RoleBefore(row) => (TABLE_ROLE_BEFORE, role::place(row, true)),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(80);
        match self {
            Self::Issuer { public, trusted_at } => {
                bytes.put_u8(TABLE_ISSUER);
                bytes.put(public);
                bytes.put_i64(trusted_at.as_micros());
            }
            Self::Kind { kind } => {
                bytes.put_u8(TABLE_KIND);
                bytes.put(kind.as_str().as_bytes());
            }
            Self::ClockReset { jumped_to, reset_to } => {
                bytes.put_u8(TABLE_CLOCK);
                bytes.put_i64(jumped_to.as_micros());
                bytes.put_i64(reset_to.as_micros());
            }
            Self::Attester { public, trusted_at } => {
                bytes.put_u8(TABLE_ATTESTER);
                bytes.put(public);
                bytes.put_i64(trusted_at.as_micros());
            }
            Self::SlotUse { slot, created, used } => {
                bytes.put_u8(TABLE_SLOT_USE);
                bytes.put_u8(*slot);
                bytes.put_i64(created.as_micros());
                bytes.put_i64(used.as_micros());
            }
            Self::DataKey(DataKeyRow { epoch, passed, last }) => {
                bytes.put_u8(TABLE_DATA_KEY);
                bytes.put_u32(*epoch);
                bytes.put_u64(*passed);
                if let Some(last) = last {
                    bytes.put(&last.to_bytes());
                }
            }
            Self::Doubt { salvaged_at, map } => {
                bytes.put_u8(TABLE_DOUBT);
                bytes.put_i64(salvaged_at.as_micros());
                map.encode(&mut bytes);
            }
            Self::Retention(row) => behind(TABLE_RETENTION, &mut bytes, |bytes| row.encode(bytes)),
            Self::Erasure(row) => behind(TABLE_ERASURE, &mut bytes, |bytes| row.encode(bytes)),
            Self::Principal(row) => {
                bytes.put_u8(TABLE_PRINCIPAL);
                row.encode(&mut bytes);
            }
            Self::Failures(failures) => {
                bytes.put_u8(TABLE_FAILURES);
                failures.encode(&mut bytes);
            }
            Self::ChartLabel(row) => {
                bytes.put_u8(TABLE_CHART_LABEL);
                row.encode(&mut bytes);
            }
            Self::Compartment(row) => behind(TABLE_COMPARTMENT, &mut bytes, |bytes| row.encode(bytes)),
            Self::Uses { rid, used } => {
                bytes.put_u8(TABLE_USES);
                bytes.put(rid.as_bytes());
                bytes.put_u32(*used);
            }
            Self::Case(row) => {
                bytes.put_u8(TABLE_CASE);
                row.encode(&mut bytes);
            }
            Self::Rules(rules) => {
                bytes.put_u8(TABLE_RULES);
                rules.encode(&mut bytes);
            }
            Self::Role(row) => {
                bytes.put_u8(TABLE_ROLE);
                role::encode(row, &mut bytes);
            }
            Self::RoleBefore(row) => {
                bytes.put_u8(TABLE_ROLE_BEFORE);
                role::encode(row, &mut bytes);
            }
            Self::LogRetention(row) => behind(TABLE_LOG_RETENTION, &mut bytes, |bytes| row.encode(bytes)),
            Self::Revocation(row) => behind(TABLE_REVOCATION, &mut bytes, |bytes| row.encode(bytes)),
            Self::Ceiling(issuer, row) => {
                behind(TABLE_CEILING, &mut bytes, |bytes| ceiling::encode((issuer, row), bytes))
            }
            Self::Grant(row) => behind(TABLE_GRANT, &mut bytes, |bytes| row.encode(bytes)),
            Self::GrantUse(row) => behind(TABLE_GRANT_USE, &mut bytes, |bytes| row.encode(bytes)),
            Self::Round(row) => behind(TABLE_ROUND, &mut bytes, |bytes| row.encode(bytes)),
            Self::Decision(row) => behind(TABLE_DECISION, &mut bytes, |bytes| row.encode(bytes)),
            Self::Epoch(row) => behind(TABLE_EPOCH, &mut bytes, |bytes| row.encode(bytes)),
            Self::Sink(row) => behind(TABLE_SINK, &mut bytes, |bytes| row.encode(bytes)),
            Self::Backup(row) => behind(TABLE_BACKUP, &mut bytes, |bytes| row.encode(bytes)),
            Self::Flag(row) => {
                bytes.put_u8(of(row.patient_tag, TABLE_FLAG, TABLE_FLAG_OF_PATIENT));
                bytes.put(row.patient_tag.as_ref().map_or(&[][..], |tag| tag));
                row.encode(&mut bytes);
            }
            Self::Suppressor(row) => {
                bytes.put_u8(of(row.patient_tag, TABLE_SUPPRESSOR, TABLE_SUPPRESSOR_OF_PATIENT));
                bytes.put(row.patient_tag.as_ref().map_or(&[][..], |tag| tag));
                row.encode(&mut bytes);
            }
            Self::Monitoring(row) => behind(TABLE_MONITORING, &mut bytes, |bytes| row.encode(bytes)),
            Self::MonitorState(state) => behind(TABLE_MONITOR_STATE, &mut bytes, |bytes| bytes.put(state)),
            Self::ReadAudit(choice) => {
                bytes.put_u8(TABLE_READ_AUDIT);
                match choice {
                    ReadAudit::Durable => bytes.put_u8(CHOICE_DURABLE),
                    ReadAudit::Windowed { delay, entries } => {
                        bytes.put_u8(CHOICE_WINDOWED);
                        bytes.put_u64(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
                        bytes.put_u32(*entries);
                    }
                }
            }
        }
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadRow> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            TABLE_ISSUER => {
                let public = reader.array()?;
                let trusted_at = Timestamp::from_micros(reader.i64()?);
                reader.finish()?;
                Ok(Self::Issuer { public, trusted_at })
            }
            TABLE_KIND => {
                let name = std::str::from_utf8(reader.rest()).map_err(|_| BadRow)?;
                Ok(Self::Kind { kind: Kind::new(name).map_err(|_| BadRow)? })
            }
            TABLE_CLOCK => {
                let jumped_to = Timestamp::from_micros(reader.i64()?);
                let reset_to = Timestamp::from_micros(reader.i64()?);
                reader.finish()?;
                Ok(Self::ClockReset { jumped_to, reset_to })
            }
            TABLE_ATTESTER => {
                let public = reader.array()?;
                let trusted_at = Timestamp::from_micros(reader.i64()?);
                reader.finish()?;
                Ok(Self::Attester { public, trusted_at })
            }
            TABLE_SLOT_USE => {
                let slot = reader.u8()?;
                let created = Timestamp::from_micros(reader.i64()?);
                let used = Timestamp::from_micros(reader.i64()?);
                reader.finish()?;
                Ok(Self::SlotUse { slot, created, used })
            }
            TABLE_DATA_KEY => {
                let epoch = reader.u32()?;
                let passed = reader.u64()?;
                let last = match reader.rest() {
                    [] => None,
                    key => Some(RecordKey::from_bytes(key).map_err(|_| BadRow)?),
                };
                if epoch == 0 {
                    return Err(BadRow);
                }
                Ok(Self::DataKey(DataKeyRow { epoch, passed, last }))
            }
            TABLE_DOUBT => {
                let salvaged_at = Timestamp::from_micros(reader.i64()?);
                let map = DoubtMap::decode(&mut reader)?;
                reader.finish()?;
                Ok(Self::Doubt { salvaged_at, map })
            }
            TABLE_RETENTION => RetentionRow::decode(reader).map(Self::Retention),
            TABLE_PRINCIPAL => PrincipalRow::decode(reader).map(|row| Self::Principal(Arc::new(row))),
            TABLE_FAILURES => Failures::decode(reader).map(Self::Failures),
            TABLE_ERASURE => Erasure::decode(reader).map(Self::Erasure),
            TABLE_CHART_LABEL => ChartLabelRow::decode(reader).map(Self::ChartLabel),
            TABLE_COMPARTMENT => Compartment::decode(reader).map(Self::Compartment),
            TABLE_USES => {
                let (rid, used) = (RevocationId::from_bytes(reader.array()?), reader.u32()?);
                reader.finish()?;
                Ok(Self::Uses { rid, used })
            }
            TABLE_CASE => CaseRow::decode(reader).map(Self::Case),
            TABLE_RULES => AccessRules::decode(reader).map(Self::Rules),
            TABLE_LOG_RETENTION => LogRetentionRow::decode(reader).map(Self::LogRetention),
            TABLE_ROLE => role::decode(reader).map(Self::Role),
            TABLE_ROLE_BEFORE => role::decode(reader).map(Self::RoleBefore),
            TABLE_REVOCATION => Revocation::decode(reader).map(Self::Revocation),
            TABLE_CEILING => ceiling::decode(reader).map(|(issuer, row)| Self::Ceiling(issuer, row)),
            TABLE_GRANT => GrantRow::decode(reader).map(|row| Self::Grant(Arc::new(row))),
            TABLE_GRANT_USE => GrantUse::decode(reader).map(Self::GrantUse),
            TABLE_ROUND => RoundRow::decode(reader).map(|row| Self::Round(Arc::new(row))),
            TABLE_EPOCH => EpochRow::decode(reader).map(Self::Epoch),
            TABLE_SINK => SinkRow::decode(reader).map(Self::Sink),
            TABLE_BACKUP => BackupRow::decode(reader).map(Self::Backup),
            TABLE_DECISION => DecisionRow::decode(reader).map(|row| Self::Decision(Arc::new(row))),
            TABLE_FLAG => FlagRow::decode(reader, None).map(Self::Flag),
            TABLE_FLAG_OF_PATIENT => {
                let tag = reader.array()?;
                FlagRow::decode(reader, Some(tag)).map(Self::Flag)
            }
            TABLE_SUPPRESSOR => SuppressorRow::decode(reader, None).map(Self::Suppressor),
            TABLE_SUPPRESSOR_OF_PATIENT => {
                let tag = reader.array()?;
                SuppressorRow::decode(reader, Some(tag)).map(Self::Suppressor)
            }
            TABLE_MONITORING => MonitoringRow::decode(reader).map(|row| Self::Monitoring(Arc::new(row))),
            TABLE_MONITOR_STATE => {
                Monitor::resume(MonitoringRules::new(), reader.rest()).map_err(|_| BadRow)?;
                Ok(Self::MonitorState(reader.rest().into()))
            }
            TABLE_READ_AUDIT => {
                let choice = match reader.u8()? {
                    CHOICE_DURABLE => ReadAudit::Durable,
                    CHOICE_WINDOWED => {
                        ReadAudit::Windowed { delay: Duration::from_nanos(reader.u64()?), entries: reader.u32()? }
                    }
                    _ => return Err(BadRow),
                };
                reader.finish()?;
                choice.check().map(Self::ReadAudit).map_err(|_| BadRow)
            }
            _ => Err(BadRow),
        }
    }
}

/// The table of a row that may be about a patient.
const fn of(patient_tag: Option<[u8; 16]>, table: u8, table_of_patient: u8) -> u8 {
    if patient_tag.is_some() { table_of_patient } else { table }
}

fn behind(table: u8, bytes: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    bytes.put_u8(table);
    encode(bytes);
}

#[cfg(test)]
mod tests;

//! Floor 6: what the vault trusts and knows. Held in memory while unlocked, kept in the tree `policy`.

mod backup;
mod case;
mod cases;
mod ceiling;
mod chart_label;
mod compartment;
mod decides;
mod epoch;
mod erasure;
mod failures;
mod flag;
mod grant;
mod grants;
mod log_retention;
mod monitoring;
mod people;
mod principal;
mod recovery_code;
mod retention;
mod revocation;
mod role;
mod roles;
mod round;
mod rounds;
mod row;
mod rules;
mod sink;
mod text;
mod totp_enrolment;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

#[cfg(feature = "backup")]
pub(crate) use backup::{BackupNote, MOST_TARGETS, failure, kept_name};
pub(crate) use backup::{BackupRow, Remembered};
pub use backup::{LastBackup, LastBackupFailure, LastDrill, LastPack, LastVerification};
pub(crate) use case::{CaseRow, MAX_CASE_TEXT};
pub use case::{EmergencyReason, Review, Verdict};
pub use chart_label::ChartLabel;
pub(crate) use chart_label::{ChartLabelRow, MAX_LABEL_REASON};
pub use compartment::Compartment;
pub(crate) use compartment::{MAX_COMPARTMENT_KINDS, MAX_COMPARTMENT_NAME};
pub use epoch::EpochStart;
pub(crate) use epoch::{ClosedEpoch, EpochRow};
pub use erasure::Erasure;
pub(crate) use erasure::{MAX_GROUND, decode_ledger, encode_ledger};
pub(crate) use failures::Failures;
pub use flag::FlagClosed;
pub(crate) use flag::{FlagRow, MAX_FLAG_NOTE};
pub(crate) use grant::{GrantRow, GrantUse, MAX_GRANT_NOTE};
pub(crate) use grants::KnownGrant;
pub(crate) use log_retention::{LogCut, LogRetentionRow, MAX_LOG_HOLD_REASON, MOST_LOG_HOLDS};
pub use log_retention::{LogHold, LogRetention, LogRetentionTooShort};
pub(crate) use monitoring::{MonitoringRow, SuppressorRow};
pub(crate) use people::Enrolment;
pub use principal::Disabled;
pub(crate) use principal::{MAX_DISABLED_REASON, MAX_DISPLAY_NAME, MAX_NAME, PrincipalRow};
pub use recovery_code::RecoveryCodes;
pub(crate) use recovery_code::hash_of_typed;
pub use retention::{LegalHold, Retention, RetentionOf};
pub(crate) use retention::{MAX_HOLD_REASON, MAX_RETAINED, RetentionRow};
pub(crate) use revocation::MAX_REVOKE_REASON;
pub use revocation::Revocation;
pub(crate) use roles::CitedRole;
pub use round::{Decided, Ended, ReviewDecision};
pub(crate) use round::{DecisionRow, MAX_REVIEW_NOTE, MOST_IN_ROUND, RoundItem, RoundRow};
pub(crate) use row::{DataKeyRow, PolicyRow};
pub use rules::AccessRules;
pub(crate) use sink::SinkRow;
pub use totp_enrolment::TotpEnrolment;

#[cfg(test)]
pub(crate) use erasure::tests::ledger_of_the_page;

use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::format::doubt::DoubtMap;
use crate::ids::{AttesterId, CompartmentId, KindId, LogHoldId, RevocationId};
use crate::read_audit::ReadAudit;
use crate::record::Kind;
use crate::token::Revoke;
use cases::Cases;
use ceiling::Issuers;
use grants::Grants;
use monitoring::Monitoring;
use people::People;
use revocation::Revoked;
use roles::Roles;
use rounds::Rounds;

#[derive(Default)]
struct Known {
    issuers: Issuers,
    revoked: Revoked,
    grants: Grants,
    reviews: Rounds,
    attesters: HashMap<AttesterId, [u8; 32]>,
    kinds: BTreeMap<KindId, Kind>,
    clock_reset: Option<(Timestamp, Timestamp)>,
    read_audit: ReadAudit,
    doubt: Option<(Timestamp, Arc<DoubtMap>)>,
    /// The data epoch in force, and how far resealing has come.
    data_key: Option<DataKeyRow>,
    /// By number: when the slot was created, and when it last opened the vault.
    slot_uses: BTreeMap<u8, (Timestamp, Timestamp)>,
    /// The erasure ledger, by patient tag.
    erasures: BTreeMap<[u8; 16], Erasure>,
    people: People,
    /// How charts are labelled, by patient tag; of those that are.
    labels: HashMap<[u8; 16], ChartLabel>,
    compartments: BTreeMap<CompartmentId, Compartment>,
    roles: Roles,
    uses: HashMap<RevocationId, u32>,
    rules: AccessRules,
    cases: Cases,
    /// The newest signing epoch; those before are read when they are asked for.
    epoch: Option<EpochRow>,
    /// By name, those that were detached as well.
    sinks: BTreeMap<String, SinkRow>,
    log_retention: LogRetention,
    /// Holds on the log that stand.
    log_holds: BTreeMap<LogHoldId, LogHold>,
    monitoring: Monitoring,
    /// What is remembered of backups, by the names of their targets.
    backups: BTreeMap<String, Remembered>,
}

/// The policy in force.
#[derive(Default)]
pub(crate) struct Policy {
    known: RwLock<Known>,
    generation: AtomicU64,
}

impl Policy {
    /// Takes a row in force, once it is durable.
    pub(crate) fn apply(&self, row: PolicyRow) {
        let mut decides = row.decides();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match row {
            PolicyRow::Uses { rid, used } => {
                known.uses.insert(rid, used);
            }
            PolicyRow::Case(row) => known.cases.put(row),
            PolicyRow::Sink(row) => {
                known.sinks.insert(row.name.clone(), row);
            }
            PolicyRow::Backup(BackupRow { target, note }) => known.backups.entry(target).or_default().put(note),
            PolicyRow::Flag(row) => known.monitoring.put(row),
            PolicyRow::Monitoring(row) => known.monitoring.rules = Some(row),
            PolicyRow::MonitorState(state) => known.monitoring.state = Some(state),
            PolicyRow::Suppressor(row) => {
                known.monitoring.suppressors.insert(row.number, row);
            }
            PolicyRow::Rules(rules) => known.rules = rules,
            PolicyRow::LogRetention(LogRetentionRow::Terms(terms)) => known.log_retention = terms,
            PolicyRow::LogRetention(LogRetentionRow::Hold(hold)) if hold.reason.is_empty() => {
                known.log_holds.remove(&hold.id);
            }
            PolicyRow::LogRetention(LogRetentionRow::Hold(hold)) => {
                known.log_holds.insert(hold.id, hold);
            }
            PolicyRow::Role(row) => known.roles.define(row),
            PolicyRow::RoleBefore(row) => known.roles.remember(row),
            PolicyRow::Issuer { public, trusted_at } => known.issuers.trust(public, trusted_at),
            PolicyRow::Ceiling(issuer, ceiling) => known.issuers.limit(issuer, ceiling),
            PolicyRow::Revocation(row) => known.revoked.put(row),
            PolicyRow::Grant(row) => known.grants.put(row),
            PolicyRow::GrantUse(used) => known.grants.used(used),
            PolicyRow::Round(row) => known.reviews.put(row),
            PolicyRow::Decision(row) => known.reviews.decide(&row),
            PolicyRow::Epoch(row) if known.epoch.as_ref().is_some_and(|newest| newest.epoch > row.epoch) => {}
            PolicyRow::Epoch(row) => known.epoch = Some(row),
            PolicyRow::Attester { public, .. } => {
                known.attesters.insert(kdf::attester_id(&public), public);
            }
            PolicyRow::Kind { kind } => {
                known.kinds.insert(kind.id(), kind);
            }
            PolicyRow::ClockReset { jumped_to, reset_to } => known.clock_reset = Some((jumped_to, reset_to)),
            PolicyRow::ReadAudit(choice) => known.read_audit = choice,
            PolicyRow::SlotUse { slot, created, used } => {
                known.slot_uses.insert(slot, (created, used));
            }
            PolicyRow::DataKey(row) => known.data_key = Some(row),
            PolicyRow::Doubt { salvaged_at, map } => known.doubt = Some((salvaged_at, Arc::new(map))),
            // Read when they are asked for: one for each chart that is to be kept, and where the log begins.
            PolicyRow::Retention(_) | PolicyRow::LogRetention(LogRetentionRow::Cut(_)) => {}
            PolicyRow::Principal(row) => decides = known.people.apply(&row),
            PolicyRow::Failures(failures) => known.people.count(failures),
            PolicyRow::ChartLabel(ChartLabelRow { patient_tag, label: ChartLabel::NONE }) => {
                known.labels.remove(&patient_tag);
            }
            PolicyRow::ChartLabel(ChartLabelRow { patient_tag, label }) => {
                known.labels.insert(patient_tag, label);
            }
            PolicyRow::Compartment(row) => {
                known.compartments.insert(row.id(), row);
            }
            PolicyRow::Erasure(row) => {
                known.labels.remove(&row.patient_tag);
                known.erasures.insert(row.patient_tag, row);
            }
        }
        if decides {
            // Before the lock is free: whoever sees the old number may go on with what was in force then.
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Another number after every change that decisions depend on: what was resolved under an equal one is what would be resolved now.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a slot, told from others of its number by its time of creation, last opened the vault.
    pub(crate) fn slot_use(&self, slot: u8, created: Timestamp) -> Option<Timestamp> {
        let known = self.read();
        known.slot_uses.get(&slot).filter(|(of, _)| *of == created).map(|(_, used)| *used)
    }

    /// From what time the clock was last set back, and to which.
    pub(crate) fn clock_reset(&self) -> Option<(Timestamp, Timestamp)> {
        self.read().clock_reset
    }

    /// The data epoch in force, and how far resealing has come, in a vault whose data key was ever rotated.
    pub(crate) fn data_key(&self) -> Option<DataKeyRow> {
        self.read().data_key
    }

    /// When entries of reads become durable.
    pub(crate) fn read_audit(&self) -> ReadAudit {
        self.read().read_audit
    }

    /// When the vault was salvaged, and which of its buckets are in doubt since, if any are.
    pub(crate) fn doubt(&self) -> Option<(Timestamp, Arc<DoubtMap>)> {
        self.read().doubt.clone()
    }

    /// How long the log is kept.
    pub(crate) fn log_retention(&self) -> LogRetention {
        self.read().log_retention
    }

    /// Holds on the log, the oldest first.
    pub(crate) fn log_holds(&self) -> Vec<LogHold> {
        let mut holds: Vec<LogHold> = self.read().log_holds.values().cloned().collect();
        holds.sort_by_key(|hold| (hold.since, hold.id));
        holds
    }

    /// What holds for all tokens.
    pub(crate) fn rules(&self) -> AccessRules {
        self.read().rules
    }

    /// Of how many blocks the uses were counted.
    pub(crate) fn counted(&self) -> usize {
        self.read().uses.len()
    }

    /// How often tokens with this block were used.
    pub(crate) fn used(&self, rid: RevocationId) -> u32 {
        self.read().uses.get(&rid).copied().unwrap_or(0)
    }

    /// The public key of an attester who is trusted, and was not revoked.
    pub(crate) fn attester(&self, id: AttesterId) -> Option<[u8; 32]> {
        let known = self.read();
        known.attesters.get(&id).copied().filter(|_| !known.revoked.has(Revoke::Attester(id)))
    }

    /// The kind of an id, if it has been used in this vault.
    pub(crate) fn kind(&self, id: KindId) -> Option<Kind> {
        self.read().kinds.get(&id).cloned()
    }

    /// All kinds that have been used in this vault.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.read().kinds.values().cloned().collect()
    }

    /// The sink of a name, detached or not.
    pub(crate) fn sink(&self, name: &str) -> Option<SinkRow> {
        self.read().sinks.get(name).cloned()
    }

    /// All sinks, by name, those that were detached as well.
    pub(crate) fn sinks(&self) -> Vec<SinkRow> {
        self.read().sinks.values().cloned().collect()
    }

    /// What is remembered of backups, by the names of their targets.
    pub(crate) fn backups(&self) -> Vec<(String, Remembered)> {
        self.read().backups.iter().map(|(name, of)| (name.clone(), of.clone())).collect()
    }

    /// Which targets make room for what is to be noted of this one.
    #[cfg(feature = "backup")]
    pub(crate) fn backups_in_the_way(&self, target: &str) -> Vec<String> {
        backup::in_the_way(&self.read().backups, target)
    }

    /// Forgets targets whose rows were removed.
    #[cfg(feature = "backup")]
    pub(crate) fn forget_backups(&self, targets: &[String]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.backups.retain(|name, _| !targets.contains(name));
    }

    /// How a chart is labelled.
    pub(crate) fn chart_label(&self, patient_tag: &[u8; 16]) -> ChartLabel {
        self.read().labels.get(patient_tag).copied().unwrap_or_default()
    }

    /// The compartments, in no order that means anything.
    pub(crate) fn compartments(&self) -> Vec<Compartment> {
        self.read().compartments.values().cloned().collect()
    }

    /// Which kinds are kept in which compartment.
    pub(crate) fn kept_apart(&self) -> BTreeMap<KindId, CompartmentId> {
        let known = self.read();
        let kinds = |(id, row): (&CompartmentId, &Compartment)| {
            row.kinds.iter().map(|kind| (kind.id(), *id)).collect::<Vec<_>>()
        };
        known.compartments.iter().flat_map(kinds).collect()
    }

    /// When a patient was erased, if that was done.
    pub(crate) fn erased(&self, patient_tag: &[u8; 16]) -> Option<Timestamp> {
        let known = self.read();
        known.erasures.get(patient_tag).map(|erasure| erasure.begun)
    }

    /// The newest signing epoch of the log; none in a vault that never signed.
    pub(crate) fn epoch(&self) -> Option<EpochRow> {
        self.read().epoch.clone()
    }

    /// Whether anybody was ever erased.
    pub(crate) fn has_erasures(&self) -> bool {
        !self.read().erasures.is_empty()
    }

    /// The erasure ledger, ascending by patient tag.
    pub(crate) fn erasures(&self) -> Vec<Erasure> {
        self.read().erasures.values().cloned().collect()
    }
}

//! Floor 7: what all sessions of an unlocked vault share, and the rows they read and write together.

mod anchored;
mod at_once;
mod attendant;
mod bodies;
mod challenges;
mod chart;
mod decoy;
mod demand;
mod erased;
mod flags;
mod gate;
mod grants;
mod idle;
mod in_force;
mod lock;
mod log_begin;
mod log_index;
mod log_root;
mod log_tiles;
mod numbers;
mod overdue;
mod pruned_tiles;
mod renewed;
mod retention;
mod sign_in;
mod signing;
mod standing;
mod time;
mod uses;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

pub(crate) use anchored::{Registered, guarded};
pub(crate) use at_once::{AtOnce, Lives};
pub(crate) use bodies::{Bodies, OpenedBody};
pub(crate) use challenges::Challenges;
pub(crate) use chart::Chart;
pub(crate) use decoy::Decoys;
pub(crate) use demand::Required;
pub(crate) use erased::Removed;
pub(crate) use flags::{Known, RunEnd};
pub(crate) use gate::{Gate, WeakGate};
pub(crate) use in_force::InForce;
pub(crate) use lock::DirLock;
pub(crate) use log_begin::LogBegin;
pub(crate) use log_index::{IndexFound, OpenedIndex};
pub(crate) use log_tiles::TilesFound;
pub(crate) use numbers::{ByKind, Numbers};
pub(crate) use pruned_tiles::hashes_of;
pub(crate) use renewed::{OlderSealer, Renewed};
pub(crate) use sign_in::{Attempt, Second, SignIns, account_draft};
pub(crate) use signing::Signing;
pub(crate) use standing::{Resolved, Standing};
pub(crate) use time::Latest;

use crate::audit::Draft;
use crate::clock::Clock;
use crate::committer::{CommitFailed, Committer, JOB_BYTES, Row, Stripes};
use crate::consent::ConsentHook;
use crate::crypto::aead::Suite;
use crate::crypto::seal::{SealError, Sealer};
use crate::error::Error;
use crate::format::envelope::{self, EnvelopeHead, Place};
use crate::format::keys::Tree;
use crate::format::slot::Slot;
use crate::ids::VaultId;
use crate::monitor::{CareHook, Monitor};
use crate::policy::{ChartLabel, ChartLabelRow, Policy, PolicyRow};
use crate::record::{Kind, Types};
use crate::secret::SecretBytes;
use crate::storage::Scan;

/// Something outside that keeps keys, such as the charts a session used lately.
pub(crate) trait HoldsKeys: Send + Sync {
    /// Wipes them, for good.
    fn let_go(&self);
    /// Wipes those of charts. They may be derived again, from the keyring that is in force then.
    fn forget_charts(&self);
}

/// What is kept of the header in force.
#[derive(Clone, Debug)]
pub(crate) struct HeldHeader {
    pub(crate) generation: u64,
    /// Ascending by number. Not to be opened from here: that is done with what is on disk.
    pub(crate) slots: Vec<Slot>,
    /// The whole of it, as it is on disk.
    pub(crate) bytes: Vec<u8>,
}

/// Keys, policy, and the order of commits. Dropping it wipes the keys and frees the directory.
pub(crate) struct Unlocked {
    pub(crate) vault: VaultId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) latest: Latest,
    pub(crate) in_force: InForce,
    pub(crate) committer: Committer,
    pub(crate) stripes: Stripes,
    pub(crate) policy: Policy,
    /// What the host decides about sensitive records and restricted charts.
    pub(crate) consent: ConsentHook,
    /// What the host knows of staff and patients.
    pub(crate) care: CareHook,
    /// What the rules of monitoring remember, and of how many entries since it was saved; held while they run.
    pub(crate) watching: Mutex<Option<(Monitor, u64)>>,
    pub(crate) numbers: Numbers,
    pub(crate) bodies: Bodies,
    /// The index of the log, as far as it was asked for lately.
    pub(crate) index: OpenedIndex,
    pub(crate) challenges: Challenges,
    pub(crate) at_once: AtOnce,
    pub(crate) sign_ins: SignIns,
    pub(crate) decoys: Decoys,
    pub(crate) types: Mutex<Types>,
    /// What signs checkpoints of the log, once it is known.
    pub(crate) signing: OnceLock<Signing>,
    /// Where checkpoints are kept outside the vault.
    pub(crate) anchors: Registered,
    /// The header in force, without its keyring.
    pub(crate) header: Mutex<HeldHeader>,
    /// Held while the header is changed, which may take long: one change after the other.
    pub(crate) changing: Mutex<()>,
    /// Held while keys are rotated: one rotation at a time.
    pub(crate) rotating: Mutex<()>,
    /// Held while the journal is compacted: one compaction after the other.
    pub(crate) compacting: Mutex<()>,
    /// Held while a key pack is made for backups: one after the other, since several targets may share one place for them.
    #[cfg(feature = "backup")]
    pub(crate) packing: Mutex<()>,
    /// The oldest data epoch that backups under way need, by their targets.
    #[cfg(feature = "backup")]
    pub(crate) backing_up: Mutex<std::collections::BTreeMap<String, u32>>,
    /// Held while a use of a token is counted: one after the other.
    pub(crate) counting: Mutex<()>,
    /// Held while the read audit is chosen anew: one choice after the other.
    pub(crate) choosing: Mutex<()>,
    /// Who else has to let go of keys when the vault is sealed.
    pub(crate) holders: Mutex<Vec<Weak<dyn HoldsKeys>>>,
    /// Held as long as the vault is open.
    #[allow(dead_code)]
    pub(crate) lock: DirLock,
}

impl Unlocked {
    /// The suite that seals.
    pub(crate) fn suite(&self) -> Suite {
        self.committer.suite()
    }

    /// Notes who else has to let go of keys.
    pub(crate) fn add_holder(&self, holder: Weak<dyn HoldsKeys>) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.retain(|holder| holder.strong_count() > 0);
        holders.push(holder);
    }

    /// Makes all holders let go, and wipes what was opened. Nobody may be inside any more.
    pub(crate) fn let_go(&self) {
        self.bodies.clear();
        let holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.iter().filter_map(Weak::upgrade).for_each(|holder| holder.let_go());
    }

    /// Makes all holders derive the keys of charts anew, from the keyring that is in force now. What they had was derived
    /// from keys that may be gone.
    pub(crate) fn forget_charts(&self) {
        let holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.iter().filter_map(Weak::upgrade).for_each(|holder| holder.forget_charts());
    }

    /// Makes rows and their entries durable.
    pub(crate) fn commit(&self, rows: Vec<Row>, drafts: Vec<Draft>) -> Result<(), Error> {
        self.committer.commit(rows, drafts).map_err(Error::from)
    }

    /// A row sealed for its place.
    pub(crate) fn sealed_row(
        &self,
        sealer: &Sealer,
        (epoch, generation): (u32, u32),
        tree: Tree,
        key: &[u8],
        body: &[u8],
    ) -> Result<Row, Error> {
        let head = EnvelopeHead { suite: self.suite(), epoch, generation };
        let place = Place { vault: self.vault, tree, key };
        let value = envelope::seal_value(sealer, head, place, body)?;
        Ok(Row::new(tree, key, value))
    }

    /// Opens a row that is sealed under one key for its whole tree.
    pub(crate) fn open_row(
        &self,
        sealer: &Sealer,
        tree: Tree,
        key: &[u8],
        value: &[u8],
        what: &'static str,
    ) -> Result<SecretBytes, Error> {
        let place = Place { vault: self.vault, tree, key };
        let (_, body) = envelope::open_value(sealer, place, value).map_err(|_| Error::TamperedRow { what })?;
        Ok(body)
    }

    /// A policy row ready to commit. Hold the policy stripe from here until it is queued.
    pub(crate) fn policy_row(&self, row: &PolicyRow) -> Result<Row, Error> {
        let (table, id) = row.place();
        let keyring = self.keyring();
        let key = keyring.policy_tag(table, &id);
        let replaces = self.committer.get(Tree::Policy, &key)?;
        // Some hold secrets.
        let body = SecretBytes::new(row.to_bytes());
        let row = self.sealed_row(keyring.policy_sealer(), (0, 0), Tree::Policy, &key, &body)?;
        Ok(Row { replaces, ..row })
    }

    /// What takes the row in a policy row's place away, if there is one. Hold the policy stripe as for
    /// [`Unlocked::policy_row`].
    pub(crate) fn removed_policy_row(&self, row: &PolicyRow) -> Result<Option<Row>, Error> {
        let (table, id) = row.place();
        let key = self.keyring().policy_tag(table, &id);
        let replaces = self.committer.get(Tree::Policy, &key)?;
        Ok(replaces.map(|old| Row::removal(Tree::Policy, key, old)))
    }

    /// The row that labels a chart, or that takes its label away. Hold the policy stripe as for [`Unlocked::policy_row`].
    pub(crate) fn chart_label_row(&self, patient_tag: [u8; 16], label: ChartLabel) -> Result<Option<Row>, Error> {
        let row = PolicyRow::ChartLabel(ChartLabelRow { patient_tag, label });
        if label == ChartLabel::NONE { self.removed_policy_row(&row) } else { self.policy_row(&row).map(Some) }
    }

    /// Reads the whole policy; part of unlocking.
    pub(crate) fn load_policy(&self) -> Result<(), Error> {
        const PAGE: usize = 1_000;
        let keyring = self.keyring();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let scan = Scan { prefix: &[], after: after.as_deref(), limit: PAGE };
            let rows = self.committer.scan(Tree::Policy, scan)?;
            for (key, value) in &rows {
                let body = self.open_row(keyring.policy_sealer(), Tree::Policy, key, value, "policy row")?;
                let row = PolicyRow::parse(&body).map_err(|_| Error::TamperedRow { what: "policy row" })?;
                self.policy.apply(row);
            }
            if rows.len() < PAGE {
                break;
            }
            after = rows.into_iter().next_back().map(|(key, _)| key);
        }
        if let Some(row) = self.policy.data_key() {
            let in_force = keyring.duplicate().sealing_under(row.epoch);
            self.put_keyring_in_force(in_force.ok_or(Error::TamperedRow { what: "keyring" })?);
        }
        self.keep_apart()
    }

    /// Puts in force which kinds are kept in which compartment. To be called as
    /// [`Unlocked::put_keyring_in_force`](Self::put_keyring_in_force) is.
    pub(crate) fn keep_apart(&self) -> Result<(), Error> {
        let kinds = self.policy.kept_apart();
        if !kinds.is_empty() {
            let in_force = self.keyring().duplicate().keeping_apart(kinds);
            self.put_keyring_in_force(in_force.ok_or(Error::TamperedRow { what: "keyring" })?);
        }
        Ok(())
    }

    /// The policy row that remembers `kind`'s name, if the vault has never seen it. Hold the policy stripe when
    /// [`Unlocked::knows`] said no.
    pub(crate) fn kind_row(&self, kind: &Kind) -> Result<Option<Row>, Error> {
        if self.knows(kind) {
            return Ok(None);
        }
        let row = self.policy_row(&PolicyRow::Kind { kind: kind.clone() })?;
        Ok(if row.replaces.is_some() { None } else { Some(row) })
    }

    /// Keeps kinds in memory whose rows were queued. Whoever relies on it is queued behind them.
    pub(crate) fn learn(&self, kinds: Vec<Kind>) {
        for kind in kinds {
            self.policy.apply(PolicyRow::Kind { kind });
        }
    }

    /// Whether the vault has seen this kind.
    pub(crate) fn knows(&self, kind: &Kind) -> bool {
        self.policy.kind(kind.id()).is_some()
    }

    /// The record types used since the vault was opened.
    pub(crate) fn types(&self) -> MutexGuard<'_, Types> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was answered for becomes durable as long as it still can.
impl Drop for Unlocked {
    fn drop(&mut self) {
        let _ = self.committer.flush();
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLarge => Self::CommitTooLarge { len: usize::MAX, limit: JOB_BYTES },
            SealError::Random => Self::Random(crate::crypto::RandomFailed),
        }
    }
}

impl From<CommitFailed> for Error {
    fn from(failed: CommitFailed) -> Self {
        match failed {
            CommitFailed::NotCommitted(error) => Self::NotCommitted(error),
            CommitFailed::OutcomeUnknown(error) => Self::OutcomeUnknown(error),
            CommitFailed::Stopped(cause) => Self::AuditUnavailable { cause },
            CommitFailed::Draft(error) => Self::AuditUnavailable { cause: error.to_string().into() },
            CommitFailed::TooLarge { len } => Self::CommitTooLarge { len, limit: JOB_BYTES },
        }
    }
}

//! What whoever looks after a vault has to know about its keys: how old they are, and what could go wrong with them.

use std::fmt;
use std::time::Duration;

use super::{Rotation, Vault};
use crate::audit::EntryRef;
use crate::clock::Timestamp;
use crate::crypto::kdf_parameters::KdfParameters;
use crate::error::Error;
use crate::format::slot::SlotKind;
use crate::ids::VaultId;
use crate::keyring::SlotInfo;
use crate::policy::Compartment;
use crate::unlocked::Unlocked;

/// After so long a slot that never unlocked the vault is worth a try.
const UNTRIED: Duration = Duration::from_secs(90 * 86_400);

/// A sort of key that is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeySort {
    /// Seals records.
    Data,
    /// Seals patients' secrets.
    Wrap,
    /// Seals the log's entries.
    Audit,
}

impl fmt::Display for KeySort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data key",
            Self::Wrap => "wrap key",
            Self::Audit => "log's key",
        })
    }
}

/// How old a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyAge {
    /// What it is for.
    pub sort: KeySort,
    /// Its number, from 1.
    pub epoch: u32,
    /// When it was made: exactly, for epoch 1, otherwise then or later. The log has the time (`key-added`).
    pub not_before: Timestamp,
}

/// Something about a vault's keys that can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRisk {
    /// There is one slot, and nothing opens the vault if its credential is lost.
    OnlyOneSlot {
        /// The slot.
        slot: u8,
    },
    /// No slot is for a recovery key or a key that several people hold together.
    NoRecovery,
    /// A slot never unlocked the vault for so long that nobody knows whether its credential can still be found.
    NeverUsed {
        /// The slot.
        slot: u8,
        /// Since when it is there.
        since: Timestamp,
    },
    /// Guessing a passphrase costs less than is advised today.
    CheapPassphrase {
        /// The slot.
        slot: u8,
        /// What it costs.
        found: KdfParameters,
        /// What is advised, which `Unlocking::upgrade_kdf` gives the slot of a lone passphrase.
        advised: KdfParameters,
    },
    /// Both copies of the header are in the vault's directory: if that is lost, a backup without a header opens nothing.
    HeaderOnOneDisk,
    /// The header is kept apart, and both copies of it are in one directory there: if that is lost, nothing opens the vault.
    HeaderOnOneMedium,
    /// A rotation of keys was begun and has not ended; the old keys still open what they opened.
    RotationUnderWay,
    /// Patients were erased, and old copies of their secrets may still open with the vault's keys.
    ErasuresUnfinished {
        /// How many patients.
        patients: usize,
    },
}

impl fmt::Display for KeyRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyOneSlot { slot } => {
                write!(f, "slot {slot} is the only one: whoever loses its credential loses the vault; add another")
            }
            Self::NoRecovery => {
                f.write_str("no recovery key and no shared key: add one, print it and lock it away elsewhere")
            }
            Self::NeverUsed { slot, since } => write!(
                f,
                "slot {slot} never unlocked the vault since {}: find its credential and try it, or remove it",
                day(*since)
            ),
            Self::CheapPassphrase { slot, found, advised } => {
                write!(f, "slot {slot}: {found} is cheap to guess; upgrade it to {advised}")
            }
            Self::HeaderOnOneDisk => {
                f.write_str("both copies of the header are on the vault's own disk; keep a copy with the backups")
            }
            Self::HeaderOnOneMedium => f.write_str(
                "both copies of the header are on the medium that is kept apart; lock a backup of it away elsewhere",
            ),
            Self::RotationUnderWay => f.write_str("a rotation of keys has not ended; continue it"),
            Self::ErasuresUnfinished { patients } => {
                write!(f, "the erasure of {patients} patients is not finished; finish it")
            }
        }
    }
}

/// The keys of a vault, and what could go wrong with them; see [`Vault::key_report`]. `Display` gives a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyReport {
    /// The vault.
    pub vault: VaultId,
    /// When this was said.
    pub at: Timestamp,
    /// When the vault was created, by its log; `None` where its first entry cannot be read, or was pruned.
    pub created: Option<Timestamp>,
    /// Its key slots, ascending by number.
    pub slots: Vec<SlotInfo>,
    /// The keys that are rotated, and how old each is; of the log's, the one that seals.
    pub keys: Vec<KeyAge>,
    /// How their rotation stands.
    pub rotation: Rotation,
    /// The compartments, by name. Their keys are never rotated.
    pub compartments: Vec<Compartment>,
    /// Patients who were erased.
    pub erasures: usize,
    /// What could go wrong.
    pub risks: Vec<KeyRisk>,
}

impl Vault {
    /// What whoever looks after the vault has to know about its keys: the age of keys and slots, what passphrases cost to
    /// guess, slots that were never tried, single points of failure, and what was begun and not ended. Leaves no log entry:
    /// it is about nobody. `docs/keys.md` says what to do about each.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # let clinic = clinic::Clinic::new();
    /// use chartvault::KeyRisk;
    /// let report = clinic.vault.key_report()?;
    /// println!("{report}");
    /// assert_eq!(report.risks, [KeyRisk::HeaderOnOneDisk]);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn key_report(&self) -> Result<KeyReport, Error> {
        let (slots, rotation, erasures) = (self.slots()?, self.rotation()?, self.erasures()?);
        let compartments = self.compartments()?;
        let unlocked = self.0.gate.enter()?;
        let (at, created) = (unlocked.clock.now(), created(&unlocked));
        let first = created.unwrap_or(Timestamp::MIN);
        // An erasure makes a new wrap key.
        let erased = erasures.iter().map(|erasure| erasure.begun).max();
        let later = |epoch: u32, other: Option<Timestamp>| if epoch > 1 { other.unwrap_or(first) } else { first };
        let age = |sort, epoch: u32, newest: bool| {
            let other = erased.filter(|_| sort == KeySort::Wrap && newest);
            KeyAge { sort, epoch, not_before: later(epoch, other) }
        };
        let newest = rotation.wrap_epochs.last().copied();
        let data = rotation.data_epochs.iter().map(|epoch| age(KeySort::Data, *epoch, false));
        let wrap = rotation.wrap_epochs.iter().map(|epoch| age(KeySort::Wrap, *epoch, Some(*epoch) == newest));
        let audit = age(KeySort::Audit, rotation.audit_epoch, false);
        let keys = data.chain(wrap).chain([audit]).collect();
        let unfinished = erasures.iter().filter(|erasure| erasure.finished.is_none()).count();
        let header = if self.0.home.is_detached() { KeyRisk::HeaderOnOneMedium } else { KeyRisk::HeaderOnOneDisk };
        let risks = risks(&slots, header, &rotation, unfinished, at);
        let erasures = erasures.len();
        Ok(KeyReport { vault: self.id(), at, created, slots, keys, rotation, compartments, erasures, risks })
    }
}

/// When the first entry of the log was made; nothing where that was pruned.
fn created(unlocked: &Unlocked) -> Option<Timestamp> {
    let first = unlocked.committer.storage().entries(0, 1).ok()?;
    let (_, bytes) = first.first()?;
    EntryRef::parse(bytes).ok().map(|entry| entry.front.time)
}

fn risks(slots: &[SlotInfo], header: KeyRisk, rotation: &Rotation, unfinished: usize, now: Timestamp) -> Vec<KeyRisk> {
    let mut risks = Vec::new();
    if let [only] = slots {
        risks.push(KeyRisk::OnlyOneSlot { slot: only.number });
    }
    if !slots.iter().any(|slot| matches!(slot.kind, SlotKind::RecoveryKey | SlotKind::SharedKey)) {
        risks.push(KeyRisk::NoRecovery);
    }
    for slot in slots {
        if slot.last_used.is_none() && now.saturating_since(slot.created) >= UNTRIED {
            risks.push(KeyRisk::NeverUsed { slot: slot.number, since: slot.created });
        }
        let of_partners = slot.partners.iter().filter_map(|partner| partner.kdf);
        if let Some(found) = slot.kdf.into_iter().chain(of_partners).find(|kdf| is_cheap(*kdf)) {
            let advised = KdfParameters::recommended();
            risks.push(KeyRisk::CheapPassphrase { slot: slot.number, found, advised });
        }
    }
    risks.push(header);
    if rotation.is_under_way() && unfinished == 0 {
        risks.push(KeyRisk::RotationUnderWay);
    }
    if unfinished > 0 {
        risks.push(KeyRisk::ErasuresUnfinished { patients: unfinished });
    }
    risks
}

/// Weaker than what is recommended. PBKDF2 is for sites that must: its least number of iterations is advised as it is.
const fn is_cheap(kdf: KdfParameters) -> bool {
    matches!(kdf, KdfParameters::Argon2id(_)) && kdf.is_weaker_than(KdfParameters::recommended())
}

/// The day of an instant.
fn day(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('T').map_or_else(|| text.clone(), |(day, _)| day.to_owned())
}

impl KeyReport {
    fn days(&self, since: Timestamp) -> u64 {
        self.at.saturating_since(since).as_secs() / 86_400
    }
}

impl fmt::Display for KeyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "keys of {} on {}", self.vault, day(self.at))?;
        writeln!(f, "{:>4}  {:<14}  {:<20}  {:>6}  {:<10}  derivation", "slot", "kind", "label", "days", "last used")?;
        for slot in &self.slots {
            let used = slot.last_used.map_or_else(|| "never".to_owned(), day);
            let kdf = slot.kdf.map_or_else(|| "-".to_owned(), |kdf| kdf.to_string());
            let (kind, days) = (slot.kind.to_string(), self.days(slot.created));
            writeln!(f, "{:>4}  {kind:<14}  {:<20}  {days:>6}  {used:<10}  {kdf}", slot.number, slot.label)?;
        }
        for KeyAge { sort, epoch, not_before } in &self.keys {
            let at_most = if *epoch > 1 { "at most " } else { "" };
            writeln!(f, "{sort} {epoch}: {at_most}{} days old", self.days(*not_before))?;
        }
        for Compartment { name, kinds, created } in &self.compartments {
            writeln!(f, "compartment {name}: {} kinds, {} days old", kinds.len(), self.days(*created))?;
        }
        writeln!(f, "patients erased: {}", self.erasures)?;
        if self.risks.is_empty() {
            return f.write_str("nothing to be seen to");
        }
        write!(f, "to be seen to:")?;
        self.risks.iter().try_for_each(|risk| write!(f, "\n- {risk}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::passphrase::PassphraseCost;
    use crate::crypto::pbkdf2::Pbkdf2Iterations;

    #[test]
    fn a_passphrase_is_cheap_below_what_new_slots_take_and_not_at_it() {
        let cost = |memory, passes| KdfParameters::from(PassphraseCost::new(memory, passes, 1).unwrap());
        let advised = PassphraseCost::default();
        let (memory, passes) = (advised.memory_kib(), advised.passes());
        assert!(!is_cheap(cost(memory, passes)) && !is_cheap(cost(2 * memory, passes)));
        assert!(is_cheap(cost(memory / 2, 2 * passes)) && is_cheap(cost(memory, passes - 1)));
        assert!(!is_cheap(Pbkdf2Iterations::MINIMUM.into()));
    }
}

//! Signing epochs: which one an opened vault is in, and how one is closed (docs/format/signing-key.md).

use super::{Home, Options};
use crate::audit::{Checkpoint, Draft, FIRST_SIGNING_EPOCH, Head};
use crate::committer::Row;
use crate::crypto::sign::SigningSeed;
use crate::error::Error;
use crate::format::signing_key::{NoKey, SigningKeys};
use crate::keyring::signing_key::{FoundKey, KeepError, SigningKeyPlace};
use crate::policy::{ClosedEpoch, EpochRow, EpochStart, PolicyRow};
use crate::unlocked::{Signing, Unlocked};

/// The epoch that a vault is in once what belongs to it is committed.
pub(super) struct InForce {
    signing: Signing,
    /// Where it begins now: its row, and how.
    begins: Option<EpochRow>,
    /// Its row, where it goes on although a final checkpoint was signed: an entry slipped behind that, and nobody was given it.
    reopened: Option<EpochRow>,
    /// Why its key could not be kept, so that the next opening will not find it.
    pub(super) unsaved: Option<String>,
}

/// What an opened vault does about its signing epoch.
enum Decided {
    GoesOn(SigningSeed),
    Begins(EpochStart, Option<SigningSeed>),
}

/// Where the key is kept.
pub(super) fn place(home: &Home, options: &Options) -> SigningKeyPlace {
    home.signing_key(options.signing_key.as_deref())
}

/// The first epoch of a new vault. Its key is in its place when this returns.
pub(super) fn of_new_vault(unlocked: &Unlocked, place: SigningKeyPlace) -> Result<InForce, Error> {
    let seed = SigningSeed::generate()?;
    let (start, first) = (EpochStart::Created, 0);
    let row = EpochRow { epoch: FIRST_SIGNING_EPOCH, start, first, public: seed.public(), closed: None };
    keep(unlocked, &place, FIRST_SIGNING_EPOCH, &seed)?;
    let signing = Signing::new(FIRST_SIGNING_EPOCH, seed, place);
    Ok(InForce { signing, begins: Some(row), reopened: None, unsaved: None })
}

/// The epoch that goes on or begins with an opening, where `head` is the newest entry. If it begins, its key is in its place
/// before anything says so. What a restore brought back takes no key that it finds: the vault before it may sign with that, and its log
/// has other entries of the same numbers.
pub(super) fn at_opening(
    unlocked: &Unlocked,
    place: SigningKeyPlace,
    head: &Head,
    brought_back: bool,
) -> Result<InForce, Error> {
    place.clear_unfinished();
    let row = unlocked.epoch_row(head.key_id)?;
    let signs = row.is_some() || unlocked.policy.epoch().is_some();
    let found = place.find(unlocked.vault, &unlocked.keyring().signing_key_sealer());
    if matches!(found, FoundKey::Bad(NoKey::OtherVault)) {
        place.set_foreign_aside();
    }
    let found = if brought_back { FoundKey::Missing } else { found };
    let (start, announced) = match decide(head, row.as_ref(), signs, found) {
        Decided::GoesOn(seed) => {
            let signing = Signing::new(head.key_id, seed, place);
            let reopened = row.filter(|row| row.closed.is_some()).map(|row| EpochRow { closed: None, ..row });
            return Ok(InForce { signing, begins: None, reopened, unsaved: None });
        }
        Decided::Begins(start, announced) => (start, announced),
    };
    let seed = announced.map_or_else(SigningSeed::generate, Ok)?;
    let (epoch, first) = (head.key_id.saturating_add(1), head.seq.saturating_add(1));
    let row = EpochRow { epoch, start, first, public: seed.public(), closed: None };
    // The records are worth more than the chain of keys, of which verifiers will see that it breaks.
    let unsaved = keep(unlocked, &place, epoch, &seed).err().map(|error| error.to_string());
    Ok(InForce { signing: Signing::new(epoch, seed, place), begins: Some(row), reopened: None, unsaved })
}

fn decide(head: &Head, row: Option<&EpochRow>, signs: bool, found: FoundKey) -> Decided {
    use EpochStart::{
        Announced, AnotherKey, FirstKey, KeyDamaged, KeyMissing, KeyOfAnotherEpoch, KeyOfAnotherVault, KeyUnreadable,
    };
    let keys = match found {
        FoundKey::Keys(keys) => keys,
        FoundKey::Missing if !signs => return Decided::Begins(FirstKey, None),
        FoundKey::Missing => return Decided::Begins(KeyMissing, None),
        FoundKey::Bad(NoKey::Damaged) => return Decided::Begins(KeyDamaged, None),
        FoundKey::Bad(NoKey::OtherVault) => return Decided::Begins(KeyOfAnotherVault, None),
        FoundKey::Unreadable => return Decided::Begins(KeyUnreadable, None),
    };
    let Some(row) = row else { return Decided::Begins(AnotherKey, None) };
    let SigningKeys { epoch, current, next } = *keys;
    let following = if epoch == head.key_id { next.as_ref() } else { Some(&current) };
    let is_following = epoch == head.key_id || Some(epoch) == head.key_id.checked_add(1);
    match &row.closed {
        // Only as long as nothing slipped behind it.
        Some(closed) if Some(closed.size) == head.seq.checked_add(1) => match following {
            Some(seed) if is_following && seed.public() == closed.next => {
                let seed = SigningSeed::from_seed(&seed.seed());
                Decided::Begins(Announced, Some(seed))
            }
            Some(_) if is_following => Decided::Begins(AnotherKey, None),
            _ => Decided::Begins(KeyOfAnotherEpoch, None),
        },
        _ if epoch != head.key_id => Decided::Begins(KeyOfAnotherEpoch, None),
        _ if current.public() != row.public => Decided::Begins(AnotherKey, None),
        _ => Decided::GoesOn(current),
    }
}

fn keep(unlocked: &Unlocked, place: &SigningKeyPlace, epoch: u32, seed: &SigningSeed) -> Result<(), Error> {
    let current = SigningSeed::from_seed(&seed.seed());
    Ok(unlocked.keep_signing_keys(place, &SigningKeys { epoch, current, next: None })?)
}

impl InForce {
    pub(super) const fn epoch(&self) -> u32 {
        self.signing.epoch
    }

    /// How it begins, if it does now.
    pub(super) fn start(&self) -> Option<EpochStart> {
        self.begins.as_ref().map(|row| row.start)
    }

    /// The row that says that it begins, or goes on, for the commit of the first entry.
    pub(super) fn row(&self, unlocked: &Unlocked) -> Result<Option<Row>, Error> {
        self.begins.as_ref().or(self.reopened.as_ref()).map(|row| unlocked.epoch_to_commit(row)).transpose()
    }

    /// Its first entry, but for the first epoch of a vault.
    pub(super) fn draft(&self) -> Option<Draft> {
        let row = self.begins.as_ref()?;
        let unsaved = if self.unsaved.is_some() { "; its key could not be kept" } else { "" };
        Some(Draft::first_of_signing_epoch(format!("epoch {}: {}{unsaved}", row.epoch, row.start)))
    }

    /// Takes it in force, once it is durable.
    pub(super) fn take(self, unlocked: &Unlocked) {
        if let Some(row) = self.begins.or(self.reopened) {
            unlocked.policy.apply(PolicyRow::Epoch(row));
        }
        let _ = unlocked.signing.set(self.signing);
    }
}

/// Entries that may slip behind a final checkpoint before it is given up: something mended itself meanwhile.
const MOST_SLIPS: u32 = 8;

/// Closes the epoch in force behind the newest entry: signs the final checkpoint, which names the next key, and destroys this
/// one. Where it fails, the epoch goes on at the next opening.
pub(super) fn close_epoch(unlocked: &Unlocked) -> Result<Option<Checkpoint>, Error> {
    let Some(closing) = Closing::begin(unlocked)? else { return Ok(None) };
    // A damaged log of which no tree could be built: there is nothing to sign, and the epoch goes on.
    if unlocked.committer.log_tree().is_none() {
        return Ok(None);
    }
    closing.keep_both()?;
    let checkpoint = closing.commit_final()?;
    closing.keep_next()?;
    Ok(Some(checkpoint))
}

/// An epoch on its way out, step by step.
pub(super) struct Closing<'u> {
    unlocked: &'u Unlocked,
    signing: &'u Signing,
    next: SigningSeed,
}

impl<'u> Closing<'u> {
    pub(super) fn begin(unlocked: &'u Unlocked) -> Result<Option<Self>, Error> {
        let Some(signing) = unlocked.signing.get() else { return Ok(None) };
        Ok(Some(Self { unlocked, signing, next: SigningSeed::generate()? }))
    }

    pub(super) fn keep_both(&self) -> Result<(), Error> {
        Ok(self.unlocked.keep_both_keys(self.signing, &self.next)?)
    }

    pub(super) fn commit_final(&self) -> Result<Checkpoint, Error> {
        let Self { unlocked, signing, next } = self;
        let Some(open) = unlocked.epoch_row(signing.epoch)? else {
            return Err(Error::TamperedRow { what: "signing epoch" });
        };
        for _ in 0..MOST_SLIPS {
            let size = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
            let public = next.public();
            let checkpoint = unlocked.final_checkpoint(signing, size, &public)?;
            let note = checkpoint.note.clone();
            let row = EpochRow { closed: Some(ClosedEpoch { size, next: public, note }), ..open.clone() };
            unlocked.commit(vec![unlocked.epoch_to_commit(&row)?], Vec::new())?;
            if unlocked.committer.newest_entry().is_some_and(|head| head.seq.saturating_add(1) == size) {
                return Ok(checkpoint);
            }
        }
        Err(Error::AuditUnavailable { cause: "entries kept slipping behind the final checkpoint".into() })
    }

    pub(super) fn keep_next(self) -> Result<(), Error> {
        Ok(self.unlocked.keep_next_key(self.signing, self.next)?)
    }
}

impl From<KeepError> for Error {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Storage(error) => error.into(),
            KeepError::Seal(error) => error.into(),
        }
    }
}

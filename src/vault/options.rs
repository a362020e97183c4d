//! Settings of a vault in this process. None of them changes what is stored or how safe it is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::sinks::GivenSink;
use crate::anchor::{Anchor, AnchorPolicy};
use crate::clock::{Clock, SystemClock};
use crate::consent::{Consent, ConsentHook};
use crate::crypto::passphrase::PassphraseCost;
use crate::error::Error;
use crate::monitor::{CareContext, CareHook};
use crate::sink::{AuditSink, SinkPolicy, checked_name};
use crate::storage::StorageOptions;

/// A round of a million rows takes about an hour, and a thousandth of one core.
const SCRUB_RATE: u32 = 250;

/// Some 50,000 records of 300 bytes.
const RECORD_CACHE: u64 = 32 << 20;

/// Settings of a vault in this process: memory, file sizes, the clock.
///
/// ```
/// use chartvault::Options;
/// let options = Options::new().cache_bytes(512 << 20);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(super) storage: StorageOptions,
    pub(super) record_cache: u64,
    pub(super) scrub_rate: u32,
    pub(super) password_cost: PassphraseCost,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seal_when_idle: Option<Duration>,
    pub(super) harden_process: bool,
    pub(super) header: Option<PathBuf>,
    pub(super) consent: ConsentHook,
    pub(super) signing_key: Option<PathBuf>,
    pub(super) anchors: Vec<(Arc<dyn Anchor>, AnchorPolicy)>,
    pub(super) sinks: BTreeMap<String, GivenSink>,
    pub(super) care: CareHook,
    /// Whether a restore opens the vault, to finish.
    pub(super) restoring: bool,
    /// Whether that has not begun a signing epoch of its own yet.
    pub(super) brought_back: bool,
}

impl Options {
    /// The defaults: 256 MiB of cache for the trees and 32 MiB for opened records, journal segments of 1 to 64 MiB, the system
    /// clock.
    pub fn new() -> Self {
        Self {
            storage: StorageOptions::default(),
            record_cache: RECORD_CACHE,
            scrub_rate: SCRUB_RATE,
            password_cost: PassphraseCost::default(),
            clock: Arc::new(SystemClock),
            seal_when_idle: None,
            harden_process: false,
            header: None,
            consent: ConsentHook::default(),
            signing_key: None,
            anchors: Vec::new(),
            sinks: BTreeMap::new(),
            care: CareHook::default(),
            restoring: false,
            brought_back: false,
        }
    }

    /// As a restore needs them: nothing outside is asked, and nothing is given to it.
    #[cfg(feature = "backup")]
    pub(super) fn for_restoring(self) -> Self {
        let (anchors, sinks) = (Vec::new(), BTreeMap::new());
        Self { anchors, sinks, seal_when_idle: None, restoring: true, ..self }
    }

    /// Memory for the trees' cache, in bytes. Fastest when all records of the day fit.
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.storage.cache_bytes = bytes;
        self
    }

    /// Memory for records that were opened lately, in bytes; 32 MiB if not called. It holds them **decrypted**, for all
    /// sessions of the vault, so that a record read again costs no cipher; each access is decided by its token and logged as
    /// ever. Each takes its size and some 320 bytes, and one that needs more than a sixteenth of all is not kept. What was
    /// not used lately goes first; closing the vault wipes all. A record that the disk changed after it was opened is
    /// noticed once it is not in this memory any more, or by [`Vault::check`]; what is answered until then is what was
    /// written. 0: nothing is kept, and each access decrypts what it reads.
    ///
    /// [`Vault::check`]: crate::Vault::check
    ///
    /// ```
    /// use chartvault::Options;
    /// let nothing_decrypted_is_kept = Options::new().record_cache(0);
    /// ```
    pub const fn record_cache(mut self, bytes: u64) -> Self {
        self.record_cache = bytes;
        self
    }

    /// The longest record, in sealed bytes, that the trees hold themselves; 256 if not called, which leaves all of them to the
    /// journal, and 4,096 at most. A longer one stands once, in the journal, and the trees say where: writing is faster and
    /// the vault smaller, a value that is in no cache costs a read of the journal more, and a salvage cannot make good out of
    /// the trees what the journal has lost.
    /// It holds for what is written from then on; what was written before stays where it is, and is read as before.
    ///
    /// ```
    /// use chartvault::Options;
    /// let twice = Options::new().inline_limit(4_096);
    /// ```
    pub fn inline_limit(mut self, bytes: usize) -> Self {
        self.storage.inline_limit = bytes.min(StorageOptions::INLINE_MOST);
        self
    }

    /// Sizes of journal segments, in bytes: the first one, and the largest (each is twice the one before, up to that).
    /// From 64 KiB to 1 GiB; other values count as the nearest.
    pub fn segment_bytes(mut self, first: u64, largest: u64) -> Self {
        const LEAST: u64 = 64 << 10;
        const MOST: u64 = 1 << 30;
        self.storage.segment_first = first.clamp(LEAST, MOST);
        self.storage.segment_max = largest.clamp(self.storage.segment_first, MOST);
        self
    }

    /// How much of the journal's closed segments, in percent, may be taken by what was overwritten or deleted since,
    /// before the vault compacts them by itself: in the background, while others go on, and with an entry in the log.
    /// 50 if not called; looked at once a minute, and never below 64 MiB. 100 or more: only [`Vault::compact`] does it.
    ///
    /// [`Vault::compact`]: crate::Vault::compact
    pub const fn compact_share(mut self, percent: u8) -> Self {
        self.storage.compact_share = percent;
        self
    }

    /// Bytes of the disk that are left free; 32 MiB if not called. Below, writes answer
    /// [`StorageError::DiskFull`](crate::StorageError::DiskFull) and the trees are left alone, while reads go on as long
    /// as their log entries find room in the journal's reserve. Where the system does not tell how much is free (Windows),
    /// the disk counts as full when it is.
    pub const fn keep_free(mut self, bytes: u64) -> Self {
        self.storage.keep_free = bytes;
        self
    }

    /// How fast the vault reads through itself in the background, round and round, to find what the disk has changed before
    /// somebody needs it: in rows a second, each with 4 KiB of the journal and an entry of the log. 250 if not called: about
    /// 1 MiB a second, so that a journal of 20 GiB takes a night. A record counts as two rows, because its value is looked up
    /// in the journal as well (2 to 8 MiB a second); a round counts as 200,000 rows at least. 0: never. It waits while others
    /// have work to do, at most ten seconds; wrong trees are built anew, the log has an entry about what was found
    /// (`damage-found`), and [`Vault::health`] shows it.
    ///
    /// [`Vault::health`]: crate::Vault::health
    pub const fn scrub_rate(mut self, rows_per_second: u32) -> Self {
        self.scrub_rate = rows_per_second;
        self
    }

    /// What guessing a password of those who sign in costs ([`Vault::sign_in`]), for passwords that are set from now on; 64 MiB,
    /// 3 passes and 1 lane of Argon2id if not called. One that was set at a lower cost is kept at this one after its next use.
    /// Passwords are derived with 256 MiB at a time, or with one if that takes more: who comes then waits.
    ///
    /// [`Vault::sign_in`]: crate::Vault::sign_in
    pub const fn password_cost(mut self, cost: PassphraseCost) -> Self {
        self.password_cost = cost;
        self
    }

    /// Closes the vault by itself once nobody has used it for so long: as [`Vault::close`] does, so that the keys are gone
    /// from memory and the next call answers [`Error::Sealed`]; the closing entry says that it was
    /// idle. Every call through the vault or a session counts as use, and one that is under way as long as it lasts; what the
    /// vault does by itself does not. Time that the machine slept counts. Never if not called.
    ///
    /// [`Vault::close`]: crate::Vault::close
    ///
    /// ```
    /// use std::time::Duration;
    /// use chartvault::Options;
    /// let at_the_front_desk = Options::new().seal_when_idle(Duration::from_secs(15 * 60));
    /// ```
    pub const fn seal_when_idle(mut self, most: Duration) -> Self {
        self.seal_when_idle = Some(most);
        self
    }

    /// Keeps the memory of the whole process from disks, where the system lets it: all pages are locked (`mlockall`) and
    /// core dumps refused (`PR_SET_DUMPABLE`, `RLIMIT_CORE`), from the opening of this vault until the process ends.
    /// [`Vault::memory_protection`] says what came of it; nothing fails where the system refuses.
    ///
    /// Off if not called, because it is about the process and not about the vault: other parts of the program are locked as
    /// well, debuggers and profilers of the same user are shut out (Linux), and pages are locked only where
    /// `RLIMIT_MEMLOCK` is unlimited, since a program that meets a limit later would be ended for want of memory.
    ///
    /// [`Vault::memory_protection`]: crate::Vault::memory_protection
    pub const fn harden_process(mut self) -> Self {
        self.harden_process = true;
        self
    }

    /// The directory of a header that is not in the vault's own ([`NewVault::detached_header`]). Both copies of it are
    /// there, and changes of key slots are written there. Without meaning for a vault in memory.
    ///
    /// [`NewVault::detached_header`]: crate::NewVault::detached_header
    pub fn header(mut self, path: impl AsRef<Path>) -> Self {
        self.header = Some(path.as_ref().to_owned());
        self
    }

    /// The file of the key that signs the log's checkpoints, if that is not `signing.key` in the vault's directory: on a medium
    /// that backups do not take along, say. Its directory has to be there. Whoever restores the vault without the file
    /// that belongs to it begins a new signing epoch, of which verifiers see that nobody announced its key. Without
    /// meaning for a vault in memory.
    ///
    /// ```
    /// use chartvault::{Options, RawKey, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (path, file) = (dir.path().join("clinic.vault"), dir.path().join("clinic.key"));
    /// let options = || Options::new().signing_key_file(&file);
    /// let key = RawKey::generate()?;
    /// Vault::create(&path).raw_key(&key).options(options()).finish()?.0.close()?;
    /// let vault = Vault::open_with(&path, options())?.unlock(&key)?;
    /// assert_eq!(vault.opening().signing_epoch, 2); // each opening after a close is in a new one
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn signing_key_file(mut self, path: impl AsRef<Path>) -> Self {
        self.signing_key = Some(path.as_ref().to_owned());
        self
    }

    /// Keeps the log's checkpoints outside the vault as well, where they show later that it was cut or brought back; may be called
    /// several times. When the vault is opened, each anchor is asked first, and what it holds compared. See
    /// [`AnchorPolicy`] for what can go unnoticed.
    pub fn anchor(mut self, anchor: Arc<dyn Anchor>, policy: AnchorPolicy) -> Self {
        self.anchors.push((anchor, policy));
        self
    }

    /// Who is asked about records with sensitive categories and about restricted charts; see [`Consent`]. If not called,
    /// nobody is: then a record with a category is given only to whom a role allows the category.
    pub fn consent(mut self, consent: Arc<dyn Consent>) -> Self {
        self.consent = ConsentHook::new(consent);
        self
    }

    /// Brings the log to a sink while the vault is open, from where the sink of that name left off, or from its first opening with
    /// it. Of several under one name the last one counts. The vault remembers name, place and policy: once it was opened with one
    /// that is required, it is not opened without it, until somebody detaches it ([`Vault::detach_sink`],
    /// [`Unlocking::without_sinks`]).
    ///
    /// # Errors
    /// [`SinkFault::Name`](crate::SinkFault::Name) for a name that is not 1 to 64 bytes, or has control characters.
    ///
    /// [`Vault::detach_sink`]: crate::Vault::detach_sink
    /// [`Unlocking::without_sinks`]: crate::Unlocking::without_sinks
    pub fn sink(mut self, name: &str, sink: Box<dyn AuditSink>, policy: SinkPolicy) -> Result<Self, Error> {
        let name = checked_name(name)?.to_owned();
        self.sinks.insert(name, GivenSink { sink: Arc::new(Mutex::new(sink)), policy });
        Ok(self)
    }

    /// What the host knows of staff and patients, for the rules of monitoring; see [`CareContext`]. If not called, rules that
    /// rest on it raise nothing.
    pub fn care_context(mut self, context: Arc<dyn CareContext>) -> Self {
        self.care = CareHook::new(context);
        self
    }

    /// Where the time comes from.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("storage", &self.storage).finish_non_exhaustive()
    }
}

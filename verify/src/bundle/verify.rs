//! Reading a bundle and coming to a verdict, with bounded memory.

use std::collections::BTreeMap;
use std::io::Read;

use super::BundleError;
use super::format::{Broken, In, Item, hashes, note_and_proof};
use super::pipeline::{Entries, read_entries};
use super::report::{Before, BundleFault, Report, Verdict};
use super::stretch::{Ground, Stretch};
use crate::chain::Chain;
use crate::disclose::Disclosed;
use crate::entry::EntryKind;
use crate::epochs::{EpochFault, Epochs, origin};
use crate::merkle::{Hash, Range, verify_consistency};
use crate::note::{Checkpoint, Note, SignatureKind, VerifierKey};
use zeroize::{Zeroize, Zeroizing};

/// Keys of entries that a bundle may have; what they open is held.
const MOST_KEYS: usize = 1_000;
/// Checkpoints of which it may prove that they are beginnings.
const MOST_EARLIER: usize = 100_000;
/// Faults that are told.
const MOST_FAULTS: usize = 100;

/// What is known beforehand.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Trust {
    /// One key of the log, of the oldest epoch that is known, and those of witnesses.
    pub keys: Vec<VerifierKey>,
    /// A checkpoint that was kept outside the vault, as a signed note.
    pub anchored: Option<String>,
}

impl Trust {
    /// Trusts these keys.
    #[must_use]
    pub fn keys(keys: impl IntoIterator<Item = VerifierKey>) -> Self {
        Self { keys: keys.into_iter().collect(), anchored: None }
    }

    /// And knows this checkpoint from elsewhere. Its signature counts only if it is by one of the keys.
    #[must_use]
    pub fn and_checkpoint(mut self, note: impl Into<String>) -> Self {
        self.anchored = Some(note.into());
        self
    }
}

/// Checks a bundle against what is trusted, on one thread; see [`BundleCheck`].
///
/// # Errors
/// [`BundleError`] where nothing can be said.
pub fn verify_bundle(from: impl Read, trust: &Trust) -> Result<Report, BundleError> {
    BundleCheck::new(trust).run(from)
}

/// A check of a bundle against what is trusted, about to run.
///
/// ```
/// use chartvault_verify::bundle::{BundleCheck, BundleError, Trust};
/// let checked = BundleCheck::new(&Trust::default()).threads(2).run(&b"something else"[..]);
/// assert!(matches!(checked, Err(BundleError::NotABundle)));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is checked before `run`"]
pub struct BundleCheck<'t> {
    trust: &'t Trust,
    threads: usize,
}

impl<'t> BundleCheck<'t> {
    /// On one thread, unless more are asked for.
    pub const fn new(trust: &'t Trust) -> Self {
        Self { trust, threads: 1 }
    }

    /// Has so many threads look at entries, 16 at most. With 2 or more, one more hashes the file, and the one that calls only
    /// reads. What is found is the same.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Checks. What is wrong with the bundle is told in the report; the first fault of the entries by its number. Reads it once,
    /// and holds some hundred kilobytes for each thread; wrap a file in a [`BufReader`](std::io::BufReader).
    ///
    /// # Errors
    /// [`BundleError`] where nothing can be said.
    pub fn run(self, from: impl Read) -> Result<Report, BundleError> {
        let (items, vault) = In::begin(from)?;
        let mut check = Check::new(vault, self.trust);
        check.run(items, self.threads)?;
        Ok(check.report())
    }
}

struct Check<'t> {
    trust: &'t Trust,
    vault: [u8; 16],
    checkpoint: Option<Checkpoint>,
    signed_by: Vec<(VerifierKey, Option<u64>)>,
    note: Option<Note>,
    epochs: Epochs,
    /// Checkpoints of which it is proved that they are beginnings of this one.
    proved: Vec<(u64, Hash)>,
    keys: BTreeMap<u64, Zeroizing<[u8; 32]>>,
    first: u64,
    before: Option<Before>,
    said: Option<u64>,
    chain: Chain,
    tree: Range,
    right: Option<Range>,
    anchored: Option<Checkpoint>,
    /// The root of as many entries as are anchored, where it was come by.
    at_anchor: Option<Hash>,
    disclosed: Vec<Disclosed>,
    ended: bool,
    integrity: Vec<BundleFault>,
    doubts: Vec<BundleFault>,
}

impl<'t> Check<'t> {
    fn new(vault: [u8; 16], trust: &'t Trust) -> Self {
        let origin = origin(&vault);
        let mut pinned = trust.keys.iter().filter(|key| key.name() == origin && key.kind() == SignatureKind::Ed25519);
        let epochs = Epochs::new(&vault, pinned.next());
        Self {
            trust,
            vault,
            checkpoint: None,
            signed_by: Vec::new(),
            note: None,
            epochs,
            proved: Vec::new(),
            keys: BTreeMap::new(),
            first: 0,
            before: None,
            said: None,
            chain: Chain::new(vault, 0),
            tree: Range::empty(0),
            right: None,
            anchored: None,
            at_anchor: None,
            disclosed: Vec::new(),
            ended: false,
            integrity: pinned.next().map(|_| BundleFault::SeveralKeys).into_iter().collect(),
            doubts: Vec::new(),
        }
    }

    fn run(&mut self, mut items: In<impl Read>, threads: usize) -> Result<(), BundleError> {
        let mut value = Vec::new();
        loop {
            let item = match items.next(&mut value) {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(broken) => return self.broken(broken),
            };
            let taken = match item {
                Item::Checkpoint => self.take_checkpoint(&value),
                Item::Final => self.take_final(&value),
                Item::Earlier => self.take_earlier(&value),
                Item::Key => self.take_key(&value),
                _ => self.take_range(&value),
            };
            if item == Item::Key {
                value.zeroize();
            }
            if let Err(fault) = taken {
                self.fault(fault);
                // Without a range, what follows says nothing.
                if item >= Item::Range {
                    return Ok(());
                }
            }
        }
        self.take_entries(items, threads)
    }

    fn take_entries(&mut self, mut items: In<impl Read>, threads: usize) -> Result<(), BundleError> {
        let ground = Ground {
            vault: self.vault,
            epochs: self.epochs.clone(),
            keys: self.keys.clone(),
            anchored: self.anchored.as_ref().map(|anchored| anchored.size),
        };
        let first = self.first;
        match read_entries(&mut items, &ground, first, threads, &mut |stretch| self.take_stretch(stretch))? {
            Entries::Taken(hash) => match items.end(hash) {
                Ok(()) => self.ended = true,
                Err(broken) => return self.broken(broken),
            },
            Entries::Refused => {}
            Entries::Broken(what) => self.fault(BundleFault::Malformed(what)),
        }
        Ok(())
    }

    fn broken(&mut self, broken: Broken) -> Result<(), BundleError> {
        match broken {
            Broken::Io(error) => Err(error.into()),
            Broken::Malformed(what) => {
                self.fault(BundleFault::Malformed(what));
                Ok(())
            }
        }
    }

    fn fault(&mut self, fault: BundleFault) {
        if self.integrity.len() < MOST_FAULTS {
            self.integrity.push(fault);
        }
    }

    fn take_checkpoint(&mut self, value: &[u8]) -> Result<(), BundleFault> {
        let unusable = |what: &dyn ToString| BundleFault::Checkpoint(what.to_string());
        if self.checkpoint.is_some() {
            return Err(BundleFault::Malformed("it has two checkpoints"));
        }
        let text = std::str::from_utf8(value).map_err(|error| unusable(&error))?;
        let note: Note = text.parse().map_err(|error| unusable(&error))?;
        let checkpoint: Checkpoint = note.text().parse().map_err(|error| unusable(&error))?;
        if checkpoint.origin != origin(&self.vault) {
            return Err(unusable(&"it is of another log"));
        }
        self.anchored = self.trust.anchored.as_ref().and_then(|note| {
            let note: Note = note.parse().ok()?;
            note.text().parse().ok().filter(|anchored: &Checkpoint| anchored.origin == checkpoint.origin)
        });
        (self.checkpoint, self.note) = (Some(checkpoint), Some(note));
        Ok(())
    }

    /// Whether a checkpoint is a beginning of this one.
    fn is_beginning(&self, earlier: &Checkpoint, proof: &[Hash]) -> bool {
        self.checkpoint.as_ref().is_some_and(|whole| {
            let (old, new) = ((earlier.size, &earlier.root), (whole.size, &whole.root));
            earlier.origin == whole.origin && verify_consistency(old, new, proof).is_ok()
        })
    }

    fn take_final(&mut self, value: &[u8]) -> Result<(), BundleFault> {
        let (note, proof) = note_and_proof(value).ok_or(BundleFault::Malformed("a final checkpoint is none"))?;
        let closed = match self.epochs.close(note) {
            Ok(closed) => closed.checkpoint,
            // Those from before the first key that is pinned prove nothing, and harm nothing.
            Err(EpochFault::Untrusted { .. }) if self.epochs.closed().is_empty() => return Ok(()),
            Err(fault) => return Err(fault.into()),
        };
        if self.proved.len() >= MOST_EARLIER {
            return Err(BundleFault::Malformed("it has more earlier checkpoints than a bundle may have"));
        }
        if !self.is_beginning(&closed, &proof) {
            return Err(BundleFault::NotABeginning { size: closed.size });
        }
        self.proved.push((closed.size, closed.root));
        Ok(())
    }

    fn take_earlier(&mut self, value: &[u8]) -> Result<(), BundleFault> {
        let (note, proof) = note_and_proof(value).ok_or(BundleFault::Malformed("an earlier checkpoint is none"))?;
        let note: Note = note.parse().map_err(|_| BundleFault::Malformed("an earlier checkpoint is none"))?;
        let earlier: Checkpoint =
            note.text().parse().map_err(|_| BundleFault::Malformed("an earlier checkpoint is none"))?;
        if self.proved.len() >= MOST_EARLIER {
            return Err(BundleFault::Malformed("it has more earlier checkpoints than a bundle may have"));
        }
        if !self.is_beginning(&earlier, &proof) {
            return Err(BundleFault::NotABeginning { size: earlier.size });
        }
        self.proved.push((earlier.size, earlier.root));
        Ok(())
    }

    fn take_key(&mut self, value: &[u8]) -> Result<(), BundleFault> {
        let malformed = BundleFault::Malformed("a key of an entry is none");
        let (seq, key) = value.split_first_chunk::<8>().ok_or(malformed.clone())?;
        let key = key.try_into().map_err(|_| malformed)?;
        if self.keys.len() >= MOST_KEYS {
            return Err(BundleFault::Malformed("it has more keys than a bundle may have"));
        }
        self.keys.insert(u64::from_be_bytes(*seq), Zeroizing::new(key));
        Ok(())
    }

    fn take_range(&mut self, value: &[u8]) -> Result<(), BundleFault> {
        if self.said.is_some() {
            return Err(BundleFault::Malformed("it has two ranges"));
        }
        let size = self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let read = || {
            let (first, rest) = value.split_first_chunk::<8>()?;
            let (count, rest) = rest.split_first_chunk::<8>()?;
            let (first, count) = (u64::from_be_bytes(*first), u64::from_be_bytes(*count));
            let (left, rest) = some_hashes(rest)?;
            let (right, rest) = some_hashes(rest)?;
            let end = first.checked_add(count).filter(|end| *end <= size && rest.is_empty())?;
            Some((first, count, Range::of_nodes(0, first, left).ok()?, Range::of_nodes(end, size, right).ok()?))
        };
        let (first, count, left, right) =
            read().ok_or(BundleFault::Malformed("its range is none of the checkpoint's"))?;
        (self.first, self.said, self.tree, self.right) = (first, Some(count), left, Some(right));
        self.chain = Chain::new(self.vault, first);
        let root = self.tree.root();
        self.before = (first > 0).then_some(Before { size: first, root, leaf: None, pruned_by: None });
        Ok(())
    }

    /// Joins what was found in a batch to what stands before it; says whether it is sound. Behind a fault, what follows says
    /// nothing.
    fn take_stretch(&mut self, stretch: Stretch) -> bool {
        match self.join(stretch) {
            Ok(()) => true,
            Err(fault) => {
                self.fault(fault);
                false
            }
        }
    }

    fn join(&mut self, stretch: Stretch) -> Result<(), BundleFault> {
        if self.said.is_none() {
            return Err(BundleFault::Malformed("it has entries without a range"));
        }
        let (before, at) = (self.chain.last(), self.chain.next());
        if let Some(first) = self.before.as_mut().filter(|_| before.is_none()) {
            first.leaf = stretch.chain.first_prev();
        }
        self.chain.join(&stretch.chain)?;
        let turned = before.map(|last| last.key_id).zip(stretch.chain.first_key()).filter(|(last, next)| last != next);
        for (epoch, seq) in turned.map(|(last, _)| (last, at)).into_iter().chain(stretch.turned) {
            if !self.epochs.ended_before(epoch, seq) && self.doubts.len() < MOST_FAULTS {
                self.doubts.push(BundleFault::NotClosed { epoch, seq });
            }
        }
        let tree = std::mem::replace(&mut self.tree, Range::empty(0));
        if let Some(up_to_anchor) = &stretch.at_anchor {
            self.at_anchor = tree.clone().join(up_to_anchor).and_then(|tree| tree.root());
        }
        self.tree = tree.join(&stretch.tree).ok_or(BundleFault::WrongRoot)?;
        for (kind, disclosed) in stretch.disclosed {
            self.keys.remove(&disclosed.seq);
            if kind == EntryKind::Prune {
                self.pruned(&disclosed)?;
            }
            self.disclosed.push(disclosed);
        }
        stretch.fault.map_or(Ok(()), Err)
    }

    /// A prune entry was opened: what it says of all that stands before the bundle's entries has to be so. Who has the archives can
    /// show more than the vault has, and then it says nothing of that.
    fn pruned(&mut self, opened: &Disclosed) -> Result<(), BundleFault> {
        let wrong = BundleFault::NotAsPruned { seq: opened.seq };
        let pruned = opened.pruned().ok_or(wrong.clone())?;
        let Some(before) = self.before.as_mut().filter(|before| before.size == pruned.end) else { return Ok(()) };
        if (before.root, before.leaf) != (Some(pruned.root), Some(pruned.last)) {
            return Err(wrong);
        }
        before.pruned_by = Some(opened.seq);
        Ok(())
    }

    fn report(mut self) -> Report {
        let found = self.chain.next().saturating_sub(self.first);
        let (said, lost) = (self.said.unwrap_or(0), self.chain.lost());
        let whole = self.ended && self.integrity.is_empty() && self.said.is_some();
        if whole && found == said {
            self.check_root();
        } else {
            // Nothing has tied these entries to the checkpoint.
            self.doubts.push(BundleFault::NotLookedAt);
        }
        self.check_signature();
        if let Some(seq) = self.keys.keys().next().copied().filter(|_| whole && found == said) {
            self.fault(BundleFault::Key { seq });
        }
        let mut missing = Vec::new();
        if found != said || !self.ended || self.said.is_none() {
            missing.push(BundleFault::Count { found, said });
        }
        if lost > 0 {
            missing.push(BundleFault::Lost(lost));
        }
        let freshness = self.freshness();
        let not_looked = if self.integrity.is_empty() { Vec::new() } else { vec![BundleFault::NotLookedAt] };
        Report {
            vault: self.vault,
            signed_by: self.signed_by,
            first: self.first,
            before: self.before,
            entries: found,
            last: self.chain.last(),
            disclosed: self.disclosed,
            integrity: Verdict::of(self.integrity, self.doubts),
            completeness: Verdict::of(missing, not_looked),
            freshness,
            checkpoint: self.checkpoint,
        }
    }

    fn check_root(&mut self) {
        let root = self.right.as_ref().and_then(|right| self.tree.clone().join(right)?.root());
        if root.is_none() || root != self.checkpoint.as_ref().map(|checkpoint| checkpoint.root) {
            self.fault(BundleFault::WrongRoot);
        }
    }

    /// By a pinned key, or by one that the final checkpoints lead to.
    fn check_signature(&mut self) {
        let Some(note) = &self.note else {
            return self.fault(BundleFault::Checkpoint("there is none".to_owned()));
        };
        // Witnesses sign as well, and no witness speaks for the log.
        let ours = self.epochs.keys_at(self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size));
        let witnesses = self.trust.keys.iter().filter(|key| key.name() != origin(&self.vault));
        let all: Vec<VerifierKey> = ours.iter().chain(witnesses).cloned().collect();
        match note.verify(&ours).and_then(|_| note.verify(&all)) {
            Ok(verified) => self.signed_by = verified.by().to_vec(),
            Err(error) => self.fault(BundleFault::Unsigned(error.to_string())),
        }
    }

    fn freshness(&self) -> Verdict {
        let unknown = |fault| Verdict::Unknown(vec![fault]);
        let Some(note) = &self.trust.anchored else { return unknown(BundleFault::NothingKnown) };
        let (Some(ours), Some(anchored)) = (&self.checkpoint, &self.anchored) else {
            let what = "the one from elsewhere is none, or of another log".to_owned();
            return Verdict::Unsound(vec![BundleFault::Checkpoint(what)]);
        };
        let signed = note.parse::<Note>().is_ok_and(|note| note.verify(&self.epochs.keys_at(anchored.size)).is_ok());
        if !signed {
            let what = "the one from elsewhere is not signed by a trusted key".to_owned();
            return unknown(BundleFault::Unsigned(what));
        }
        let (known, size) = (anchored.size, ours.size);
        if known > size {
            return Verdict::Unsound(vec![BundleFault::Stale { anchored: known, size }]);
        }
        let same = (known == size).then_some(ours.root);
        let proved = self.proved.iter().find(|(size, _)| *size == known).map(|(_, root)| *root);
        match same.or(proved).or(self.at_anchor) {
            Some(root) if root == anchored.root => Verdict::Sound,
            Some(_) => Verdict::Unsound(vec![BundleFault::Forked { anchored: known }]),
            None => unknown(BundleFault::NotComparable { anchored: known }),
        }
    }
}

/// `n u8 ‖ n × hash`, and the rest.
fn some_hashes(bytes: &[u8]) -> Option<(Vec<Hash>, &[u8])> {
    let (n, rest) = bytes.split_first()?;
    let (found, rest) = rest.split_at_checked(usize::from(*n) * 32)?;
    Some((hashes(found)?, rest))
}

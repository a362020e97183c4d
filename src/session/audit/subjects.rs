//! Opening entries, with the keys of the patients whom they are about; and naming these where an entry's key is given out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::audit::{
    AuditEntry, AuditFault, DraftSubject, EntryRef, FaultKind, OpenEntryError, SubjectKey, open_entry, subject_tags,
};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::secret::Secret;
use crate::unlocked::Unlocked;

/// Subject keys kept while a page or a verification goes on.
const SUBJECT_KEYS: usize = 4_096;
/// Patients whom the log names at once as those whose entries were given out.
const MOST_NAMED: usize = 10_000;

/// Keys of the patients whom a run of entries is about.
pub(in crate::session) struct SubjectKeys<'u> {
    unlocked: &'u Unlocked,
    /// Taken once the last entry of the run was known: it has the keys of them all.
    keyring: Arc<Keyring>,
    known: HashMap<(u32, [u8; 16], u32), Option<Arc<SubjectKey>>>,
}

impl<'u> SubjectKeys<'u> {
    pub(in crate::session) fn new(unlocked: &'u Unlocked) -> Self {
        Self { unlocked, keyring: unlocked.keyring(), known: HashMap::new() }
    }

    pub(in crate::session) fn open(&mut self, entry: &EntryRef<'_>) -> Result<AuditEntry, OpenEntryError> {
        let Self { unlocked, keyring, known } = self;
        open_entry(entry, keyring.audit(), |epoch, tag, generation| {
            let place = (epoch, *tag, generation);
            if known.len() >= SUBJECT_KEYS && !known.contains_key(&place) {
                known.clear();
            }
            let open = || unlocked.subject_of(epoch, tag, generation).map(Arc::new);
            known.entry(place).or_insert_with(open).clone()
        })
    }
}

/// The patients whom entries are about whose keys are given out: the log of each of them has to say so.
#[derive(Default)]
pub(super) struct GivenOut {
    tags: BTreeSet<[u8; 16]>,
}

impl GivenOut {
    /// The key of an entry, which is about these patients as well. One that does not say whom it is about keeps its key.
    pub(super) fn key_of(&mut self, unlocked: &Unlocked, seq: u64, bytes: &[u8]) -> Result<Secret<32>, Error> {
        let fault = |what| AuditFault { seq, what };
        let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
        let keyring = unlocked.keyring();
        let tags = subject_tags(&entry, keyring.audit()).map_err(|error| fault(FaultKind::from(error)))?;
        self.about(tags)?;
        let (epoch, key_id) = (entry.front.epoch, entry.front.key_id);
        let no_key = || fault(FaultKind::NoKey { epoch, key_id }).into();
        entry.entry_key(keyring.audit()).ok_or_else(no_key)
    }

    fn about(&mut self, tags: impl IntoIterator<Item = [u8; 16]>) -> Result<(), Error> {
        self.tags.extend(tags);
        let (what, len, limit) =
            ("patients whom entries are about whose keys are given out", self.tags.len(), MOST_NAMED);
        if len > limit { Err(Error::TooMany { what, len, limit }) } else { Ok(()) }
    }

    /// Those of them who have a chart. What an entry says of one who was erased nobody opens any more, and nobody could open
    /// that it was given out.
    pub(super) fn subjects(&self, unlocked: &Unlocked) -> Result<Vec<DraftSubject>, Error> {
        let mut subjects = Vec::with_capacity(self.tags.len());
        for tag in &self.tags {
            subjects.extend(unlocked.chart_of_tag(tag)?.map(|chart| chart.audited(Vec::new())));
        }
        Ok(subjects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_of_patients_and_each_counts_once() {
        let tag = |n: usize| u128::try_from(n).unwrap().to_be_bytes();
        let mut given_out = GivenOut::default();
        given_out.about((0..MOST_NAMED).map(tag)).unwrap();
        given_out.about((0..2).map(tag)).unwrap();
        let refused = given_out.about([tag(MOST_NAMED)]);
        assert!(matches!(refused, Err(Error::TooMany { len: 10_001, limit: 10_000, .. })), "{refused:?}");
    }
}

//! Opening entries, with the keys of the patients whom they are about.

use std::collections::HashMap;
use std::sync::Arc;

use crate::audit::{AuditEntry, EntryRef, OpenEntryError, SubjectKey, open_entry};
use crate::keyring::Keyring;
use crate::unlocked::Unlocked;

/// Subject keys kept while a page or a verification goes on.
const SUBJECT_KEYS: usize = 4_096;

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

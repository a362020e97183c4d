//! What somebody could do to a disk, done to a store in memory.

use super::MemoryStore;
use crate::format::keys::Tree;

/// What a store holds, by what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// Versions of records, each a row; of one record the newest first.
    Records,
    /// Patients' keys.
    Patients,
    /// Where identifiers lead.
    Identifiers,
    /// Issuers, attesters, kinds and choices.
    Policy,
    /// Entries of the audit log, oldest first.
    Entries,
    /// How many entries about each patient were written, 8 bytes each, big-endian; in no order.
    Counts,
}

impl MemoryStore {
    /// Hands everything stored of one sort to `edit`, with its place from 0 on, to be changed; what it answers `false` for
    /// is taken out. A vault that is open sees it at
    /// once, but for records that it keeps opened ([`Options::record_cache`](crate::Options::record_cache)). On the real storage, the journal's MACs and the digests of the
    /// trees come before what is then found out here.
    ///
    /// ```
    /// use chartvault::test_util::{Stored, TestVault};
    /// use chartvault::{Error, Identifier};
    ///
    /// let clinic = TestVault::new().build()?;
    /// let mrn = Identifier::new("urn:mrn:clinic-a", "12345")?;
    /// clinic.physician()?.register_patient([mrn.clone()])?;
    /// clinic.store().unwrap().tamper(Stored::Identifiers, |_, bytes| {
    ///     bytes[40] ^= 1;
    ///     true
    /// });
    /// let found = clinic.physician()?.find_patient(&mrn);
    /// assert!(matches!(found, Err(Error::TamperedRow { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tamper(&self, what: Stored, mut edit: impl FnMut(usize, &mut Vec<u8>) -> bool) {
        let tree = match what {
            Stored::Records => Tree::Records,
            Stored::Patients => Tree::Patients,
            Stored::Identifiers => Tree::Lookup,
            Stored::Policy => Tree::Policy,
            Stored::Entries => return self.edit_entries(&mut edit),
            Stored::Counts => return self.edit_tallies(&mut edit),
        };
        self.edit_rows(tree, &mut edit);
    }
}

//! Floor 10: what tests, fuzzers and benches of programs that use the crate need (feature `test-util`): a vault in memory, a
//! clock set by hand, file operations that fail when told, what a machine can run out of, stored bytes to tamper with, random
//! bytes that repeat, and targets of backups that fail.
//!
//! The feature adds this module and changes nothing else: a vault behaves as without it unless something from here is
//! called. `docs/testing.md` shows how the parts go together.
//!
//! ```
//! use std::io::ErrorKind;
//!
//! use chartvault::test_util::{Fault, FileOp, TestVault};
//! use chartvault::{Error, Identifier};
//!
//! let mut clinic = TestVault::new().build()?;
//! let physician = clinic.physician()?;
//! let ama = physician.register_patient([Identifier::new("urn:mrn:clinic-a", "12345")?])?;
//!
//! let full = Fault::on(FileOp::Write, ErrorKind::StorageFull).for_good();
//! let ben = physician.register_patient([Identifier::new("urn:mrn:clinic-a", "67890")?]);
//! assert!(ben.is_err());
//! drop(full);
//!
//! clinic.crash()?; // as if the process had been killed
//! let found = clinic.physician()?.find_patient(&Identifier::new("urn:mrn:clinic-a", "12345")?)?;
//! assert_eq!(found, Some(ama));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clock;
mod fault;
mod scarce;
mod seeded;
mod state_reader;
mod tamper;
#[cfg(feature = "backup")]
mod target;
mod treeless;
mod vault;

pub use clock::TestClock;
pub use fault::Fault;
pub use scarce::{Resource, Without, without};
pub use seeded::{Seeded, SeededRefused, seeded};
#[doc(hidden)]
pub use state_reader::StateReader;
pub use tamper::Stored;
#[cfg(feature = "backup")]
#[cfg_attr(docsrs, doc(cfg(feature = "backup")))]
pub use target::{CountingTarget, FaultyTarget, TargetCall};
#[doc(hidden)]
pub use treeless::without_log_tree;
pub use vault::{NewTestVault, TestVault, TestVaultError};

pub use crate::storage::fault::FileOp;
pub use crate::storage::memory::MemoryStore;

use crate::error::Error;
use crate::vault::{Home, LockedVault, NewVault, Options};

impl MemoryStore {
    /// [`Vault::create`](crate::Vault::create), here.
    pub fn create_vault<'a>(&self) -> NewVault<'a> {
        NewVault::at(Home::Memory(self.clone()))
    }

    /// [`Vault::open_with`](crate::Vault::open_with), here. Sizes and cache of the options have no meaning.
    ///
    /// # Errors
    /// [`Error::Header`] when there is no vault, [`Error::InUse`] while one is open.
    pub fn open_vault(&self, options: Options) -> Result<LockedVault, Error> {
        LockedVault::at(Home::Memory(self.clone()), options)
    }
}

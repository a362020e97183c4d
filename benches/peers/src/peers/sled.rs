//! sled by itself.

use std::fs::File;
use std::path::Path;

use ::sled::{Config, Db, Transactional, Tree, transaction::ConflictableTransactionError};

use super::sealed::{Store, clinic};
use crate::clinic::{Clinic, Peer};

/// What chartvault's trees are made of, without its journal.
pub const PEER: Peer = Peer {
    name: "sled",
    label: "sled, sealed by hand",
    settings: "one transaction over two trees, then `flush` and `sync_data` on the database's file, because `flush` \
               alone does not survive a power cut (and this does not cover all of sled's files); callers share a sync; \
               256 MiB of cache, ChaCha20-Poly1305",
    create: |path, _| open(path),
    open,
};

struct Sled {
    db: Db,
    records: Tree,
    audit: Tree,
    file: File,
}

fn open(path: &Path) -> Box<dyn Clinic> {
    let db = Config::new().path(path.join("sled")).cache_capacity(256 << 20).open().unwrap();
    let (records, audit) = (db.open_tree("records").unwrap(), db.open_tree("audit").unwrap());
    db.flush().unwrap();
    let file = File::open(path.join("sled/db")).unwrap();
    clinic(Sled { db, records, audit, file })
}

impl Store for Sled {
    fn write(&self, records: Vec<(Vec<u8>, Vec<u8>)>, entries: Vec<([u8; 8], Vec<u8>)>) {
        (&self.records, &self.audit)
            .transaction(|(tree, audit)| {
                for (key, value) in &records {
                    tree.insert(key.as_slice(), value.as_slice())?;
                }
                for (key, value) in &entries {
                    audit.insert(key.as_slice(), value.as_slice())?;
                }
                Ok::<_, ConflictableTransactionError<()>>(())
            })
            .unwrap();
    }

    fn sync(&self) {
        self.db.flush().unwrap();
        self.file.sync_data().unwrap();
    }

    fn record(&self, key: &[u8]) -> Vec<u8> {
        self.records.get(key).unwrap().unwrap().to_vec()
    }

    fn last(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = self.records.scan_prefix(prefix).rev().take(limit).map(Result::unwrap);
        rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    fn last_entry(&self) -> Option<([u8; 8], Vec<u8>)> {
        let (key, value) = self.audit.last().unwrap()?;
        Some((key.as_ref().try_into().unwrap(), value.to_vec()))
    }
}

//! fjall.

use std::path::Path;

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::sealed::{Store, clinic};
use crate::clinic::{Clinic, Peer};

/// A log-structured merge tree.
pub const PEER: Peer = Peer {
    name: "fjall",
    label: "fjall, sealed by hand",
    settings: "one write batch a call over two keyspaces, then `persist(PersistMode::SyncAll)`; callers share a sync; \
               256 MiB of cache, no compression, ChaCha20-Poly1305",
    create: |path, _| open(path),
    open,
};

struct Fjall {
    db: Database,
    records: Keyspace,
    audit: Keyspace,
}

fn open(path: &Path) -> Box<dyn Clinic> {
    let db = Database::builder(path.join("fjall")).cache_size(256 << 20).open().unwrap();
    let records = db.keyspace("records", KeyspaceCreateOptions::default).unwrap();
    let audit = db.keyspace("audit", KeyspaceCreateOptions::default).unwrap();
    clinic(Fjall { db, records, audit })
}

impl Store for Fjall {
    fn write(&self, records: Vec<(Vec<u8>, Vec<u8>)>, entries: Vec<([u8; 8], Vec<u8>)>) {
        let mut batch = self.db.batch();
        records.into_iter().for_each(|(key, value)| batch.insert(&self.records, key, value));
        entries.into_iter().for_each(|(key, value)| batch.insert(&self.audit, key, value));
        batch.commit().unwrap();
    }

    fn sync(&self) {
        self.db.persist(PersistMode::SyncAll).unwrap();
    }

    fn record(&self, key: &[u8]) -> Vec<u8> {
        self.records.get(key).unwrap().unwrap().to_vec()
    }

    fn last(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = self.records.prefix(prefix).rev().take(limit).map(|row| row.into_inner().unwrap());
        rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    fn last_entry(&self) -> Option<([u8; 8], Vec<u8>)> {
        let (key, value) = self.audit.last_key_value()?.into_inner().unwrap();
        Some((key.as_ref().try_into().unwrap(), value.to_vec()))
    }
}

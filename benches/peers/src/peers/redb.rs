//! redb.

use std::path::Path;

use ::redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::sealed::{Store, clinic};
use crate::clinic::{Clinic, Peer};

/// A copy-on-write tree.
pub const PEER: Peer = Peer {
    name: "redb",
    label: "redb, sealed by hand",
    settings: "one write transaction a call, `Durability::Immediate` (its default), one after the other; 256 MiB of \
               cache, ChaCha20-Poly1305",
    create: |path, _| open(path),
    open,
};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");

fn open(path: &Path) -> Box<dyn Clinic> {
    let database = Builder::new().set_cache_size(256 << 20).create(path.join("clinic.redb")).unwrap();
    clinic(database)
}

impl Store for Database {
    fn write(&self, records: Vec<(Vec<u8>, Vec<u8>)>, entries: Vec<([u8; 8], Vec<u8>)>) {
        let mut transaction = self.begin_write().unwrap();
        transaction.set_durability(Durability::Immediate).unwrap();
        {
            let mut table = transaction.open_table(RECORDS).unwrap();
            for (key, value) in &records {
                table.insert(key.as_slice(), value.as_slice()).unwrap();
            }
            let mut audit = transaction.open_table(AUDIT).unwrap();
            for (key, value) in &entries {
                audit.insert(u64::from_be_bytes(*key), value.as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn sync(&self) {}

    fn record(&self, key: &[u8]) -> Vec<u8> {
        let table = self.begin_read().unwrap().open_table(RECORDS).unwrap();
        table.get(key).unwrap().unwrap().value().to_vec()
    }

    fn last(&self, prefix: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let table = self.begin_read().unwrap().open_table(RECORDS).unwrap();
        let end = [prefix, &[0xFF; 9]].concat();
        let rows = table.range(prefix..end.as_slice()).unwrap().rev().take(limit).map(Result::unwrap);
        rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect()
    }

    fn last_entry(&self) -> Option<([u8; 8], Vec<u8>)> {
        // A new database has no tables yet.
        let table = self.begin_read().unwrap().open_table(AUDIT).ok()?;
        let (key, value) = table.last().unwrap()?;
        Some((key.value().to_be_bytes(), value.value().to_vec()))
    }
}

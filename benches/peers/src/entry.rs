//! The audit entry that an application keeps beside its data, with the same contents as chartvault's: who did what to
//! whose record, when, and how it went; chained by a hash. About 300 bytes for one record.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// What was done.
#[derive(Clone, Copy)]
pub enum Action {
    Put = 1,
    Read = 2,
    Chart = 3,
}

/// An entry without its place in the log.
pub struct Draft {
    time: i64,
    action: Action,
    patients: Vec<[u8; 16]>,
    records: Vec<u64>,
}

/// An entry in its place.
pub struct Entry {
    pub seq: u64,
    pub time: i64,
    pub actor: [u8; 16],
    pub action: u8,
    /// The first one; all of them stand in `rest`.
    pub patient: [u8; 16],
    /// The first one; all of them stand in `rest`.
    pub record: u64,
    pub outcome: u8,
    /// [`CONTEXT`]; patients and records with their versions.
    pub rest: Vec<u8>,
    pub hash: [u8; 32],
}

/// The end of the log.
#[derive(Clone, Copy, Default)]
pub struct Chain {
    pub next: u64,
    pub last: [u8; 32],
}

const ACTOR: [u8; 16] = *b"dr.osei@clinic-a";
/// Issuer, two revocation ids, session, kind: 16 bytes each; purpose; what the host tells.
const CONTEXT: &[u8] = b"issuer, 16 bytestoken of issuer.token of dr.oseisession 16 bytekind is a digestTREAT\
    host=ward-3.clinic-a.example;request=4f8e9c70-a1b2-4c3d-8e5f-6a7b8c9d0e1f;device=cart-17;why=rounds";

impl Draft {
    pub fn new(action: Action, patients: Vec<[u8; 16]>, records: Vec<u64>) -> Self {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
        Self { time, action, patients, records }
    }
}

impl Chain {
    /// Puts an entry at the end.
    pub fn append(&mut self, draft: Draft) -> Entry {
        let mut rest = Vec::with_capacity(CONTEXT.len() + draft.patients.len() * 16 + draft.records.len() * 12);
        rest.extend_from_slice(CONTEXT);
        draft.patients.iter().for_each(|patient| rest.extend_from_slice(patient));
        for record in &draft.records {
            rest.extend_from_slice(&record.to_be_bytes());
            rest.extend_from_slice(&1_u32.to_be_bytes());
        }
        let mut entry = Entry {
            seq: self.next,
            time: draft.time,
            actor: ACTOR,
            action: draft.action as u8,
            patient: draft.patients[0],
            record: draft.records[0],
            outcome: 1,
            rest,
            hash: [0; 32],
        };
        entry.hash = Sha256::new()
            .chain_update(self.last)
            .chain_update(entry.seq.to_be_bytes())
            .chain_update(entry.time.to_be_bytes())
            .chain_update(entry.actor)
            .chain_update([entry.action, entry.outcome])
            .chain_update(entry.patient)
            .chain_update(entry.record.to_be_bytes())
            .chain_update(&entry.rest)
            .finalize()
            .into();
        *self = Self { next: self.next + 1, last: entry.hash };
        entry
    }
}

impl Entry {
    /// All of it as bytes, for stores without columns.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(90 + self.rest.len());
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.time.to_be_bytes());
        bytes.extend_from_slice(&self.actor);
        bytes.extend_from_slice(&[self.action, self.outcome]);
        bytes.extend_from_slice(&self.patient);
        bytes.extend_from_slice(&self.record.to_be_bytes());
        bytes.extend_from_slice(&self.rest);
        bytes.extend_from_slice(&self.hash);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_about_one_record_takes_about_300_bytes() {
        let entry = Chain::default().append(Draft::new(Action::Put, vec![[1; 16]], vec![7]));
        assert!((290..=310).contains(&entry.to_bytes().len()), "{}", entry.to_bytes().len());
    }

    #[test]
    fn an_entry_depends_on_all_before_it() {
        let (mut one, mut other) = (Chain::default(), Chain::default());
        one.append(Draft::new(Action::Put, vec![[1; 16]], vec![7]));
        other.append(Draft::new(Action::Put, vec![[1; 16]], vec![8]));
        assert_ne!(one.last, other.last);
        assert_eq!(one.append(Draft::new(Action::Read, vec![[1; 16]], vec![7])).seq, 1);
    }
}

//! What every peer can do: a store of records with an audit log, and callers who use it.

use std::path::Path;

/// Bytes of a value.
pub const VALUE: usize = 512;
/// Records of the chart that is read as a whole: all that patient 0 has.
pub const CHART: usize = 100;
/// Records of one batch of an import; one log entry covers them.
pub const BATCH: usize = 500;
/// The kind of all records.
pub const KIND: &str = "note";

/// When the log entry of a read is durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ReadLog {
    /// Before the value is returned.
    Durable,
    /// Within 100 ms; at most [`WAITING`] entries may be answered for until then.
    Windowed,
}

/// Entries of reads that may be answered for before they are durable. The most that chartvault allows.
pub const WAITING: usize = 10_000;

/// A store with its log.
pub trait Clinic: Send + Sync {
    /// A caller of its own: a session, a connection.
    fn desk(&self) -> Box<dyn Desk + '_>;

    /// Chooses for all reads from now on.
    fn choose(&self, log: ReadLog);

    /// Stops cleanly.
    fn close(self: Box<Self>);
}

/// What one caller asks for. All of it leaves a log entry, and all of it is durable on return, reads as chosen.
pub trait Desk {
    /// Puts a new record.
    fn put(&mut self, patient: usize, value: &[u8]);

    /// Puts new records all at once, under one log entry. Gives their names.
    fn import(&mut self, records: &[(usize, &[u8])]) -> Vec<Name>;

    /// The value of a record.
    fn read(&mut self, name: &Name) -> Vec<u8>;

    /// The newest [`CHART`] records of a patient, newest first: how many there are.
    fn chart(&mut self, patient: usize) -> usize;
}

/// What a peer calls a record.
#[derive(Clone, Copy)]
pub enum Name {
    /// A number in a patient's chart.
    Number(usize, u64),
    /// chartvault's own.
    Record(chartvault::RecordRef),
}

/// One way to build it.
pub struct Peer {
    /// For `--peer`.
    pub name: &'static str,
    /// For tables.
    pub label: &'static str,
    /// How it is set, for the page with the figures.
    pub settings: &'static str,
    /// Makes one in a new directory, with so many patients.
    pub create: fn(&Path, usize) -> Box<dyn Clinic>,
    /// Opens one that was closed.
    pub open: fn(&Path) -> Box<dyn Clinic>,
}

/// The identifier of a patient, where the peer leaves the choice to the application.
pub fn patient_id(patient: usize) -> [u8; 16] {
    let mut id = [0x5A; 16];
    id[..8].copy_from_slice(&(patient as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id[8..].copy_from_slice(&(patient as u64).to_be_bytes());
    id
}

/// Values without a pattern, so that nobody gains by compressing them.
pub fn values() -> Vec<Vec<u8>> {
    let mut state = 0x1234_5678_9ABC_DEF1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..64).map(|_| (0..VALUE).map(|_| next()).collect()).collect()
}

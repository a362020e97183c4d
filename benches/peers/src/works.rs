//! What is measured, and what chartvault is to reach.

/// What a caller does over and over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Put,
    Read,
    /// With entries that may wait.
    ReadWindowed,
    /// All callers read the same chart.
    Chart,
    /// Into a store of its own that is new in each run, so that the others are not measured beside its aftermath.
    Import,
}

/// A row of the table.
pub struct Work {
    pub name: &'static str,
    pub call: Call,
    pub callers: usize,
    /// How many times SQLCipher's rate chartvault is to reach.
    pub goal: f64,
}

/// All rows.
pub const ALL: [Work; 10] = [
    work("put, 1 caller", Call::Put, 1, 1.9),
    work("put, 8 callers", Call::Put, 8, 6.0),
    work("read, 1 caller", Call::Read, 1, 1.4),
    work("read, 8 callers", Call::Read, 8, 5.0),
    work("read, log within 100 ms, 1 caller", Call::ReadWindowed, 1, 2.2),
    work("read, log within 100 ms, 2 callers", Call::ReadWindowed, 2, 1.2),
    work("chart of 100, 1 caller", Call::Chart, 1, 0.8),
    work("chart of 100, 2 callers", Call::Chart, 2, 1.2),
    work("import, 1 caller", Call::Import, 1, 1.0),
    work("import, 2 callers", Call::Import, 2, 1.0),
];

/// Bytes on disk after an import as a multiple of the values' is to be at most this.
pub const SIZE_GOAL: f64 = 3.5;
/// Seconds that opening a million records after a clean stop is to take at most, from the second time on.
pub const OPEN_GOAL: f64 = 0.5;

/// An operation, and the share that its rate is to reach of the rate at which the bytes of a put can be appended and
/// synced.
pub const FLOOR_GOAL: (&str, f64) = ("put, 1 caller", 0.7);

const fn work(name: &'static str, call: Call, callers: usize, goal: f64) -> Work {
    Work { name, call, callers, goal }
}

impl Work {
    /// What its rate counts.
    pub fn unit(&self) -> &'static str {
        match self.call {
            Call::Chart | Call::Import => "records",
            _ => "calls",
        }
    }
}

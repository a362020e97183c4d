//! What the tortured process said: each operation before it begins, and how it ended. The lines live in the process that
//! listens, so they survive whatever happens to the one that speaks.
//!
//! ```text
//! b 7 put <patient> <kind> <len>       operation 7 begins
//! a 7 <record>                         it was acknowledged
//! e 7 not-committed                    it was answered with an error
//! w 7 <what>                           it was answered wrongly
//! a - created | trusted | closed | compacted <what it did>
//! a - rotating <what>                  a rotation begins; then: rotated <what>
//! a - changing <key>                   another key is to open the vault; then: changed <key>
//! ```

use std::collections::BTreeMap;
use std::fmt;

use chartvault::{PatientId, RecordRef};

use crate::rotation::{Openers, Rotations};

/// What an operation set out to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Registers the patient whose identifier is the operation's number.
    Patient,
    /// Puts records of one kind into one chart, all or none.
    Put {
        patient: PatientId,
        kind: usize,
        lens: Vec<usize>,
    },
    Amend {
        record: RecordRef,
        kind: usize,
        expected: u32,
        len: usize,
    },
    Void {
        record: RecordRef,
        expected: u32,
    },
    /// Erases a patient.
    Erase {
        patient: PatientId,
    },
    /// Reads one record.
    Read,
    /// Is denied by its token.
    Denied,
    /// Looks at several things, and leaves an entry or more.
    Look,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patient => f.write_str("patient"),
            Self::Put { patient, kind, lens } => {
                write!(f, "put {patient} {kind}")?;
                lens.iter().try_for_each(|len| write!(f, " {len}"))
            }
            Self::Amend { record, kind, expected, len } => write!(f, "amend {record} {kind} {expected} {len}"),
            Self::Void { record, expected } => write!(f, "void {record} {expected}"),
            Self::Erase { patient } => write!(f, "erase {patient}"),
            Self::Read => f.write_str("read"),
            Self::Denied => f.write_str("denied"),
            Self::Look => f.write_str("look"),
        }
    }
}

impl Deed {
    fn parse(words: &[&str]) -> Option<Self> {
        Some(match words {
            ["patient"] => Self::Patient,
            ["put", patient, kind, lens @ ..] => Self::Put {
                patient: patient.parse().ok()?,
                kind: kind.parse().ok()?,
                lens: lens.iter().map(|len| len.parse().ok()).collect::<Option<_>>()?,
            },
            ["amend", record, kind, expected, len] => Self::Amend {
                record: record.parse().ok()?,
                kind: kind.parse().ok()?,
                expected: expected.parse().ok()?,
                len: len.parse().ok()?,
            },
            ["void", record, expected] => Self::Void { record: record.parse().ok()?, expected: expected.parse().ok()? },
            ["erase", patient] => Self::Erase { patient: patient.parse().ok()? },
            ["read"] => Self::Read,
            ["denied"] => Self::Denied,
            ["look"] => Self::Look,
            _ => return None,
        })
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody heard: it may have happened, or not.
    Open,
    /// With what it answered: ids of records, of a patient.
    Acknowledged(Vec<String>),
    /// With an error after which it must not have happened.
    NotDone,
    /// With an error that leaves it open.
    Unknown,
}

/// All that was said about one vault.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub ops: BTreeMap<u64, (Deed, End)>,
    /// Creation, and trust in the issuer, were acknowledged.
    pub created: bool,
    pub trusted: bool,
    /// Compactions that did something, acknowledged.
    pub compactions: usize,
    pub rotations: Rotations,
    pub openers: Openers,
    /// Reads are answered before their entries are durable, fewer than so many.
    pub window: usize,
    /// The last thing said was that the vault is closed.
    pub closed: bool,
    /// What the process itself found wrong.
    pub wrong: Vec<String>,
    /// Lines that nobody understands.
    pub garbled: usize,
}

impl Ledger {
    pub fn read(text: &str) -> Self {
        let mut ledger = Self::default();
        text.split_inclusive('\n').for_each(|line| match line.strip_suffix('\n') {
            Some(whole) => ledger.hear(whole),
            None => ledger.garbled += 1,
        });
        ledger
    }

    /// Takes one line in.
    pub fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |word: &str| word.parse::<u64>().ok();
        self.closed = false;
        match &words[..] {
            ["a", "-", "created"] => self.created = true,
            ["a", "-", "trusted"] => self.trusted = true,
            ["a", "-", "closed"] => self.closed = true,
            ["a", "-", "compacted", ..] => self.compactions += 1,
            ["a", "-", "windowed", entries] => self.window = entries.parse().unwrap_or(0),
            ["a", "-", rest @ ..] => {
                // Whatever else is said is for people.
                let _ = self.rotations.hear(rest) || self.openers.hear(rest);
            }
            ["b", op, deed @ ..] => match (number(op), Deed::parse(deed)) {
                (Some(op), Some(deed)) => {
                    self.ops.insert(op, (deed, End::Open));
                }
                _ => self.garbled += 1,
            },
            ["a", op, answer @ ..] => {
                let answer = answer.iter().map(|word| (*word).to_owned()).collect();
                self.end(number(op), End::Acknowledged(answer));
            }
            ["e", op, "not-committed", ..] => self.end(number(op), End::NotDone),
            ["e", op, ..] => self.end(number(op), End::Unknown),
            ["w", ..] => self.wrong.push(line.to_owned()),
            _ => self.garbled += 1,
        }
    }

    fn end(&mut self, op: Option<u64>, end: End) {
        match op.and_then(|op| self.ops.get_mut(&op)) {
            Some((_, known)) => *known = end,
            // Opening and closing have no number; their errors are heard and not judged.
            None => self.garbled += usize::from(op.is_some()),
        }
    }

    /// A number that no operation has had.
    pub fn next_op(&self) -> u64 {
        self.ops.last_key_value().map_or(1, |(op, _)| op + 1)
    }

    /// Patients whose registration was acknowledged, with the operation that did it.
    pub fn patients(&self) -> Vec<(u64, PatientId)> {
        let patient = |(op, (deed, end)): (&u64, &(Deed, End))| match (deed, end) {
            (Deed::Patient, End::Acknowledged(answer)) => Some((*op, answer.first()?.parse().ok()?)),
            _ => None,
        };
        self.ops.iter().filter_map(patient).collect()
    }

    /// How many operations of a sort were acknowledged.
    pub fn count(&self, which: impl Fn(&Deed) -> bool) -> usize {
        self.ops.values().filter(|(deed, end)| which(deed) && matches!(end, End::Acknowledged(_))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_understood() {
        let patient: PatientId = "patient-00112233445566778899aabbccddeeff".parse().unwrap();
        let record: RecordRef =
            "ref-00112233445566778899aabbccddeeff-ffeeddccbbaa99887766554433221100-3".parse().unwrap();
        let deeds = [
            Deed::Patient,
            Deed::Put { patient, kind: 2, lens: vec![0, 5_000] },
            Deed::Amend { record, kind: 1, expected: 4, len: 0 },
            Deed::Void { record, expected: 5 },
            Deed::Erase { patient },
            Deed::Read,
            Deed::Denied,
            Deed::Look,
        ];
        let said: String = (1..).zip(&deeds).map(|(op, deed)| format!("b {op} {deed}\n")).collect();
        let ledger = Ledger::read(&(said + "a 1 patient-x\ne 2 unknown disk\ne 3 not-committed full\na - closed\n"));
        assert!(ledger.ops.values().map(|(deed, _)| deed).eq(&deeds));
        let ends: Vec<&End> = ledger.ops.values().map(|(_, end)| end).take(4).collect();
        assert!(matches!(ends[..], [End::Acknowledged(_), End::Unknown, End::NotDone, End::Open]));
        assert!(ledger.closed && ledger.garbled == 0 && ledger.next_op() == 9);
    }

    #[test]
    fn a_line_that_was_cut_is_not_taken_for_whole() {
        let ledger = Ledger::read("b 1 read\na 1");
        assert_eq!((ledger.garbled, &ledger.ops[&1].1), (1, &End::Open));
    }
}

//! What a copied byte is named by: the file of the journal, and where in it.

use std::fmt;
use std::str::FromStr;

/// A file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum JournalFile {
    /// All that was live through a frame.
    Base {
        /// That frame.
        through: u64,
    },
    /// A segment by its number.
    Segment {
        /// 1, 2, 3 …
        number: u64,
    },
}

/// Bytes of a file of the journal that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) file: JournalFile,
    /// Bytes of the whole file.
    pub(crate) size: u64,
    /// Where these begin.
    pub(crate) offset: u64,
    /// How many they are.
    pub(crate) len: u64,
}

impl Part {
    pub(crate) const fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

impl fmt::Display for JournalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base { through } => write!(f, "base-{through}"),
            Self::Segment { number } => write!(f, "segment-{number}"),
        }
    }
}

/// Not the name of a file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoJournalFile;

impl FromStr for JournalFile {
    type Err = NoJournalFile;

    fn from_str(text: &str) -> Result<Self, NoJournalFile> {
        let number = |digits: &str| {
            let number: u64 = digits.parse().map_err(|_| NoJournalFile)?;
            if number.to_string() == digits { Ok(number) } else { Err(NoJournalFile) }
        };
        match text.split_once('-') {
            Some(("base", through)) => Ok(Self::Base { through: number(through)? }),
            Some(("segment", of)) => Ok(Self::Segment { number: number(of)? }),
            _ => Err(NoJournalFile),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_no_second_form_of_one_is_taken() {
        for file in [JournalFile::Base { through: 0 }, JournalFile::Segment { number: u64::MAX }] {
            assert_eq!(file.to_string().parse(), Ok(file));
        }
        for bad in
            ["", "base", "base-", "base-01", "segment-+1", "segment--1", "Base-1", "segment-18446744073709551616"]
        {
            assert_eq!(bad.parse::<JournalFile>(), Err(NoJournalFile), "{bad}");
        }
    }
}

//! What a salvage found, for whoever has to decide what to do next.

use std::fmt;
use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::format::digest;
use crate::format::doubt::DoubtMap;
use crate::format::keys::Tree;
use crate::record::RecordRef;
use crate::storage::salvage::Found;

/// Bytes of the report that stand in the log.
const DETAIL: usize = 1_000;

/// What [`LockedVault::salvage`](crate::LockedVault::salvage) found, lost and could not prove. `Display` is for a person:
/// it says what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The damaged vault, of which no byte was changed.
    pub from: PathBuf,
    /// The new vault.
    pub into: PathBuf,
    /// Journal frames that verified. Those that a compaction had brought together are not counted one by one.
    pub frames: u64,
    /// Frames that are known to be lost: the numbers of the first and the last of each run.
    pub lost_frames: Vec<(u64, u64)>,
    /// Whether more frames may be lost behind the last one that is known, and nobody can tell how many.
    pub open_end: bool,
    /// Whether what a compaction had brought together is damaged; its frames have no numbers by which to count them.
    pub compacted_damaged: bool,
    /// Where the journal is damaged: the first 1,000 places.
    pub wounds: Vec<JournalWound>,
    /// In how many places it is.
    pub wounds_total: u64,
    /// Whether the old trees were of no use, or of use in part, and why.
    pub trees_failed: Option<String>,
    /// Rows out of the journal.
    pub rows_from_journal: u64,
    /// Rows out of the old trees, where the journal had lost them.
    pub rows_from_trees: u64,
    /// Rows that are proved to have been there, and that nobody has any more.
    pub rows_missing: u64,
    /// Entries of the log that were found.
    pub entries: u64,
    /// Of these, out of the old trees.
    pub entries_from_trees: u64,
    /// Entries that were lost, and have one in their place that says so: first and last of each run.
    pub lost_entries: Vec<(u64, u64)>,
    /// The records.
    pub records: SalvagedRecords,
    /// What cannot be proved to be complete and the newest; nothing if all is as it was.
    pub doubt: Option<Doubt>,
}

/// A place where the journal holds something else than was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalWound {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// What became of the records. Each was opened under its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedRecords {
    /// Proved to be all there, in the newest version.
    pub whole: u64,
    /// They open, but may have been amended since, or voided: what came later is lost.
    pub doubtful: u64,
    /// Some of their versions are lost or do not open, and others do.
    pub damaged: u64,
    /// They are known to have been there, and not one version opens.
    pub lost: u64,
    /// The first 1,000 of the damaged ones.
    pub damaged_ids: Vec<RecordRef>,
    /// The first 1,000 of the lost ones whose kind is known.
    pub lost_ids: Vec<RecordRef>,
}

/// How much of a salvaged vault is in doubt. Charts are proved in groups (a hundred charts are about as many groups).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Doubt {
    /// When the vault was salvaged.
    pub salvaged_at: Timestamp,
    /// Groups of charts whose records may be older than they were, or missing; out of 4,096.
    pub chart_groups: usize,
    /// Groups of patients who may be missing; out of 256.
    pub patient_groups: usize,
    /// Groups of identifiers that may be missing or lead to nobody; out of 256.
    pub identifier_groups: usize,
    /// Whether issuers, attesters, kinds or choices of the vault may be missing or older than they were.
    pub policy: bool,
}

impl Doubt {
    pub(super) fn of(salvaged_at: Timestamp, map: &DoubtMap) -> Self {
        Self {
            salvaged_at,
            chart_groups: map.count_in(Tree::Records),
            patient_groups: map.count_in(Tree::Patients),
            identifier_groups: map.count_in(Tree::Lookup),
            policy: map.count_in(Tree::Policy) > 0,
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} groups of charts, {} of {} groups of patients, {} of {} groups of identifiers{}",
            self.chart_groups,
            digest::buckets(Tree::Records),
            self.patient_groups,
            digest::buckets(Tree::Patients),
            self.identifier_groups,
            digest::buckets(Tree::Lookup),
            if self.policy { ", and what the vault trusts" } else { "" }
        )
    }
}

impl SalvageReport {
    pub(super) fn new(from: PathBuf, into: PathBuf, found: Found, records: SalvagedRecords) -> Self {
        let wounds = found.wounds.into_iter();
        Self {
            from,
            into,
            frames: found.frames,
            lost_frames: found.lost_frames,
            open_end: found.open_end,
            compacted_damaged: found.base_damaged,
            wounds: wounds
                .map(|wound| JournalWound { path: wound.path, offset: wound.offset, what: wound.what })
                .collect(),
            wounds_total: found.wounds_total,
            trees_failed: found.trees_failed,
            rows_from_journal: found.rows_from_journal,
            rows_from_trees: found.rows_from_trees,
            rows_missing: found.rows_missing,
            entries: found.entries,
            entries_from_trees: found.entries_from_trees,
            lost_entries: found.lost_entries,
            records,
            doubt: None,
        }
    }

    /// Whether the new vault is proved to hold all that the damaged one held: every row, and every entry of the log.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.doubt.is_none() && self.lost_entries.is_empty() && self.records.damaged == 0 && self.records.lost == 0
    }

    /// What stands in the log.
    pub(super) fn detail(&self) -> String {
        let doubt = self.doubt.map_or_else(|| "none".to_owned(), |doubt| doubt.to_string());
        let open_end = if self.open_end { ", and perhaps later ones" } else { "" };
        let mut detail = format!(
            "lost frames {}{open_end}; lost entries {}; in doubt: {doubt}; {} rows from the old trees; salvaged from ",
            Runs(&self.lost_frames, 8),
            Runs(&self.lost_entries, 8),
            self.rows_from_trees,
        );
        detail.extend(self.from.to_string_lossy().chars().take(200));
        let mut end = detail.len().min(DETAIL);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
        detail
    }
}

/// `3, 7-9 and 2 more runs`
struct Runs<'a>(&'a [(u64, u64)], usize);

impl fmt::Display for Runs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, (first, last)) in self.0.iter().take(self.1).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        match self.0.len().saturating_sub(self.1) {
            0 => Ok(()),
            more => write!(f, " and {more} more runs"),
        }
    }
}

impl fmt::Display for SalvageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Salvaged {} into {}.", self.from.display(), self.into.display())?;
        let open_end = if self.open_end { ", and perhaps later ones" } else { "" };
        writeln!(f, "Journal: {} frames verified; lost: {}{open_end}.", self.frames, Runs(&self.lost_frames, 20))?;
        if self.compacted_damaged {
            writeln!(f, "  what had been compacted is damaged, and more of it may be lost")?;
        }
        for wound in self.wounds.iter().take(5) {
            writeln!(f, "  {} at byte {} of {}", wound.what, wound.offset, wound.path.display())?;
        }
        if self.wounds_total > 5 {
            writeln!(f, "  {} damaged places in all", self.wounds_total)?;
        }
        if let Some(why) = &self.trees_failed {
            writeln!(f, "Old trees: not all of them could be read ({why}).")?;
        }
        writeln!(f, "Rows: {} from the journal, {} from the old trees.", self.rows_from_journal, self.rows_from_trees)?;
        if self.rows_missing > 0 {
            writeln!(f, "  {} more are proved to have been there, and nobody has them", self.rows_missing)?;
        }
        writeln!(
            f,
            "Log: {} entries, {} of them from the old trees; lost: {}.",
            self.entries,
            self.entries_from_trees,
            Runs(&self.lost_entries, 20)
        )?;
        let SalvagedRecords { whole, doubtful, damaged, lost, damaged_ids, lost_ids } = &self.records;
        writeln!(f, "Records: {whole} whole, {doubtful} in doubt, {damaged} damaged, {lost} lost.")?;
        for (what, ids) in [("damaged", damaged_ids), ("lost", lost_ids)] {
            for id in ids.iter().take(10) {
                writeln!(f, "  {what}: {id}")?;
            }
        }
        match &self.doubt {
            None if self.is_whole() => writeln!(f, "Nothing was lost.")?,
            None => writeln!(f, "Whatever else is there is proved to be complete and the newest.")?,
            Some(doubt) => writeln!(f, "In doubt: {doubt}.")?,
        }
        if self.doubt.is_some_and(|doubt| doubt.policy) {
            writeln!(f, "Issuers and attesters that the new vault does not know have to be trusted again.")?;
        }
        f.write_str(match (&self.doubt, self.is_whole()) {
            (None, true) => "Next: open the new vault and go on with it. Keep the damaged one until you have a backup.",
            (None, false) => "Next: open the new vault and go on with it; enter again what is named above.",
            (Some(_), _) => {
                "Next: a backup that is whole is better than this vault. Without one, open it, accept the doubt \
                 (accept_doubtful), export it, compare with what is on paper, and go on in a new vault. It takes no writes."
            }
        })
    }
}

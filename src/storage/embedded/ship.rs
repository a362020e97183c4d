//! What a backup copies of the journal.

use super::super::copy::{JournalFile, ShipFile, Shipment};
use super::super::journal::files::Files;
use super::super::journal::segment;
use super::*;
use crate::storage::file::StoredFile;

impl Inner {
    /// The journal as it is durable now. Commits wait for as long as opening its files takes, and nothing else does.
    pub(super) fn ship(&self) -> Result<Shipment, StorageError> {
        // No file goes while they are being opened.
        let _one = lock(&self.compacting);
        self.alive()?;
        let found = Files::list(&self.journal)?;
        let mut files = Vec::new();
        if let Some(base) = &found.base {
            let file = JournalFile::Base { through: base.header.through.seq };
            files.push(ShipFile::new(file, StoredFile::open(&base.path)?, base.seal.size)?);
        }
        let opened = found.segments.iter().map(|segment| Ok((segment.header, StoredFile::open(&segment.path)?)));
        let mut opened = opened.collect::<Result<Vec<_>, StorageError>>()?;
        let order = lock(&self.order);
        let (tip, (current, next)) = (order.tip(), order.next_place());
        let front = lock(&self.front);
        let (entries, first_entry) = (front.head.entries, front.first_entry);
        drop(front);
        drop(order);
        // One that was begun since the files were listed.
        for number in opened.last().map_or(0, |(last, _)| last.number).saturating_add(1)..=current {
            let begun = segment::read(&self.journal, number, self.journal.segment_path(number))?;
            opened.push((begun.header, StoredFile::open(&begun.path)?));
        }
        for (header, file) in opened.into_iter().filter(|(header, _)| header.number <= current) {
            let len = if header.number == current { next } else { header.size };
            files.push(ShipFile::new(JournalFile::Segment { number: header.number }, file, len)?);
        }
        Ok(Shipment { files, tip, entries, first_entry })
    }
}

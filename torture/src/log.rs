//! Compares the log of a vault with what is in it and with what was said.

use std::collections::BTreeSet;

use chartvault::{AuditEvent, AuditFilter, Outcome, RecordRef, Session};

use crate::judge::{Fault, Owed, Patients, wrong};
use crate::ledger::{Deed, End, Ledger};

/// Each version, patient, read and denial has its entry; each entry about a version or patient has that.
pub(crate) fn compare(
    session: &Session,
    ledger: &Ledger,
    patients: &Patients,
    versions: &BTreeSet<(RecordRef, u32)>,
    owed: Owed,
) -> Result<(), Fault> {
    let (mut written, mut registered) = (BTreeSet::new(), BTreeSet::new());
    let (mut reads, mut denials, mut entries, mut before) = (0, BTreeSet::new(), 0_usize, None);
    let (mut compactions, mut compacted) = (0, BTreeSet::new());
    let (mut dropped, mut roots, mut suites) = (0, 0, 0);
    let (mut erasures, mut subjects_closed) = (0, 0);
    loop {
        let query = session.audit()?.query(AuditFilter::new()).limit(1_000);
        let page = match before {
            None => query.page()?,
            Some(seq) => query.before(seq).page()?,
        };
        for entry in &page.entries {
            // Reads that waited may share an entry, which lists them.
            let shared = entry.reads.len().max(1);
            let listed: usize = entry.reads.iter().map(|read| read.records).sum();
            let named: usize = entry.subjects.iter().map(|subject| subject.records.len()).sum();
            let closed = entry.subjects.iter().filter(|subject| subject.patient.is_none()).count();
            subjects_closed += closed;
            if !entry.reads.is_empty() && listed != named && closed == 0 {
                return wrong(format!("entry {} lists {listed} records and names {named}", entry.seq));
            }
            entries += shared;
            match (entry.event, entry.outcome) {
                (AuditEvent::RecordPut | AuditEvent::RecordAmended | AuditEvent::RecordVoided, Outcome::Allowed) => {
                    for subject in &entry.subjects {
                        // Of somebody who was erased, if anybody was.
                        let Some(patient) = subject.patient else { continue };
                        for record in &subject.records {
                            let touched = (patient, record.kind, record.number, record.version);
                            if !written.insert(touched) {
                                return wrong(format!("two entries for one version: {touched:?}"));
                            }
                        }
                    }
                }
                (AuditEvent::PatientRegistered, Outcome::Allowed) => {
                    registered.extend(entry.subjects.iter().filter_map(|subject| subject.patient));
                }
                (AuditEvent::RecordRead, Outcome::Allowed) => reads += shared,
                (AuditEvent::KeyDropped, Outcome::Allowed) => dropped += 1,
                (AuditEvent::RootKeyChanged, Outcome::Allowed) => roots += 1,
                (AuditEvent::SuiteChanged, Outcome::Allowed) => suites += 1,
                (AuditEvent::ErasureBegun, Outcome::Allowed) => erasures += 1,
                (AuditEvent::JournalCompacted, Outcome::Allowed) => {
                    compactions += 1;
                    let detail = entry.detail.as_deref().unwrap_or_default();
                    let through = detail.split_once("through frame ").map_or("", |(_, number)| number);
                    let digits = through.split(|c: char| !c.is_ascii_digit()).next();
                    compacted.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
                }
                (_, Outcome::Denied) => denials.extend(entry.ticket.map(|ticket| ticket.to_string())),
                _ => {}
            }
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let there: BTreeSet<_> =
        versions.iter().map(|(record, version)| (record.patient(), record.kind(), record.number(), *version)).collect();
    if let Some(lacking) = there.difference(&written).next() {
        return wrong(format!("a version without its entry: {lacking:?}"));
    }
    if let Some(lacking) = written.difference(&there).next() {
        return wrong(format!("an entry without its version: {lacking:?}"));
    }
    if registered != patients.there.iter().copied().collect() {
        return wrong(format!("{} patients in the log, {} in the store", registered.len(), patients.there.len()));
    }
    let acknowledged = ledger.count(|deed| *deed == Deed::Read);
    if reads + owed.missing < acknowledged {
        return wrong(format!("{acknowledged} reads were answered, and {reads} stand in the log"));
    }
    if compactions < ledger.compactions {
        return wrong(format!("{} compactions were answered, and {compactions} stand in the log", ledger.compactions));
    }
    if (erasures, patients.erased.len()) != (owed.erasures, owed.erasures) {
        let (gone, entered) = (patients.erased.len(), owed.erasures);
        return wrong(format!("{gone} patients are gone, {entered} erasures in the ledger, {erasures} in the log"));
    }
    if patients.erased.is_empty() && subjects_closed > 0 {
        return wrong("an entry names a patient who is not there, and nobody was erased".into());
    }
    let said = &ledger.rotations;
    if dropped < said.ended || roots < said.roots || suites < said.suites {
        return wrong(format!("{said:?} were answered; the log has {dropped} drops, {roots} roots, {suites} suites"));
    }
    if let Some(base) = owed.base.filter(|base| !compacted.contains(base)) {
        return wrong(format!("the journal was compacted through frame {base}, and no entry says so"));
    }
    let all = ledger.count(|_| true);
    if entries + owed.missing < all {
        return wrong(format!("{all} operations were answered, and {entries} entries are in the log"));
    }
    for (deed, end) in ledger.ops.values() {
        if let (Deed::Denied, End::Acknowledged(ticket)) = (deed, end)
            && !ticket.iter().all(|ticket| denials.contains(ticket))
        {
            return wrong(format!("the denial with {ticket:?} is not in the log"));
        }
    }
    Ok(())
}

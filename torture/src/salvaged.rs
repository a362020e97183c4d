//! Salvages a vault whose opening named its damage, and holds what came of it against what was acknowledged: each version
//! equal, or said to be in doubt, damaged or lost. Never silently older, never silently gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chartvault::{
    AuditEvent, AuditFilter, Error, PatientId, Purpose, RecordRef, SalvageReport, Scope, Session, Status, Vault,
};

use crate::acts;
use crate::bench;
use crate::expected::{Expected, Found};
use crate::judge::{self, Fault, Owed, Verdict, wrong};
use crate::keys;
use crate::ledger::{Deed, End, Ledger};
use crate::value::Note;

/// Salvages the vault in `dir` into a directory beside it, and judges that.
pub fn judge(dir: &Path, seed: u64, ledger: &Ledger) -> Verdict {
    judge::verdict(ledger, || salvage(dir, seed, ledger))
}

fn salvage(dir: &Path, seed: u64, ledger: &Ledger) -> Result<String, Fault> {
    let into = dir.with_extension("salvaged");
    let _ = fs::remove_dir_all(&into);
    let before = contents(dir)?;
    let salvaged = Vault::open_with(dir, keys::options()).and_then(|vault| vault.salvage(&keys::raw_key(seed), &into));
    if contents(dir)? != before {
        return wrong("salvaging changed the damaged vault".into());
    }
    let report = match salvaged {
        Err(_) if into.exists() => return wrong("salvaging failed, and left something".into()),
        salvaged => salvaged?,
    };
    let (vault, session) = open(&into, seed, ledger, &report)?;
    let class = if report.is_whole() {
        // As good as the damaged one was. What its base covers it says itself: it is new.
        let missing = ledger.window.saturating_sub(1);
        judge::glance(&session, seed, ledger, Owed { missing, base: None, erasures: 0 })?;
        "salvaged, whole"
    } else {
        compare(&session, seed, ledger, &report)?;
        if report.doubt.is_some() { "salvaged, in doubt" } else { "salvaged, what is lost is named" }
    };
    drop(session);
    vault.close()?;
    let _ = fs::remove_dir_all(&into);
    Ok(class.into())
}

/// Every file of a vault but its lock.
fn contents(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, Fault> {
    let read = || {
        let files = bench::files_in(dir)?.into_iter().filter(|path| !path.ends_with("lock"));
        files.map(|path| Ok((path.clone(), fs::read(dir.join(path))?))).collect::<std::io::Result<_>>()
    };
    read().map_err(|error| Fault::Wrong(format!("{}: {error}", dir.display())))
}

fn open(into: &Path, seed: u64, ledger: &Ledger, report: &SalvageReport) -> Result<(Vault, Session), Fault> {
    let (vault, _) = judge::open(into, seed, ledger)?;
    if !vault.opening().clean || vault.doubt()? != report.doubt {
        return wrong(format!("salvaged, and then {}, in doubt: {:?}", vault.opening(), vault.doubt()?));
    }
    if report.doubt.is_some_and(|doubt| doubt.policy) {
        vault.trust_issuer(keys::issuer(seed).public(), &keys::raw_key(seed))?;
    }
    let token = keys::token(seed, &vault);
    let plain = vault.session(&token, Purpose::Treatment);
    match (plain, report.doubt) {
        (Ok(session), None) => Ok((vault, session)),
        (Err(Error::Doubtful { .. }), Some(_)) => {
            let session = vault.session_with(&token, Purpose::Treatment).accept_doubtful().open()?;
            Ok((vault, session))
        }
        (opened, doubt) => wrong(format!("in doubt: {doubt:?}, and a session answered {:?}", opened.err())),
    }
}

/// Whatever is not as it was acknowledged must be said.
fn compare(session: &Session, seed: u64, ledger: &Ledger, report: &SalvageReport) -> Result<(), Fault> {
    let doubt = report.doubt;
    for (op, (deed, end)) in &ledger.ops {
        let (Deed::Patient, End::Acknowledged(answer)) = (deed, end) else { continue };
        let found = session.find_patient(&acts::identifier(*op))?.as_ref().map(PatientId::to_string);
        let may_be_gone = doubt.is_some_and(|doubt| doubt.identifier_groups + doubt.patient_groups > 0);
        match found {
            Some(found) if *answer != [found.clone()] => return wrong(format!("{found} is found for {answer:?}")),
            None if !may_be_gone => return wrong(format!("{answer:?} is gone, and no word of it: {report:?}")),
            _ => {}
        }
    }
    let mut expected = Expected::of(seed, ledger);
    for (record, newest) in expected.newest() {
        let named =
            [&report.records.lost_ids, &report.records.damaged_ids].into_iter().any(|ids| ids.contains(&record));
        let in_doubt = doubt.is_some_and(|doubt| doubt.chart_groups + doubt.patient_groups > 0);
        let (found, doubtful) = match versions(session, record) {
            Ok(versions) => versions,
            Err(_) if named || in_doubt => continue,
            Err(fault) => return Err(fault),
        };
        let kind = judge::kind_of(record)?;
        expected.compare(record, kind, &found).map_err(Fault::Wrong)?;
        if found.len() < newest as usize && !doubtful && !named {
            let there = found.len();
            return wrong(format!("{record}: {there} of {newest} versions, and no word of it: {report:?}"));
        }
    }
    entries(session, ledger, report)
}

/// Every version of a record, oldest first, and whether it is said to be in doubt.
fn versions(session: &Session, record: RecordRef) -> Result<(Vec<Found>, bool), Fault> {
    let (mut versions, mut doubtful) = (Vec::new(), false);
    for entry in session.history_any(record)? {
        doubtful |= entry.is_doubtful();
        let voided = entry.status() == Status::Voided;
        let value = match entry.schema() {
            Some(_) => entry.decode::<Note>()?.value.text.into_bytes(),
            None => entry.verbatim()?.value,
        };
        versions.push(Found { value, voided });
    }
    versions.reverse();
    Ok((versions, doubtful))
}

/// The log is unbroken but for what is said to be lost, and not shorter than what was answered.
fn entries(session: &Session, ledger: &Ledger, report: &SalvageReport) -> Result<(), Fault> {
    session.audit()?.verify(Scope::All).past_lost_entries().run()?;
    let (mut there, mut stand_ins, mut before) = (0_u64, 0_u64, None);
    loop {
        let query = session.audit()?.query(AuditFilter::new()).limit(1_000);
        let page = match before {
            None => query.page()?,
            Some(seq) => query.before(seq).page()?,
        };
        there += page.entries.len() as u64;
        stand_ins += page.entries.iter().filter(|entry| entry.event == AuditEvent::EntryLost).count() as u64;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let lost: u64 = report.lost_entries.iter().map(|(first, last)| last - first + 1).sum();
    if stand_ins != lost {
        return wrong(format!("{lost} entries are said to be lost, {stand_ins} stand in for them"));
    }
    let owed = (ledger.count(|_| true) as u64).saturating_sub(ledger.window as u64);
    if there < owed && !report.open_end {
        return wrong(format!("{owed} operations were answered, {there} entries are in the log, and no word of it"));
    }
    Ok(())
}

//! Erasing one patient, and who knows of it afterwards.

use std::fs;
use std::path::Path;

use chartvault::{
    AuditFilter, CheckScope, ErasureOrder, Error, Identifier, Passphrase, PatientId, RecordRef, Scope, Session, Vault,
};

use crate::house::House;
use crate::show::{item, note};
use crate::{Outcome, expect, files};

pub fn run(house: &House, vault: &Vault, passphrase: &Passphrase) -> Outcome<()> {
    let (patient, number) = house.patients.first().ok_or("the sample has no patients")?;
    let record = house.records.iter().map(|(record, _)| *record).find(|record| record.patient() == *patient);
    let record = record.ok_or("the patient has no records")?;
    let session = house.session(vault)?;

    let backup = house.path.with_extension("backup");
    vault.checkpoint()?;
    files::copy(&house.path, &backup)?;

    let order = ErasureOrder::new("request 2026/114", "GDPR, article 17 (1) (b)").identity();
    session.place_legal_hold(*patient, "case 7 C 12/26")?;
    let held = vault.erase_patient(&session, *patient, &order, passphrase, &mut |_| ());
    let held = held.err().ok_or("a patient under a legal hold was erased")?;
    expect(matches!(held, Error::LegalHold { .. }), "a legal hold keeps the chart")?;
    item("under a hold", held);
    session.lift_legal_hold(*patient, "case 7 C 12/26 is closed")?;

    let report = vault.erase_patient(&session, *patient, &order, passphrase, &mut |_| ())?;
    note(&format!("For whoever asked:\n{}\n", report.level.explanation()));
    item("the hold lifted", report);

    is_gone(&session, *patient, record, number)?;
    let log = session.audit()?.query(AuditFilter::new().patient(*patient)).page()?;
    expect(log.entries.is_empty(), "the log names the patient no more")?;
    let verified = session.audit()?.verify(Scope::All).run()?;
    item("log", format!("names the patient nowhere; {} entries verified, none missing", verified.entries));
    let check = vault.check(CheckScope::All, &mut |_| ())?;
    expect(check.is_sound(), "the vault is sound")?;
    let traces = traces(&house.path, patient)?;
    expect(traces == 0, "no file of the vault has the patient's id")?;
    item("files", "sound; the patient's id stands in none of them, nor does any sealed byte of the chart");
    session.close()?;

    restore(house, vault, &backup, passphrase, *patient, record, number)
}

/// Every way to the chart says the same.
fn is_gone(session: &Session, patient: PatientId, record: RecordRef, number: &Identifier) -> Outcome<()> {
    let erased = |refused: Option<Error>| matches!(refused, Some(Error::Erased { .. }));
    expect(erased(session.get_verbatim(record).err()), "a record of the chart is gone")?;
    expect(erased(session.history_verbatim(record).err()), "its history is gone")?;
    expect(erased(session.chart(patient).page().err()), "the chart is gone")?;
    expect(session.find_patient(number)?.is_none(), "the patient's number leads to nobody")?;
    item("record, history", "answer that the patient was erased");
    item("search", "the patient's number leads to nobody");
    Ok(())
}

/// How often the patient's id stands in the files of a vault.
fn traces(dir: &Path, patient: &PatientId) -> Outcome<usize> {
    let (mut found, id) = (0, patient.as_bytes());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        found += match path.is_dir() {
            true => traces(&path, patient)?,
            false => fs::read(&path)?.windows(id.len()).filter(|bytes| bytes == id).count(),
        };
    }
    Ok(found)
}

/// A backup from before knows nothing of it, until it is told.
fn restore(
    house: &House,
    vault: &Vault,
    backup: &Path,
    passphrase: &Passphrase,
    patient: PatientId,
    record: RecordRef,
    number: &Identifier,
) -> Outcome<()> {
    let ledger = vault.export_erasures()?;
    let restored = Vault::open(backup)?.unlock(passphrase)?;
    let session = house.session(&restored)?;
    expect(session.find_patient(number)? == Some(patient), "the backup still has the patient")?;
    let replayed = restored.replay_erasures(&ledger, passphrase, &mut |_| ())?;
    item("a backup from before", format!("has the chart, until the ledger is replayed: {replayed}"));
    is_gone(&session, patient, record, number)?;
    session.close()?;
    Ok(restored.close()?)
}

//! Compactions in the workload, and readers of every sort beside them.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chartvault::{AnyEntry, Error, PatientId, RecordRef, Session, Vault};

use crate::acts;
use crate::rng::Rng;
use crate::value::{self, Note};
use crate::workload::Shared;

/// Compacts the journal. Where nothing was closed since the last time there is nothing to do, and no entry.
pub fn compact(shared: &Shared, vault: &Vault) {
    match vault.compact() {
        Ok(Some(done)) => shared.say(&format!("a - compacted {done}")),
        Ok(None) => shared.say("a - nothing to compact"),
        Err(error) => shared.fail("-", &error),
    }
}

/// Compacts again and again while others write.
pub fn keep_compacting(shared: &Shared, vault: &Vault, writing: &AtomicBool) {
    while writing.load(Ordering::Relaxed) {
        compact(shared, vault);
        thread::sleep(Duration::from_millis(2));
    }
}

/// Reads in one of all the ways there are, and looks whether somebody wrote what is given.
pub fn read_somehow(shared: &Shared, session: &Session, rng: &mut Rng) {
    let record = {
        let known = shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() { None } else { Some(*rng.pick(&known)) }
    };
    let Some(record) = record else { return thread::yield_now() };
    let patient = record.patient();
    match rng.below(10) {
        0 => acts::look(shared, || {
            let page = session.list::<Note>(patient).include_voided().page()?;
            page.entries.iter().for_each(|entry| genuine(shared, entry.id.into(), entry.value.text.as_bytes()));
            Ok(())
        }),
        1 => acts::look(shared, || {
            let page = session.chart(patient).include_voided().page()?;
            page.entries.iter().try_for_each(|entry| is_genuine(shared, entry))
        }),
        2 => acts::look(shared, || session.history_any(record)?.iter().try_for_each(|entry| is_genuine(shared, entry))),
        3 => acts::look(shared, || export(shared, session, patient)),
        4 => acts::look(shared, || match session.kinds(patient)?.iter().map(|count| count.records).sum() {
            0 => {
                shared.wrong(0, &format!("{record} is in a chart that counts no record"));
                Ok(())
            }
            1_u64.. => Ok(()),
        }),
        _ => acts::read(shared, session, record),
    }
}

fn export(shared: &Shared, session: &Session, patient: PatientId) -> Result<(), Error> {
    let mut given = 0;
    for entry in session.export().patients([patient]).include_voided().whole_history().start()? {
        is_genuine(shared, &entry?)?;
        given += 1;
    }
    if given == 0 {
        shared.wrong(0, &format!("the export of {patient} holds nothing"));
    }
    Ok(())
}

fn is_genuine(shared: &Shared, entry: &AnyEntry) -> Result<(), Error> {
    let bytes = match entry.schema() {
        Some(_) => entry.decode::<Note>()?.value.text.into_bytes(),
        None => entry.verbatim()?.value,
    };
    genuine(shared, entry.record(), &bytes);
    Ok(())
}

fn genuine(shared: &Shared, record: RecordRef, bytes: &[u8]) {
    if !value::is_genuine(shared.plan.seed, bytes) {
        shared.wrong(0, &format!("{record} has a value that nobody wrote"));
    }
}

//! Erasures in the workload, and what of a ledger they leave.

use std::collections::{BTreeMap, BTreeSet};

use chartvault::{ErasureOrder, Error, PatientId, RawKey, Session, Vault};

use crate::acts;
use crate::ledger::{Deed, End, Ledger};
use crate::workload::Shared;

/// Erases a patient. Every second time the sealed bytes go as well.
pub fn erase(shared: &Shared, vault: &Vault, session: &Session, patient: PatientId, key: &RawKey) {
    shared.say("a - rotating erase");
    let op = shared.begin(&Deed::Erase { patient });
    let order = ErasureOrder::new("torture", "nobody's business");
    let order = if op.is_multiple_of(2) { order.identity() } else { order };
    match vault.erase_patient(session, patient, &order, key, &mut |_| ()) {
        Ok(report) => {
            // What the disk did not give just now is removed when the vault is opened.
            if report.left > 0 && !shared.plan.faults {
                shared.wrong(op, &format!("erased, and rows are left: {report}"));
            }
            if report.compaction.is_some() {
                shared.say("a - compacted by an erasure");
            }
            shared.acknowledge(op, "");
            shared.say("a - rotated erase");
            match session.chart(patient).page() {
                Err(Error::Erased { .. }) => {}
                Err(error) => shared.fail("-", &error),
                Ok(_) => shared.wrong(op, "erased, and the chart is given out"),
            }
        }
        // Whichever it was, the chart may be gone.
        Err(error) => shared.fail_unsure(op, &error),
    }
}

/// Erases somebody who is nobody else's patient.
pub fn erase_a_stranger(shared: &Shared, vault: &Vault, session: &Session, key: &RawKey) {
    let mut stranger = acts::Writer::new(shared, acts::Writer::UNKNOWN);
    if let Some(patient) = stranger.admit(shared, session) {
        erase(shared, vault, session, patient, key);
    }
}

/// Nothing is given out of the chart of somebody who was erased.
pub fn is_erased(session: &Session, patient: PatientId) -> Result<(), String> {
    match session.chart(patient).page() {
        Err(Error::Erased { .. }) => Ok(()),
        Err(error) => Err(format!("{patient} was erased, and the chart answers {error}")),
        Ok(page) => Err(format!("{patient} was erased, and the chart has {} records", page.entries.len())),
    }
}

/// Those whose erasure was begun, and whether it was acknowledged.
pub fn begun(ledger: &Ledger) -> BTreeMap<PatientId, bool> {
    let erased = ledger.ops.values().filter_map(|(deed, end)| match deed {
        Deed::Erase { patient } => Some((*patient, matches!(end, End::Acknowledged(_)))),
        _ => None,
    });
    erased.collect()
}

/// What is left of a ledger once these patients were erased.
pub fn without(ledger: &Ledger, erased: &BTreeSet<PatientId>) -> Ledger {
    let mut left = ledger.clone();
    left.ops.retain(|_, (deed, end)| match deed {
        Deed::Put { patient, .. } => !erased.contains(patient),
        Deed::Amend { record, .. } | Deed::Void { record, .. } => !erased.contains(&record.patient()),
        Deed::Patient => !matches!(end, End::Acknowledged(answer) if answer.first().is_some_and(|answer| {
            answer.parse().is_ok_and(|patient| erased.contains(&patient))
        })),
        _ => true,
    });
    left
}

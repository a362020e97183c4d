//! The edges of what one call may ask for.

mod support;

use chartvault::*;
use support::{House, Note, note};

#[test]
fn a_page_of_nothing_is_not_taken_for_the_end_of_the_chart() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    for text in ["one", "two"] {
        session.put(patient, &note(text)).unwrap();
    }
    let list = session.list::<Note>(patient).limit(0).page().unwrap();
    assert_eq!((list.entries.len(), list.next.is_some()), (1, true));
    let chart = session.chart(patient).limit(0).page().unwrap();
    assert_eq!((chart.entries.len(), chart.next.is_some()), (1, true));
    let log = session.audit().unwrap().query(AuditFilter::new()).limit(0).page().unwrap();
    assert_eq!((log.entries.len(), log.next.is_some()), (1, true));
}

#[test]
fn a_batch_counts_its_labels() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let labels = Labels::new((0..16).map(|at| format!("{at:0>255}"))).unwrap();
    let mut batch = session.batch();
    let refused = loop {
        if let Err(error) = batch.put(patient, &note("small"), PutOptions::new().labels(labels.clone())) {
            break error;
        }
    };
    assert!(matches!(refused, Error::CommitTooLarge { .. }));
    let added = batch.len();
    assert!(added > 2_000);
    assert_eq!(batch.commit().unwrap().len(), added);
}

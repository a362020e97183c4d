//! The edges of what one call may ask for.

use crate::support;

use chartvault::*;
use support::{Allergy, House, Note, note, whole_log};

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

#[test]
fn a_cursor_of_another_list_or_chart_is_refused_and_nothing_is_read() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patients = [(); 2].map(|()| session.register_patient([]).unwrap());
    for patient in patients {
        for at in 0..3 {
            session.put(patient, &note("x")).unwrap();
            session.put(patient, &Allergy { substance: at.to_string() }).unwrap();
        }
    }
    let cursor = session.list::<Note>(patients[0]).limit(1).page().unwrap().next.unwrap();
    let chart_cursor = session.chart(patients[0]).limit(1).page().unwrap().next.unwrap();
    let entries = whole_log(&session).len();
    assert!(matches!(session.list::<Note>(patients[1]).after(cursor).page(), Err(Error::CursorOfAnother)));
    assert!(matches!(session.list::<Allergy>(patients[0]).after(cursor).page(), Err(Error::CursorOfAnother)));
    assert!(matches!(session.chart(patients[1]).after(chart_cursor).page(), Err(Error::CursorOfAnother)));
    assert!(whole_log(&session)[entries..].iter().all(|entry| entry.event == AuditEvent::AuditQueried));
    assert_eq!(session.list::<Note>(patients[0]).after(cursor).page().unwrap().entries.len(), 2);
    assert_eq!(session.chart(patients[0]).after(chart_cursor).page().unwrap().entries.len(), 5);
}

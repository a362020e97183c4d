use super::kit;
use crate::audit::defect::EntryDefect;
use crate::audit::entry::EntryRef;
use crate::audit::event::AuditEvent;
use crate::audit::keys::SubjectKey;
use crate::audit::payload::{put_field, tag};
use crate::audit::reads::{AuditRead, MAX_READS};
use crate::audit::subject::{BlockPlace, PreparedSubject};
use crate::audit::view::{AuditEntry, OpenEntryError, open_entry};
use crate::clock::Timestamp;
use crate::ids::PatientId;
use crate::terms::Purpose;

fn open_read_with(key: impl FnMut(u32, &[u8; 16], u32) -> Option<SubjectKey>) -> Result<AuditEntry, OpenEntryError> {
    let entries = kit::log(vec![kit::genesis(), kit::read(1)]);
    open_entry(&EntryRef::parse(&entries[1]).unwrap(), &kit::keys(), key)
}

#[test]
fn the_patients_key_is_asked_for_by_epoch_tag_and_generation() {
    let mut asked = Vec::new();
    let entry = open_read_with(|epoch, tag, generation| {
        asked.push((epoch, *tag, generation));
        Some(kit::subject_key(1))
    });
    assert_eq!(asked, [(1, kit::patient_tag(1), 1)]);
    let subject = &entry.unwrap().subjects[0];
    assert_eq!((subject.patient, subject.counter), (Some(kit::patient(1)), Some(1)));
    assert_eq!(subject.records, [kit::record(1, 1)]);
}

#[test]
fn an_erased_patient_stays_closed_without_an_error() {
    let entry = open_read_with(|_, _, _| None).unwrap();
    let subject = &entry.subjects[0];
    assert_eq!((subject.patient, subject.counter, subject.records.len()), (None, None, 0));
    assert_eq!(entry.event, AuditEvent::RecordRead);
    assert!(entry.to_string().ends_with("on erased"), "{entry}");
}

#[test]
fn a_block_under_another_patients_key_is_an_error() {
    let opened = open_read_with(|_, _, _| Some(kit::subject_key(2)));
    assert_eq!(opened, Err(OpenEntryError::Subject { index: 0 }));
}

/// Someone who holds the keys spreads more records than an entry may have over two patients.
#[test]
fn an_entry_over_too_many_records_is_refused() {
    let open_with = |second| {
        let front = EntryRef::parse(&kit::log(vec![kit::genesis(), kit::read(1)])[1]).unwrap().front;
        let mut blocks = vec![0, 2];
        for (index, n) in [(0, 500), (1, second)] {
            let subject = kit::subject(1 + u8::try_from(index).unwrap(), vec![kit::record(1, 1); n]);
            let place = BlockPlace { vault: kit::VAULT, seq: 1, index };
            PreparedSubject::new(subject, [0; 32]).unwrap().put(kit::SUITE, place, 1, &mut blocks).unwrap();
        }
        let mut payload = Vec::new();
        kit::genesis().fields.put_before_subjects(&mut payload).unwrap();
        put_field(&mut payload, tag::SUBJECTS, &blocks).unwrap();
        let bytes = front.seal(&kit::keys(), &payload, &[0; 32]).unwrap();
        kit::open(&EntryRef::parse(&bytes).unwrap())
    };
    assert!(open_with(500).is_ok());
    assert_eq!(open_with(501), Err(OpenEntryError::Defect(EntryDefect::FieldValue(tag::SUBJECTS))));
}

#[test]
fn another_epochs_key_is_named_and_a_wrong_key_does_not_open() {
    let entries = kit::log_of(kit::VAULT, &kit::audit_keys(0xA2), vec![kit::genesis()]);
    let entry = EntryRef::parse(&entries[0]).unwrap();
    assert_eq!(kit::open(&entry), Err(OpenEntryError::Sealed));
    let other = crate::audit::keys::AuditKeys::new(2, crate::secret::Key::new(crate::secret::Secret::zeroed()));
    let opened = open_entry(&entry, &other, |_, _, _| None::<SubjectKey>);
    assert_eq!(opened, Err(OpenEntryError::OtherKey { epoch: 1, key_id: 1 }));
}

#[test]
fn the_line_is_as_documented() {
    let mut entry = kit::full_entry();
    assert_eq!(
        entry.to_string(),
        "2026-01-05T12:00:01Z record-read denied(999) x999 33333333 on 01010101 HSYSADMIN #38383838"
    );
    entry.subjects.clear();
    entry.count = Some(1);
    assert_eq!(
        entry.to_string(),
        "2026-01-05T12:00:01Z record-read denied(999) 33333333 on 39393939? HSYSADMIN #38383838"
    );
    let genesis = kit::open(&EntryRef::parse(&kit::log(vec![kit::genesis()])[0]).unwrap()).unwrap();
    assert_eq!(genesis.to_string(), "2026-01-05T12:00:00Z vault-created allowed -");
}

#[test]
fn no_entry_makes_a_line_of_more_than_140_columns() {
    let mut entry = kit::full_entry();
    // Nothing of it can be longer.
    (entry.count, entry.reason, entry.purpose) = (Some(u32::MAX), Some(u16::MAX), Some(Purpose::SystemAdministration));
    entry.subjects = vec![entry.subjects[0].clone(); 394];
    entry.time = Timestamp::from_micros(i64::MIN);
    entry.reads = vec![AuditRead { time: entry.time, subject: 0, records: 1 }; MAX_READS];
    for event in AuditEvent::ALL {
        entry.event = *event;
        assert!(entry.to_string().len() <= 140, "{entry}");
    }
    assert!(entry.to_string().contains("on 394 patients"));
}

#[test]
fn neither_debug_nor_display_shows_free_text_or_whole_ids() {
    let entry = kit::full_entry();
    let shown = format!("{entry} {entry:?}");
    for text in ["entered in error", "req-7", "ward-3", "tablet-12", &"33".repeat(16), &kit::patient(1).to_string()] {
        assert!(!shown.contains(text), "{shown}");
    }
    assert!(entry.detail.as_deref() == Some("entered in error"));
}

#[test]
fn the_facility_chart_is_a_patient_like_any_other() {
    let mut draft = kit::read(1);
    draft.subjects[0].patient = PatientId::FACILITY;
    let entries = kit::log(vec![kit::genesis(), draft]);
    let opened = kit::open(&EntryRef::parse(&entries[1]).unwrap()).unwrap();
    assert_eq!(opened.subjects[0].patient, Some(PatientId::FACILITY));
}

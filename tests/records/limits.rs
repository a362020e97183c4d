//! Every documented limit holds at N and not at N + 1, and what is refused leaves nothing behind.

use crate::support;

use chartvault::*;
use support::{House, Note, note, verify};

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:a", value).unwrap()
}

fn document() -> Kind {
    Kind::new("DocumentReference").unwrap()
}

fn chart() -> (House, Vault, Session, PatientId) {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    (house, vault, session, patient)
}

#[test]
fn a_value_has_at_most_1_mib_and_may_be_empty() {
    let (house, vault, session, patient) = chart();
    let put = |bytes: &[u8]| session.put_verbatim(patient, &document(), bytes, PutOptions::new());
    let largest = vec![0xA5; MAX_VALUE];
    assert_eq!(MAX_VALUE, 1_048_576);
    let (empty, full) = (put(b"").unwrap(), put(&largest).unwrap());
    assert!(matches!(put(&vec![0; MAX_VALUE + 1]), Err(Error::Encode(EncodeError::TooLarge { .. }))));
    // A note of n bytes of text takes 8 more for its length.
    let typed = session.put(patient, &note(&"x".repeat(MAX_VALUE - 8))).unwrap();
    let over = note(&"x".repeat(MAX_VALUE - 7));
    assert!(matches!(session.put(patient, &over), Err(Error::Encode(EncodeError::TooLarge { .. }))));
    assert!(matches!(session.amend(typed, Version::FIRST, &over), Err(Error::Encode(EncodeError::TooLarge { .. }))));
    assert!(matches!(
        session.amend_verbatim(full, Version::FIRST, &vec![0; MAX_VALUE + 1]),
        Err(Error::Encode(EncodeError::TooLarge { .. }))
    ));
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(session.get_verbatim(empty).unwrap().value, b"");
    assert_eq!(session.get_verbatim(full).unwrap().value, largest);
    assert_eq!(session.get(typed).unwrap().value.text.len(), MAX_VALUE - 8);
    let kinds = session.kinds(patient).unwrap();
    assert_eq!(kinds.iter().map(|count| count.records).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_reason_has_1_to_1024_bytes() {
    let (_house, _vault, session, patient) = chart();
    let longest = "x".repeat(MAX_REASON);
    let void = |reason: &str| {
        let id = session.put(patient, &note("one")).unwrap();
        session.void(id, Version::FIRST, reason).map(|_| session.get(id).unwrap().reason.unwrap())
    };
    assert_eq!(MAX_REASON, 1_024);
    assert_eq!(void(&longest).unwrap(), longest);
    assert_eq!(void("x").unwrap(), "x");
    for reason in ["", " \n\t", &"x".repeat(MAX_REASON + 1), &"ü".repeat(MAX_REASON / 2 + 1)] {
        assert!(matches!(void(reason), Err(Error::InvalidText { what: "reason", .. })), "{} bytes", reason.len());
    }
}

#[test]
fn a_record_has_at_most_16_labels_of_1_to_255_bytes() {
    let (_house, _vault, session, patient) = chart();
    let longest = |count: u8| (0..count).map(|at| format!("{}{}", "x".repeat(254), char::from(b'a' + at)));
    let labels = Labels::new(longest(16)).unwrap();
    let options = PutOptions::new().labels(labels.clone());
    let id = session.put_with(patient, &note("one"), options).unwrap();
    assert!(session.get(id).unwrap().labels == labels);
    assert_eq!(Labels::new(longest(17)), Err(InvalidLabels::TooMany));
    assert_eq!(Labels::new(["x".repeat(256)]), Err(InvalidLabels::Length { len: 256 }));
    assert_eq!(Labels::new([""]), Err(InvalidLabels::Length { len: 0 }));
}

#[test]
fn the_name_of_a_kind_has_1_to_64_characters() {
    let (_house, _vault, session, patient) = chart();
    let longest = Kind::new(&"k".repeat(64)).unwrap();
    session.put_verbatim(patient, &longest, b"{}", PutOptions::new()).unwrap();
    assert_eq!(session.kinds(patient).unwrap()[0].kind, longest);
    assert!(Kind::new(&"k".repeat(65)).is_err() && Kind::new("").is_err());
}

#[test]
fn an_identifier_has_1_to_1024_bytes_each_side() {
    let (_house, _vault, session, _) = chart();
    let longest = Identifier::new(&"s".repeat(1_024), &"v".repeat(1_024)).unwrap();
    let patient = session.register_patient([longest.clone()]).unwrap();
    assert_eq!(session.find_patient(&longest).unwrap(), Some(patient));
    for (system, value) in [("s", "v".repeat(1_025)), ("s", String::new()), ("s", " ".repeat(9))] {
        assert!(matches!(Identifier::new(system, &value), Err(Error::Identifier(_))));
        assert!(matches!(Identifier::new(&value, "v"), Err(Error::Identifier(_))));
    }
}

#[test]
fn one_call_registers_at_most_64_identifiers() {
    let (_house, _vault, session, _) = chart();
    let numbered = |count: usize| (0..count).map(|at| mrn(&at.to_string()));
    let refused = session.register_patient(numbered(65));
    assert!(matches!(refused, Err(Error::TooMany { len: 65, limit: 64, .. })), "{refused:?}");
    assert_eq!(session.find_patient(&mrn("0")).unwrap(), None);
    let patient = session.register_patient(numbered(64).chain(numbered(64))).unwrap();
    assert_eq!(session.find_patient(&mrn("63")).unwrap(), Some(patient));
}

/// Identifiers that mean the same after normalisation are one.
#[test]
fn an_identifier_given_twice_in_other_spellings_is_registered_once() {
    let (house, vault, session, other) = chart();
    let spellings = || ["M\u{fc}ller", " Mu\u{308}ller\n", "Mu\u{308}ller"].map(mrn);
    let patient = session.register_patient(spellings()).unwrap();
    for spelling in spellings() {
        assert_eq!(session.find_patient(&spelling).unwrap(), Some(patient));
        assert!(matches!(session.add_identifier(other, spelling), Err(Error::IdentifierTaken { .. })));
    }
    vault.close().unwrap();
    let vault = house.open();
    assert_eq!(vault.opening().rebuilt, None, "the trees are what the digest says");
    let session = house.session(&vault);
    for spelling in spellings() {
        assert_eq!(session.find_patient(&spelling).unwrap(), Some(patient));
    }
    verify(&session);
    drop((session, vault));
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(session.find_patient(&mrn("M\u{fc}ller")).unwrap(), Some(patient));
}

/// Small records in few commits.
fn put_many(session: &Session, patient: PatientId, count: usize) -> Vec<RecordId<Note>> {
    let mut ids = Vec::with_capacity(count);
    for start in (0..count).step_by(500) {
        let mut batch = session.batch();
        for at in start..count.min(start + 500) {
            batch.put(patient, &note(&at.to_string()), PutOptions::new()).unwrap();
        }
        ids.extend(batch.commit().unwrap().into_iter().map(|record| RecordId::try_from(record).unwrap()));
    }
    ids
}

#[test]
fn one_call_reads_and_one_page_holds_at_most_1000_records() {
    let (_house, _vault, session, patient) = chart();
    let ids = put_many(&session, patient, 1_001);
    assert_eq!(session.get_many(&ids[..1_000]).unwrap().len(), 1_000);
    assert!(matches!(session.get_many(&ids), Err(Error::TooMany { len: 1_001, limit: 1_000, .. })));
    for limit in [1_000, 1_001, usize::MAX] {
        let page = session.list::<Note>(patient).limit(limit).page().unwrap();
        assert_eq!((page.entries.len(), page.next.is_some()), (1_000, true), "limit {limit}");
        let rest = session.list::<Note>(patient).limit(limit).after(page.next.unwrap()).page().unwrap();
        assert_eq!((rest.entries.len(), rest.next), (1, None));
        let page = session.chart(patient).limit(limit).page().unwrap();
        assert_eq!((page.entries.len(), page.next.is_some()), (1_000, true), "limit {limit}");
        let rest = session.chart(patient).limit(limit).after(page.next.unwrap()).page().unwrap();
        assert_eq!((rest.entries.len(), rest.next), (1, None));
    }
    verify(&session);
}

#[test]
fn a_page_limit_of_nothing_counts_as_one_and_never_looks_like_the_end() {
    let (_house, _vault, session, patient) = chart();
    put_many(&session, patient, 2);
    let page = session.list::<Note>(patient).limit(0).page().unwrap();
    assert!(page.entries.len() == 1 && page.next.is_some(), "list: {page:?}");
    let page = session.chart(patient).limit(0).page().unwrap();
    assert!(page.entries.len() == 1 && page.next.is_some(), "chart: {page:?}");
    let page = session.audit().unwrap().query(AuditFilter::new()).limit(0).page().unwrap();
    assert!(page.entries.len() == 1 && page.next.is_some(), "log: {} entries", page.entries.len());
}

#[test]
fn a_page_of_the_log_holds_at_most_1000_entries() {
    let (_house, _vault, session, _) = chart();
    while verify(&session).entries < 1_002 {
        for _ in 0..100 {
            session.find_patient(&mrn("nobody's")).unwrap();
        }
    }
    for limit in [1_000, 1_001, usize::MAX] {
        let page = session.audit().unwrap().query(AuditFilter::new()).limit(limit).page().unwrap();
        assert_eq!((page.entries.len(), page.next.is_some()), (1_000, true), "limit {limit}");
    }
}

#[test]
fn a_batch_takes_at_most_12_mib() {
    let (house, vault, session, patient) = chart();
    let megabyte = vec![0x5A; MAX_VALUE];
    let mut batch = session.batch();
    // Each is counted with an eighth for padding and 512 bytes.
    let each = MAX_VALUE + MAX_VALUE / 8 + 512;
    let fit = (12 << 20) / each;
    for _ in 0..fit {
        batch.put_verbatim(patient, &document(), &megabyte, PutOptions::new()).unwrap();
    }
    let refused = batch.put_verbatim(patient, &document(), &megabyte, PutOptions::new());
    assert!(matches!(refused, Err(Error::CommitTooLarge { limit: 12_582_912, .. })), "{refused:?}");
    let rest = (12 << 20) - fit * each - 512;
    let last = (1..=rest).rev().find(|len| len + len / 8 <= rest).unwrap();
    let refused = batch.put_verbatim(patient, &document(), &megabyte[..last + 1], PutOptions::new());
    assert!(matches!(refused, Err(Error::CommitTooLarge { .. })), "{refused:?}");
    batch.put_verbatim(patient, &document(), &megabyte[..last], PutOptions::new()).unwrap();
    assert_eq!(batch.len(), fit + 1);
    let records = batch.commit().unwrap();
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(session.get_verbatim(records[0]).unwrap().value, megabyte);
    assert_eq!(session.get_verbatim(records[fit]).unwrap().value, megabyte[..last]);
    verify(&session);
}

#[test]
fn a_batch_of_many_small_records_is_logged_in_entries_that_fit() {
    let (_house, _vault, session, patient) = chart();
    let mut batch = session.batch();
    let mut count: u64 = 0;
    while batch.put_verbatim(patient, &document(), b"", PutOptions::new()).is_ok() {
        count += 1;
    }
    assert_eq!(batch.commit().unwrap().len() as u64, count);
    assert_eq!(session.kinds(patient).unwrap()[0].records, count);
    verify(&session);
}

#[test]
fn an_empty_batch_and_an_empty_get_many_are_no_error() {
    let (_house, _vault, session, _) = chart();
    assert!(session.batch().commit().unwrap().is_empty());
    assert!(session.get_many::<Note>(&[]).unwrap().is_empty());
}

#[test]
fn history_gives_the_newest_1000_versions() {
    let (_house, _vault, session, patient) = chart();
    let id = session.put(patient, &note("1")).unwrap();
    let mut version = Version::FIRST;
    for number in 2..=1_001 {
        version = session.amend(id, version, &note(&number.to_string())).unwrap();
    }
    let history = session.history(id).unwrap();
    assert_eq!((history.len(), history[0].value.text.as_str()), (1_000, "1001"));
    assert_eq!(history[999].value.text, "2");
    assert_eq!(session.get_version(id, Version::FIRST).unwrap().value.text, "1");
}

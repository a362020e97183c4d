//! Reading charts: pages, order, ranges, kinds, and what a limited token sees of them.

use std::time::Duration;

include!("../support/clinic.rs");

fn at(second: i64) -> PutOptions {
    PutOptions::new().clinical_time(Timestamp::from_micros(second * 1_000_000))
}

fn kind(name: &str) -> Kind {
    Kind::new(name).unwrap()
}

fn texts(page: &ChartPage) -> Vec<String> {
    page.entries.iter().map(|entry| String::from_utf8(entry.verbatim().unwrap().value).unwrap()).collect()
}

#[test]
fn a_chart_is_newest_first_by_clinical_time_across_kinds_and_pages() {
    let clinic = Clinic::new();
    let session = clinic.session();
    let patient = session.register_patient([]).unwrap();
    let mut expected = Vec::new();
    for n in 0..57_i64 {
        // Times go up and down, kinds alternate: the order put is not the order read.
        let second = (n * 37) % 57;
        let name = ["Observation", "Condition", "Encounter"][usize::try_from(n % 3).unwrap()];
        let text = format!("{second:02} {name}");
        session.put_verbatim(patient, &kind(name), text.as_bytes(), at(second)).unwrap();
        expected.push(text);
    }
    expected.sort_unstable_by(|a, b| b.cmp(a));
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let query = session.chart(patient).limit(10);
        let page = after.map_or(query, |cursor| session.chart(patient).limit(10).after(cursor)).page().unwrap();
        assert!(page.entries.len() <= 10);
        read.extend(texts(&page));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(read, expected);
    let range = session.chart(patient).between(Timestamp::from_micros(10_000_000), Timestamp::from_micros(13_000_000));
    let seconds: Vec<_> = texts(&range.page().unwrap()).iter().map(|text| text[..2].to_owned()).collect();
    assert_eq!(seconds, ["12", "11", "10"]);
    let counts = session.kinds(patient).unwrap().into_iter().map(|count| (count.kind.to_string(), count.records));
    let expected = [("Condition", 19), ("Encounter", 19), ("Observation", 19)].map(|(name, n)| (name.to_owned(), n));
    assert_eq!(counts.collect::<Vec<_>>(), expected);
}

#[test]
fn a_record_put_between_two_pages_is_not_lost_and_shifts_none() {
    let clinic = Clinic::new();
    let session = clinic.session();
    let patient = session.register_patient([]).unwrap();
    let put = |second| session.put_verbatim(patient, &kind("Note"), format!("{second:02}").as_bytes(), at(second));
    (0..20).for_each(|n| drop(put(n).unwrap().to_string()));
    let first = session.chart(patient).limit(10).page().unwrap();
    put(5).unwrap();
    put(50).unwrap();
    let rest = session.chart(patient).limit(100).after(first.next.unwrap()).page().unwrap();
    assert_eq!(texts(&rest), ["09", "08", "07", "06", "05", "05", "04", "03", "02", "01", "00"]);
}

#[test]
fn a_list_goes_through_all_records_and_shows_newest_versions_only() {
    let clinic = Clinic::new();
    let session = clinic.session();
    let patient = session.register_patient([]).unwrap();
    let mut batch = session.batch();
    for n in 0..700 {
        batch.put(patient, &Note { text: n.to_string() }, PutOptions::new()).unwrap();
    }
    let records = batch.commit().unwrap();
    for record in records.iter().step_by(50) {
        let id: RecordId<Note> = (*record).try_into().unwrap();
        for round in 0..3 {
            let entry = session.get(id).unwrap();
            let text = format!("{} amended {round}", record.number() - 1);
            session.amend(id, entry.version, &Note { text }).unwrap();
        }
    }
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let query = session.list::<Note>(patient).limit(64);
        let page = match after {
            Some(cursor) => query.after(cursor).page().unwrap(),
            None => query.page().unwrap(),
        };
        read.extend(page.entries.into_iter().map(|entry| (entry.id.number(), entry.value.text)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected = (1..=700).rev().map(|number: u64| {
        let text = (number - 1).to_string();
        (number, if (number - 1).is_multiple_of(50) { format!("{text} amended 2") } else { text })
    });
    assert!(read.into_iter().eq(expected));
}

#[test]
fn the_facility_chart_holds_what_belongs_to_no_patient() {
    let clinic = Clinic::new();
    let session = clinic.session();
    let record = session.put_verbatim(PatientId::FACILITY, &kind("Organization"), b"{}", PutOptions::new()).unwrap();
    assert_eq!(session.get_verbatim(record).unwrap().value, b"{}");
    let patient = session.register_patient([]).unwrap();
    let narrow = clinic.token.attenuate().patient(patient).finish().unwrap();
    let nurse = clinic.vault.session(&narrow, Purpose::Treatment).unwrap();
    assert!(matches!(nurse.get_verbatim(record), Err(Error::Denied { .. })));
}

#[test]
fn what_is_too_confidential_is_withheld_from_lists_and_denied_one_by_one() {
    let clinic = Clinic::new();
    let session = clinic.session();
    let patient = session.register_patient([]).unwrap();
    let note = |text: &str| Note { text: text.into() };
    session.put(patient, &note("open")).unwrap();
    let level = Confidentiality::Moderate;
    session.put_with(patient, &note("moderate"), PutOptions::new().confidentiality(level)).unwrap();
    let low = clinic.token.attenuate().sensitivity(Confidentiality::Low).finish().unwrap();
    let front_desk = clinic.vault.session(&low, Purpose::Treatment).unwrap();
    let page = front_desk.list::<Note>(patient).page().unwrap();
    assert_eq!((page.entries.len(), page.withheld), (0, 2));
    let id = session.list::<Note>(patient).page().unwrap().entries[0].id;
    assert!(matches!(front_desk.get(id), Err(Error::Denied { .. })));
    let chart = front_desk.chart(patient).page().unwrap();
    assert_eq!((chart.entries.len(), chart.withheld), (0, 2));
}

#[test]
fn a_log_is_verified_from_an_earlier_verification_on() {
    let clinic = Clinic::new();
    let session = clinic.session();
    let audit = || session.audit().unwrap();
    let earlier = audit().verify(Scope::All).run().unwrap();
    session.register_patient([]).unwrap();
    let later = audit().verify(Scope::Since(earlier)).run().unwrap();
    assert!(later.entries > earlier.entries && later.head != earlier.head);
    assert_eq!(audit().verify(Scope::Chain).run().unwrap().entries, later.entries + 1);
    let mut forged = earlier;
    forged.head[0] ^= 1;
    let refused = audit().verify(Scope::Since(forged)).run();
    let fault = earlier.entries - 1;
    assert!(matches!(refused, Err(Error::Audit(AuditFault { seq, what: FaultKind::OtherHead, .. })) if seq == fault));
}

#[test]
fn a_session_tells_when_it_ends() {
    let clinic = Clinic::new();
    let session = clinic.session();
    let left = session.expires_at().saturating_since(SystemClock.now());
    assert!(left <= Duration::from_secs(3_600) && left > Duration::from_secs(3_000));
    session.close().unwrap();
    assert!(matches!(session.register_patient([]), Err(Error::SessionEnded { .. })));
    assert!(matches!(session.close(), Err(Error::SessionEnded { .. })));
}

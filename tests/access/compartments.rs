//! Compartments: kinds under a key of their own, which no token reaches that does not name them.

use crate::support;

use chartvault::*;
use support::{House, Note, base_grant, everything, note};

fn notes() -> Kind {
    Kind::new("psychotherapy-note").unwrap()
}

fn create(vault: &Vault, house: &House) {
    vault.create_compartment(Compartment::PSYCHOTHERAPY, [notes()], &house.key).unwrap();
}

/// A grant of everything that names the kinds.
fn naming() -> Grant {
    let all = base_grant().all_patients().actions(Action::ALL.iter().copied());
    all.kind_named(notes().as_str()).kind::<Note>()
}

fn last_reason(session: &Session) -> Option<DenyReason> {
    let denied = AuditFilter::new().outcome(Outcome::Denied);
    let page = session.audit().unwrap().query(denied).limit(1).page().unwrap();
    page.entries.first().and_then(|entry| entry.reason).and_then(DenyReason::from_code)
}

struct Room {
    house: House,
    vault: Vault,
    all: Session,
    named: Session,
    patient: PatientId,
    apart: RecordRef,
    plain: RecordId<Note>,
}

impl Room {
    fn new() -> Self {
        let (house, vault) = House::create();
        create(&vault, &house);
        let all = house.session(&vault);
        let named = house.session_of(&vault, &naming().issued_at(house.clock.now()));
        let patient = all.register_patient([]).unwrap();
        let apart = named.put_verbatim(patient, &notes(), b"process", PutOptions::new()).unwrap();
        let plain = all.put(patient, &note("a cold")).unwrap();
        Self { house, vault, all, named, patient, apart, plain }
    }

    fn reads(&self, vault: &Vault) {
        let session = self.house.session_of(vault, &naming().issued_at(self.house.clock.now()));
        assert_eq!(session.get_verbatim(self.apart).unwrap().value, b"process");
        assert_eq!(session.get(self.plain).unwrap().value, note("a cold"));
    }
}

fn sound(vault: &Vault) {
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.findings.is_empty(), "{report}");
}

#[test]
fn all_kinds_never_reach_a_compartment_in_any_call() {
    let Room { house, vault, all, named, patient, apart, .. } = Room::new();
    let kind = notes();
    let denied = |name: &str, answer: Result<(), Error>| {
        assert!(matches!(answer, Err(Error::Denied { .. })), "{name}: {answer:?}");
        assert_eq!(last_reason(&all), Some(DenyReason::Compartment), "{name}");
    };
    denied("get", all.get_verbatim(apart).map(drop));
    denied("get many", all.get_many_verbatim(&[apart]).map(drop));
    denied("version", all.get_verbatim_version(apart, Version::FIRST).map(drop));
    denied("history", all.history_any(apart).map(drop));
    denied("list", all.list_verbatim(patient, &kind).page().map(drop));
    denied("put", all.put_verbatim(patient, &kind, b"more", PutOptions::new()).map(drop));
    denied("amend", all.amend_verbatim(apart, Version::FIRST, b"other").map(drop));
    denied("void", all.void(apart, Version::FIRST, "wrong").map(drop));
    denied("export by name", all.export().kinds([kind.clone()]).start().map(drop));
    let mut batch = all.batch();
    batch.put_verbatim(patient, &kind, b"more", PutOptions::new()).unwrap();
    denied("batch", batch.commit().map(drop));

    // Whole charts leave it out, without a word, and give it to whom it is named.
    let seen = |session: &Session| {
        let kinds: Vec<Kind> = session.kinds(patient).unwrap().into_iter().map(|count| count.kind).collect();
        let page = session.chart(patient).page().unwrap();
        assert_eq!(page.withheld, 0);
        let exported = session.export().start().unwrap().collect::<Result<Vec<_>, _>>().unwrap().len();
        (kinds, page.entries.len(), exported)
    };
    assert_eq!(seen(&all), (vec![Kind::of::<Note>()], 1, 1));
    assert_eq!(seen(&named), (vec![Kind::of::<Note>(), kind.clone()], 2, 2));
    drop(house);
    drop(vault);
}

#[test]
fn a_kind_has_to_be_named_in_each_block_that_speaks_of_kinds() {
    let Room { house, vault, all, patient, apart, plain, .. } = Room::new();
    let token = naming().issued_at(house.clock.now()).sign(&house.issuer, vault.id()).unwrap();
    let open = |token: &Token| vault.session(token, Purpose::Treatment).unwrap();
    // One that says nothing of kinds takes none away.
    let narrow = token.attenuate().issued_at(house.clock.now()).patient(patient).finish().unwrap();
    assert!(open(&narrow).get_verbatim(apart).is_ok());
    let other = token.attenuate().issued_at(house.clock.now()).kind::<Note>().finish().unwrap();
    assert!(open(&other).get(plain).is_ok() && open(&other).get_verbatim(apart).is_err());
    let wide = everything().issued_at(house.clock.now()).sign(&house.issuer, vault.id()).unwrap();
    let named = wide.attenuate().issued_at(house.clock.now()).kind_named(notes().as_str()).finish().unwrap();
    assert!(matches!(open(&named).get_verbatim(apart), Err(Error::Denied { .. })), "the grant says all kinds");
    assert_eq!(last_reason(&all), Some(DenyReason::Compartment));
}

#[test]
fn it_holds_for_sessions_that_were_open_before() {
    let (house, vault) = House::create();
    let (all, named) = (house.session(&vault), house.session_of(&vault, &naming().issued_at(house.clock.now())));
    let patient = all.register_patient([]).unwrap();
    // Both have the chart, and its keys from before.
    assert!(all.kinds(patient).unwrap().is_empty() && named.kinds(patient).unwrap().is_empty());
    create(&vault, &house);
    let refused = all.put_verbatim(patient, &notes(), b"process", PutOptions::new());
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
    let apart = named.put_verbatim(patient, &notes(), b"process", PutOptions::new()).unwrap();
    assert_eq!(named.get_verbatim(apart).unwrap().value, b"process");
    sound(&vault);
}

#[test]
fn only_a_kind_without_records_goes_into_one_and_it_stays_there() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    session.put(patient, &note("a cold")).unwrap();
    let make = |name: &str, kinds: &[Kind]| vault.create_compartment(name, kinds.iter().cloned(), &house.key);
    let refused = make("notes", &[Kind::of::<Note>(), notes()]);
    assert!(matches!(&refused, Err(Error::KindInUse { kind }) if *kind == Kind::of::<Note>()), "{refused:?}");
    assert!(vault.compartments().unwrap().is_empty());
    create(&vault, &house);
    assert!(matches!(make("other", &[notes()]), Err(Error::KindInUse { .. })));
    let other = Kind::new("process-note").unwrap();
    let refused = make(Compartment::PSYCHOTHERAPY, std::slice::from_ref(&other));
    assert!(matches!(&refused, Err(Error::CompartmentExists { name }) if name == "psychotherapy"), "{refused:?}");
    for name in [String::new(), " ".into(), "x".repeat(65)] {
        assert!(matches!(make(&name, std::slice::from_ref(&other)), Err(Error::InvalidText { .. })));
    }
    let kinds = |count: usize| (0..count).map(|n| Kind::new(&format!("kind-{n}")).unwrap()).collect::<Vec<_>>();
    assert!(matches!(make("none", &[]), Err(Error::TooMany { .. })));
    assert!(matches!(make("many", &kinds(33)), Err(Error::TooMany { len: 33, limit: 32, .. })));
    make("many", &kinds(32)).unwrap();
    make(&"x".repeat(64), &[other]).unwrap();
    let wrong = vault.create_compartment("wrong", [Kind::new("k").unwrap()], &RawKey::generate().unwrap());
    assert!(matches!(wrong, Err(Error::Unlock(_))), "{wrong:?}");
    let names: Vec<_> = vault.compartments().unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["many".to_owned(), "psychotherapy".into(), "x".repeat(64)]);
    let report = vault.key_report().unwrap();
    assert!(report.to_string().contains("compartment psychotherapy: 1 kinds, 0 days old"), "{report}");
    let entries = session.audit().unwrap().query(AuditFilter::new().event(AuditEvent::CompartmentCreated)).page();
    let told: Vec<_> =
        entries.unwrap().entries.into_iter().map(|entry| (entry.outcome, entry.detail.unwrap())).collect();
    assert!(told.contains(&(Outcome::Allowed, "psychotherapy: psychotherapy-note".into())), "{told:?}");
    assert!(told.contains(&(Outcome::Denied, "kind in use".into())), "{told:?}");
}

#[test]
fn what_is_kept_apart_outlives_closing_and_every_rotation() {
    let room = Room::new();
    let (vault, house) = (&room.vault, &room.house);
    vault.rotate_data_key(&house.key, &mut |_| ()).unwrap();
    room.reads(vault);
    vault.rotate_wrap_key(&house.key, &mut |_| ()).unwrap();
    vault.rotate_audit_key(&house.key).unwrap();
    vault.rotate_root_key(&[(&house.key).into()]).unwrap();
    let rotated = vault.continue_rotation(&house.key, &mut |_| ()).unwrap();
    assert_eq!((rotated.resealed, rotated.unreadable), (2, 0));
    room.reads(vault);
    sound(vault);
    // Amended under the newest keys, and read with its history.
    let second = room.named.amend_verbatim(room.apart, Version::FIRST, b"process 2").unwrap();
    assert_eq!(room.named.history_verbatim(room.apart).unwrap().len(), 2);
    assert_eq!(second.number(), 2);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session_of(&vault, &naming().issued_at(house.clock.now()));
    assert_eq!(session.get_verbatim(room.apart).unwrap().value, b"process 2");
    assert_eq!(session.get_verbatim_version(room.apart, Version::FIRST).unwrap().value, b"process");
    assert!(house.session(&vault).get_verbatim(room.apart).is_err());
    sound(&vault);
}

#[test]
fn a_chart_with_a_compartment_is_erased_as_any_other() {
    let room = Room::new();
    let order = ErasureOrder::new("asked", "Art. 17");
    // By a token that reaches none of it: what cannot be read can still be erased.
    room.vault.erase_patient(&room.all, room.patient, &order, &room.house.key, &mut |_| ()).unwrap();
    assert!(matches!(room.named.get_verbatim(room.apart), Err(Error::Erased { .. })));
    sound(&room.vault);
}

#[test]
fn a_salvage_brings_what_is_kept_apart_along() {
    let room = Room::new();
    room.vault.close().unwrap();
    let into = room.house.dir.path().join("salvaged.vault");
    let damaged = Vault::open_with(room.house.path(), room.house.options()).unwrap();
    let report = damaged.salvage(&room.house.key, &into).unwrap();
    assert!(report.to_string().contains("verified"), "{report}");
    drop(damaged);
    let vault = room.house.open_at(&into).unwrap();
    assert_eq!(vault.compartments().unwrap()[0].kinds, [notes()]);
    room.reads(&vault);
    assert!(room.house.session(&vault).get_verbatim(room.apart).is_err());
    sound(&vault);
}

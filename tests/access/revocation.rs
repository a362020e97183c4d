//! Whatever is revoked opens nothing and allows nothing any more: in open sessions, after a crash, after reopening.

use crate::support;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::{House, Note, copy_dir, everything, note, verify, whole_log};

const MINUTE: Duration = Duration::from_secs(60);

/// A root token and what was narrowed from it, each with a session; and somebody who revokes.
struct Ward {
    house: House,
    vault: Vault,
    office: Session,
    patient: PatientId,
    tokens: [Token; 3],
    sessions: [Session; 3],
}

impl Ward {
    fn new() -> Self {
        let (house, vault) = House::create();
        let admin = Grant::to("a.lund").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let admin = admin.purpose(Purpose::Treatment).valid_for(30 * 24 * 60 * MINUTE).issued_at(house.clock.now());
        let admin_issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(admin_issuer.public(), &house.key).unwrap();
        let admin = admin.sign(&admin_issuer, vault.id()).unwrap();
        let office = vault.session(&admin, Purpose::Treatment).unwrap();
        let nurse = Role::new("ward").all_kinds().actions(Action::ALL.iter().copied()).purposes([Purpose::Treatment]);
        let nurse = office.roles().define(&nurse.sensitivity(Confidentiality::VeryRestricted)).unwrap();
        let patient = office.register_patient([]).unwrap();
        let root = house.grant().cite(nurse.role.id(), nurse.revision).sign(&house.issuer, vault.id()).unwrap();
        let middle = root.attenuate().finish().unwrap();
        let leaf = middle.attenuate().finish().unwrap();
        let tokens = [root, middle, leaf];
        let sessions = tokens.each_ref().map(|token| vault.session(token, Purpose::Treatment).unwrap());
        sessions.iter().for_each(|session| drop(session.list::<Note>(patient).page().unwrap()));
        Self { house, vault, office, patient, tokens, sessions }
    }

    /// Which of the tokens' sessions go on working; what does not is denied as revoked.
    fn works(&self) -> [bool; 3] {
        self.sessions.each_ref().map(|session| match session.list::<Note>(self.patient).page() {
            Ok(_) => true,
            Err(Error::Denied { ticket }) => {
                let log = whole_log(&self.office);
                let denial = log.iter().find(|entry| entry.ticket == Some(ticket)).unwrap();
                assert_eq!(denial.reason, Some(0x301), "{denial:?}");
                false
            }
            Err(error) => panic!("{error}"),
        })
    }

    /// What opening a session with each of the tokens answers.
    fn opens(&self, vault: &Vault) -> [Result<(), TokenError>; 3] {
        self.tokens.each_ref().map(|token| match vault.session(token, Purpose::Treatment) {
            Ok(_) => Ok(()),
            Err(Error::Token(error)) => Err(error),
            Err(error) => panic!("{error}"),
        })
    }

    /// The same in a vault as a crash would leave it, and after closing and opening.
    fn stays(self, expected: [Result<(), TokenError>; 3]) {
        assert_eq!(self.opens(&self.vault), expected);
        assert_eq!(self.works(), expected.map(|opens| opens.is_ok()));
        let crashed = self.house.dir.path().join("crashed");
        copy_dir(&self.house.path(), &crashed);
        assert_eq!(self.opens(&self.house.open_at(&crashed).unwrap()), expected, "after a crash");
        verify(&self.office);
        self.vault.close().unwrap();
        assert_eq!(self.opens(&self.house.open()), expected, "after reopening");
    }
}

#[test]
fn replay_after_revoking_the_root_the_middle_or_the_leaf() {
    for from in 0..3 {
        let ward = Ward::new();
        let rid = ward.tokens[from].id();
        let revoked = ward.office.grants().revoke(Revoke::Block(rid), "lost").unwrap();
        assert_eq!((revoked.what, revoked.until(), &*revoked.reason), (Revoke::Block(rid), None, "lost"));
        let block = u8::try_from(from).unwrap();
        let mut expected = [Ok(()); 3];
        expected[from..].fill(Err(TokenError::Revoked { block, rid }));
        ward.stays(expected);
    }
}

#[test]
fn replay_after_revoking_the_principal_and_what_is_issued_later_counts_again() {
    let ward = Ward::new();
    let principal = ward.sessions[0].principal();
    // Its issuer's clock is two minutes ahead.
    let sign = |ahead: u64| {
        let at = ward.house.clock.now().saturating_add(Duration::from_secs(ahead));
        everything().issued_at(at).sign(&ward.house.issuer, ward.vault.id()).unwrap()
    };
    let ahead = sign(120);
    let revoked = ward.office.grants().revoke(Revoke::Principal(principal), "left").unwrap();
    let until = revoked.until().unwrap();
    assert_eq!(until, ward.house.clock.now().saturating_add(Duration::from_secs(120)));
    let refused = Err(TokenError::PrincipalRevoked { principal, until });
    let opens = |token: &Token| ward.vault.session(token, Purpose::Treatment).map(drop);
    assert!(matches!(opens(&ahead), Err(Error::Token(TokenError::PrincipalRevoked { .. }))));
    ward.house.clock.step(121);
    let later = sign(0);
    assert!(opens(&later).is_ok());
    // Again: until now, later ones included.
    ward.office.grants().revoke(Revoke::Principal(principal), "left again").unwrap();
    assert!(matches!(opens(&later), Err(Error::Token(TokenError::PrincipalRevoked { .. }))));
    let moved = until.saturating_add(Duration::from_secs(121));
    let refused = refused.map_err(|_| TokenError::PrincipalRevoked { principal, until: moved });
    ward.stays([refused; 3]);
}

#[test]
fn replay_after_revoking_the_role() {
    let ward = Ward::new();
    let role = Role::new("ward").id();
    let until = ward.office.grants().revoke(Revoke::Role(role), "wrong from the start").unwrap().until().unwrap();
    ward.stays([Err(TokenError::RoleRevoked { role, until }); 3]);
}

#[test]
fn replay_after_revoking_the_issuer_with_a_session_and_with_a_credential() {
    for with_credential in [false, true] {
        let ward = Ward::new();
        let issuer = ward.house.issuer.public().id();
        if with_credential {
            ward.vault.distrust_issuer(issuer, "stolen", &ward.house.key).unwrap();
        } else {
            ward.office.grants().revoke(Revoke::Issuer(issuer), "stolen").unwrap();
        }
        // It does not come back.
        let again = ward.vault.trust_issuer(ward.house.issuer.public(), &ward.house.key);
        assert!(matches!(again, Err(Error::WasRevoked { what: Revoke::Issuer(id), .. }) if id == issuer), "{again:?}");
        let log = whole_log(&ward.office);
        let entry = log.iter().rfind(|entry| entry.event == AuditEvent::IssuerRevoked).unwrap();
        assert!(entry.detail.as_ref().unwrap().ends_with("stolen"), "{entry:?}");
        assert_eq!(log.last().unwrap().outcome, Outcome::Denied);
        ward.stays([Err(TokenError::IssuerRevoked { issuer }); 3]);
    }
}

#[test]
fn an_attester_who_is_distrusted_attests_nothing_any_more_not_even_in_open_sessions() {
    let (house, vault) = House::create();
    let attester = AttesterKey::generate().unwrap();
    vault.trust_attester(attester.public(), &house.key).unwrap();
    let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
    let token = token.attenuate().attestation(attester.public().id(), Claim::ON_DUTY, MINUTE).finish().unwrap();
    let attest = || {
        let now = house.clock.now();
        let attestation = Attestation::of(&token, Claim::ON_DUTY).issued_at(now).valid_for(MINUTE);
        attestation.sign(&attester).unwrap()
    };
    let open = |vault: &Vault| vault.session_with(&token, Purpose::Treatment).attestations([attest()]).open();
    let session = open(&vault).unwrap();
    let patient = session.register_patient([]).unwrap();
    // One whose token demands no attestation, opened with one beside it.
    let plain = house.grant().sign(&house.issuer, vault.id()).unwrap();
    let shown = || {
        let shown = Attestation::of(&plain, Claim::ON_DUTY).issued_at(house.clock.now()).valid_for(MINUTE);
        vault.session_with(&plain, Purpose::Treatment).attestations([shown.sign(&attester).unwrap()]).open()
    };
    let (vouched_for, alone) = (shown().unwrap(), vault.session(&plain, Purpose::Treatment).unwrap());
    vault.distrust_attester(attester.public().id(), "shared its key", &house.key).unwrap();
    let denied = session.list::<Note>(patient).page();
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let refused = |result: Result<Session, Error>| match result {
        Err(Error::Token(TokenError::AttesterRevoked { attester: id })) => id == attester.public().id(),
        other => panic!("{other:?}"),
    };
    assert!(refused(open(&vault)));
    let again = vault.trust_attester(attester.public(), &house.key);
    assert!(matches!(again, Err(Error::WasRevoked { what: Revoke::Attester(_), .. })), "{again:?}");
    // What it vouched for counts no more than it does; without it the same token is as good as ever.
    assert!(matches!(vouched_for.list::<Note>(patient).page(), Err(Error::Denied { .. })));
    assert!(alone.list::<Note>(patient).page().is_ok());
    let shown = shown();
    assert!(matches!(shown, Err(Error::Proof(ProofError::UnknownAttester { .. }))), "{shown:?}");
    vault.close().unwrap();
    assert!(refused(open(&house.open())));
}

#[test]
fn revoking_twice_changes_nothing_but_has_an_entry_each_time() {
    let ward = Ward::new();
    let what = Revoke::Block(ward.tokens[2].id());
    let first = ward.office.grants().revoke(what, "lost").unwrap();
    ward.house.clock.step(60);
    assert_eq!(ward.office.grants().revoke(what, "lost again").unwrap(), first);
    let log = whole_log(&ward.office);
    let said: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::Revoked).collect();
    let details: Vec<_> = said.iter().map(|entry| entry.detail.clone().unwrap()).collect();
    assert_eq!(details, [format!("{what}: lost"), format!("{what}: lost again")]);
    assert!(said.iter().all(|entry| entry.actor == Some(ward.office.principal())));
    // What nobody has seen can be revoked as well.
    let unseen = ward.tokens[0].attenuate().finish().unwrap();
    ward.office.grants().revoke(Revoke::Block(unseen.id()), "sent to the wrong address").unwrap();
    let refused = ward.vault.session(&unseen, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Token(TokenError::Revoked { block: 1, .. }))), "{refused:?}");
}

#[test]
fn revoking_needs_the_grant_action_and_issuers_and_attesters_the_operate_action() {
    let (house, vault) = House::create();
    let with = |action| {
        house.session_of(
            &vault,
            &support::base_grant().issued_at(house.clock.now()).all_patients().all_kinds().actions([action]),
        )
    };
    let rid = Revoke::Block(RevocationId::from_bytes([1; 16]));
    let issuer = Revoke::Issuer(IssuerId::from_bytes([1; 16]));
    let attester = Revoke::Attester(AttesterId::from_bytes([1; 16]));
    let (grant, operate) = (with(Action::Grant), with(Action::Operate));
    assert!(grant.grants().revoke(rid, "x").is_ok() && operate.grants().revoke(issuer, "x").is_ok());
    assert!(operate.grants().revoke(attester, "x").is_ok());
    for (session, what) in [(&grant, issuer), (&grant, attester), (&operate, rid)] {
        let denied = session.grants().revoke(what, "x");
        assert!(matches!(denied, Err(Error::Denied { .. })), "{what}: {denied:?}");
    }
    for reason in [" ", &"x".repeat(257)] {
        let refused = grant.grants().revoke(rid, reason);
        assert!(matches!(refused, Err(Error::InvalidText { what: "reason", .. })), "{refused:?}");
        let refused = vault.distrust_issuer(house.issuer.public().id(), reason, &house.key);
        assert!(matches!(refused, Err(Error::InvalidText { what: "reason", .. })), "{refused:?}");
    }
    assert!(grant.grants().revoke(rid, &"x".repeat(256)).is_ok());
    let wrong = vault.distrust_issuer(house.issuer.public().id(), "x", &RawKey::generate().unwrap());
    assert!(matches!(wrong, Err(Error::Unlock(UnlockError::WrongCredential))), "{wrong:?}");
    assert!(grant.grants().live().page().is_ok(), "nothing was revoked");
}

#[test]
fn a_ceiling_bounds_an_issuers_tokens_in_open_sessions_and_new_ones() {
    let (house, vault) = House::create();
    let issuer = house.issuer.public().id();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("slept well")).unwrap();
    let limit = |ceiling| vault.limit_issuer(issuer, ceiling, &house.key).unwrap();
    let reading = || Ceiling::new().actions([Action::Read, Action::Audit, Action::Operate]);
    limit(reading());
    assert!(session.get(id).is_ok());
    let Err(Error::Denied { ticket }) = session.put(patient, &note("x")) else { panic!() };
    limit(Ceiling::new());
    assert!(session.put(patient, &note("woke up")).is_ok());
    let log = whole_log(&session);
    let denial = log.iter().find(|entry| entry.ticket == Some(ticket)).unwrap();
    assert_eq!(denial.reason, Some(0x305));
    limit(Ceiling::new().sensitivity(Confidentiality::Low));
    assert!(matches!(session.get(id), Err(Error::Denied { .. })));
    limit(Ceiling::new().kind::<support::Allergy>());
    assert!(matches!(session.get(id), Err(Error::Denied { .. })));
    limit(Ceiling::new().purposes([Purpose::Research]));
    let refused = vault.session(house.grant().sign(&house.issuer, vault.id()).unwrap(), Purpose::Treatment);
    assert!(
        matches!(&refused, Err(Error::SessionRefused(denial)) if denial.reason == DenyReason::Issuer),
        "{refused:?}"
    );

    // Grants live for 30 days here; a narrowing that is shorter does not help.
    let days = |days: u64| Duration::from_secs(days * 86_400);
    limit(Ceiling::new().longest_validity(days(29)));
    assert!(matches!(session.get(id), Err(Error::Denied { .. })));
    let token = house
        .grant()
        .sign(&house.issuer, vault.id())
        .unwrap()
        .attenuate()
        .issued_at(house.clock.now())
        .valid_for(MINUTE)
        .finish()
        .unwrap();
    let refused = vault.session(&token, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Token(TokenError::BeyondCeiling { .. }))), "{refused:?}");
    limit(Ceiling::new().longest_validity(days(30)));
    assert!(vault.session(&token, Purpose::Treatment).is_ok() && session.get(id).is_ok());
    limit(reading());
    vault.close().unwrap();

    let vault = house.open();
    let session = house.session(&vault);
    assert!(session.get(id).is_ok() && matches!(session.void(id, Version::FIRST, "x"), Err(Error::Denied { .. })));
    let [info] = &session.issuers().unwrap()[..] else { panic!() };
    assert_eq!((info.id, info.public, &info.ceiling), (issuer, house.issuer.public(), &Some(reading())));
    assert_eq!((info.revoked_at, info.last_used), (None, Some(house.clock.now())));
    assert!(info.live_grants >= 3, "{info:?}");
    let kinds = (0..1_001).map(|number| Kind::new(&format!("kind-{number}")).unwrap());
    let many = vault.limit_issuer(issuer, Ceiling::new().kinds(kinds.clone()), &house.key);
    assert!(matches!(many, Err(Error::TooMany { len: 1_001, limit: 1_000, .. })), "{many:?}");
    vault.limit_issuer(issuer, Ceiling::new().kinds(kinds.take(1_000)), &house.key).unwrap();
    drop((session, vault));
    house.open();
}

#[test]
fn a_ceiling_binds_once_the_glass_is_broken() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id =
        session.put_with(patient, &note("x"), PutOptions::new().confidentiality(Confidentiality::Restricted)).unwrap();
    let grant = Grant::to("n.adu").all_patients().all_kinds().actions([Action::List]).issued_at(house.clock.now());
    let grant = grant.purposes([Purpose::Treatment, Purpose::BreakGlass]).valid_for(60 * MINUTE);
    let grant = grant.emergency([Action::Read], Confidentiality::VeryRestricted, 15 * MINUTE);
    let nurse = house.session_of(&vault, &grant);
    let urgent = nurse.break_glass(patient, EmergencyReason::PatientInDanger, "unconscious").unwrap();
    assert!(urgent.get(id).is_ok());
    let issuer = house.issuer.public().id();
    vault.limit_issuer(issuer, Ceiling::new().sensitivity(Confidentiality::Normal), &house.key).unwrap();
    assert!(matches!(urgent.get(id), Err(Error::Denied { .. })));
    vault.distrust_issuer(issuer, "x", &house.key).unwrap();
    assert!(matches!(urgent.list::<Note>(patient).page(), Err(Error::Denied { .. })));
}

#[test]
fn after_revoke_has_returned_nobody_is_let_in() {
    let ward = Ward::new();
    for from in [2, 1, 0] {
        let (revoked, token) = (AtomicBool::new(false), &ward.tokens[from]);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..30 {
                        let before = revoked.load(Ordering::SeqCst);
                        let read = ward.sessions[from].list::<Note>(ward.patient).page();
                        assert!(read.is_ok() || matches!(read, Err(Error::Denied { .. })), "{read:?}");
                        assert!(!before || read.is_err(), "read after it was revoked");
                    }
                });
                scope.spawn(|| {
                    for _ in 0..30 {
                        let before = revoked.load(Ordering::SeqCst);
                        let opened = ward.vault.session(token, Purpose::Treatment);
                        assert!(!before || opened.is_err(), "opened after it was revoked");
                    }
                });
            }
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(5));
                ward.office.grants().revoke(Revoke::Block(token.id()), "race").unwrap();
                revoked.store(true, Ordering::SeqCst);
            });
        });
    }
    assert_eq!(ward.works(), [false; 3]);
    verify(&ward.office);
}

/// Every write and every sync of a revocation fails once, and the process ends there.
#[test]
fn a_revocation_that_breaks_off_anywhere_is_there_or_not_and_never_lost_once_it_was_answered_for() {
    for op in [FileOp::Open, FileOp::Write, FileOp::Sync] {
        for passing in 0.. {
            let (house, vault) = House::create();
            let office = house.session(&vault);
            let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
            let session = vault.session(&token, Purpose::Treatment).unwrap();
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let revoked = office.grants().revoke(Revoke::Block(token.id()), "lost");
            let hits = fault.hits();
            let crashed = house.dir.path().join("crashed");
            copy_dir(&house.path(), &crashed);
            drop(fault);
            if hits > 0 && op != FileOp::Open {
                assert!(session.register_patient([]).is_err(), "{op:?} {passing}: goes on, and nobody knows whether");
            }
            let after = house.open_at(&crashed).unwrap();
            let opened = after.session(&token, Purpose::Treatment);
            assert!(revoked.is_err() || opened.is_err(), "{op:?} {passing}: acknowledged and lost");
            let refused = matches!(opened, Err(Error::Token(TokenError::Revoked { .. })));
            assert!(opened.is_ok() || refused, "{op:?} {passing}: {opened:?}");
            let office = house.session(&after);
            verify(&office);
            // It is there with its entry, or neither is.
            let said = whole_log(&office)
                .iter()
                .any(|entry| entry.event == AuditEvent::Revoked && entry.outcome == Outcome::Allowed);
            assert_eq!(said, refused, "{op:?} {passing}");
            if hits == 0 {
                assert!(revoked.is_ok() && refused && (passing > 0 || op == FileOp::Open));
                break;
            }
        }
    }
}

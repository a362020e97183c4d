//! Signing in: who gets in and with what, what everybody else is answered, and what stays of it.

use crate::people;
use crate::support;

use std::sync::Barrier;
use std::time::Duration;

use chartvault::*;
use people::*;
use support::{House, verify, whole_log};

fn refused(answer: Result<AuthProof, Error>) {
    assert!(matches!(answer, Err(Error::SignInRefused)), "{answer:?}");
}

#[track_caller]
fn has_to_wait(answer: Result<AuthProof, Error>) -> Timestamp {
    match answer {
        Err(Error::TryAgain { at }) => at,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_knows_the_password_gets_in_and_whoever_does_not_is_answered_as_if_there_were_nobody() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    let id = enrol(&operator, NAME);
    let principals = operator.principals();
    principals.enrol("without", NewPrincipal::new()).unwrap();
    principals.enrol("gone", NewPrincipal::new().password(password())).unwrap();
    principals.disable("gone", "left the clinic").unwrap();

    let proof = vault.sign_in(NAME, &password()).finish().unwrap();
    assert_eq!((proof.principal(), proof.level(), proof.at()), (id, SignInLevel::OneFactor, house.clock.now()));
    let answers = [
        vault.sign_in(NAME, &wrong()).finish(),
        vault.sign_in("nobody", &password()).finish(),
        vault.sign_in("gone", &password()).finish(),
        vault.sign_in("without", &password()).finish(),
        vault.sign_in(NAME, &password()).totp("123456").finish(),
        vault.sign_in("N.Mensah", &password()).finish(),
        vault.sign_in("", &Password::new("")).finish(),
        vault.sign_in(NAME, &password()).recovery_code("none").finish(),
    ];
    let texts: Vec<_> = answers.iter().map(|answer| format!("{:?}", answer.as_ref().unwrap_err())).collect();
    answers.into_iter().for_each(refused);
    assert!(texts.windows(2).all(|two| two[0] == two[1]));

    let of =
        |name: &str| Some(principals.list(None, 10).unwrap().principals.iter().find(|p| p.name == name).unwrap().id);
    let log = whole_log(&operator);
    let expected = [
        (true, Some(id), "level 1: password"),
        (false, Some(id), "wrong password"),
        (false, None, "no such name"),
        (false, of("gone"), "disabled"),
        (false, of("without"), "wrong password"),
        (false, Some(id), "wrong or used code"),
        (false, None, "no such name"),
        (false, None, "no such name"),
        (false, Some(id), "wrong or used recovery code"),
    ];
    assert_eq!(attempts(&log), expected.map(|(allowed, who, detail)| (allowed, who, detail.to_owned())));
    verify(&operator);
}

#[test]
fn names_and_passwords_have_their_bounds_and_names_are_given_once() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    let enrol = |name: &str, password: &str| {
        let new = NewPrincipal::new().password(Password::new(password));
        operator.principals().enrol(name, new).map(drop)
    };
    let invalid = |answer: Result<(), Error>, text: &str| {
        assert!(matches!(answer, Err(Error::InvalidText { what, .. }) if what == text), "{answer:?}");
    };
    for name in ["", "  ", &*"n".repeat(129)] {
        invalid(enrol(name, PASSWORD), "name");
    }
    invalid(enrol("short", "1234567"), "password");
    invalid(enrol("long", &"p".repeat(1_025)), "password");
    let shown = |name: &str| operator.principals().enrol("shown", NewPrincipal::new().display_name(name)).map(drop);
    invalid(shown(" "), "name to show");
    invalid(shown(&"d".repeat(129)), "name to show");
    enrol(&"n".repeat(128), "12345678").unwrap();
    enrol("long", &"p".repeat(1_024)).unwrap();
    drop(vault.sign_in("long", &Password::new(&"p".repeat(1_024))).finish().unwrap());
    refused(vault.sign_in("long", &Password::new(&"p".repeat(1_025))).finish());
    assert!(matches!(enrol("long", PASSWORD), Err(Error::AlreadyEnrolled { .. })));
    assert!(matches!(operator.principals().enable("nobody"), Err(Error::NoSuchPrincipal { .. })));
}

#[test]
fn who_may_not_operate_changes_nothing_about_principals() {
    let (house, vault) = House::create();
    enrol(&house.session(&vault), NAME);
    let clinician = house.session_of(
        &vault,
        &support::base_grant().all_patients().all_kinds().actions([Action::Grant]).issued_at(house.clock.now()),
    );
    let principals = clinician.principals();
    let answers = [
        principals.enrol("other", NewPrincipal::new()).map(drop),
        principals.disable(NAME, "why not").map(drop),
        principals.enable(NAME).map(drop),
        principals.set_password(NAME, &wrong()),
        principals.enrol_totp(NAME, "Clinic A").map(drop),
        principals.confirm_totp(NAME, "123456"),
        principals.new_recovery_codes(NAME).map(drop),
        principals.remove_second_factors(NAME),
        principals.list(None, 1).map(drop),
    ];
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Denied { .. }))), "{answers:?}");
    drop(vault.sign_in(NAME, &password()).finish().unwrap());
}

#[test]
fn an_authenticator_counts_once_it_was_confirmed_and_each_of_its_codes_once() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    let principals = operator.principals();
    assert!(matches!(principals.confirm_totp(NAME, "123456"), Err(Error::NothingToConfirm)));
    let app = App::scan(&principals.enrol_totp(NAME, "Clinic A").unwrap(), &house.clock);
    refused(vault.sign_in(NAME, &password()).totp(&app.code()).finish());
    assert!(matches!(principals.confirm_totp(NAME, "12345"), Err(Error::WrongCode)));
    principals.confirm_totp(NAME, &app.code()).unwrap();
    refused(vault.sign_in(NAME, &password()).totp(&app.code()).finish());
    house.clock.step(30);
    let code = app.code();
    let proof = vault.sign_in(NAME, &password()).totp(&code).finish().unwrap();
    assert_eq!(proof.level(), SignInLevel::TwoFactors);
    refused(vault.sign_in(NAME, &password()).totp(&code).finish());
    refused(vault.sign_in(NAME, &password()).totp(&app.code_in(-30)).finish());
    drop(vault.sign_in(NAME, &password()).totp(&app.code_in(30)).finish().unwrap());
    assert_eq!(vault.sign_in(NAME, &password()).finish().unwrap().level(), SignInLevel::OneFactor);
    // A new one takes the place of the old one when it is confirmed, and not before.
    house.clock.step(60);
    let second = App::scan(&principals.enrol_totp(NAME, "Clinic A").unwrap(), &house.clock);
    drop(vault.sign_in(NAME, &password()).totp(&app.code()).finish().unwrap());
    principals.confirm_totp(NAME, &second.code()).unwrap();
    house.clock.step(30);
    refused(vault.sign_in(NAME, &password()).totp(&app.code()).finish());
    drop(vault.sign_in(NAME, &password()).totp(&second.code()).finish().unwrap());
}

#[test]
fn a_code_counts_from_one_step_early_to_one_step_late_and_no_longer() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    let app = with_app(&operator, NAME, &house.clock);
    let sign_in = |ahead: i64| vault.sign_in(NAME, &password()).totp(&app.code_in(ahead)).finish();
    refused(sign_in(60));
    drop(sign_in(30).unwrap());
    house.clock.step(90);
    refused(sign_in(-60));
    drop(sign_in(-30).unwrap());
    drop(sign_in(0).unwrap());
}

#[test]
fn of_two_who_sign_in_at_once_with_one_code_one_gets_in() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    let app = with_app(&operator, NAME, &house.clock);
    let codes = operator.principals().new_recovery_codes(NAME).unwrap();
    let recovery = codes.expose_texts().next().unwrap();
    for round in 0..3 {
        let (code, start) = (app.code(), Barrier::new(2));
        let inside = std::thread::scope(|threads| {
            let one = || {
                let password = password();
                let sign_in = vault.sign_in(NAME, &password);
                start.wait();
                if round == 0 { sign_in.recovery_code(&recovery).finish() } else { sign_in.totp(&code).finish() }
            };
            let both = [threads.spawn(one), threads.spawn(one)];
            both.into_iter().map(|thread| thread.join().unwrap()).filter(Result::is_ok).count()
        });
        assert_eq!(inside, 1, "{round}");
        house.clock.step(30);
    }
}

#[test]
fn a_recovery_code_counts_once_and_new_ones_make_the_old_ones_worthless() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    let codes = operator.principals().new_recovery_codes(NAME).unwrap();
    let texts: Vec<String> = codes.expose_texts().map(|text| text.to_string()).collect();
    assert_eq!(texts.len(), 10);
    let with = |code: &str| vault.sign_in(NAME, &password()).recovery_code(code).finish();
    let left = || operator.principals().list(None, 1).unwrap().principals[0].recovery_codes;
    assert_eq!(with(&texts[3]).unwrap().level(), SignInLevel::TwoFactors);
    refused(with(&texts[3]));
    drop(with(&texts[4].to_lowercase()).unwrap());
    assert_eq!(left(), 8);
    refused(vault.sign_in(NAME, &wrong()).recovery_code(&texts[5]).finish());
    assert_eq!(left(), 8, "a wrong password uses nothing up");
    let new = operator.principals().new_recovery_codes(NAME).unwrap();
    refused(with(&texts[5]));
    drop(with(&new.expose_texts().next().unwrap()).unwrap());
    operator.principals().remove_second_factors(NAME).unwrap();
    refused(with(&new.expose_texts().nth(1).unwrap()));
}

#[test]
fn used_codes_stay_used_after_a_crash() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    let app = with_app(&operator, NAME, &house.clock);
    let codes = operator.principals().new_recovery_codes(NAME).unwrap();
    let (code, recovery) = (app.code(), codes.expose_texts().next().unwrap());
    drop(vault.sign_in(NAME, &password()).totp(&code).finish().unwrap());
    drop(vault.sign_in(NAME, &password()).recovery_code(&recovery).finish().unwrap());
    let copy = house.dir.path().join("as killed.vault");
    support::copy_dir(&house.path(), &copy);
    let vault = house.open_at(&copy).unwrap();
    refused(vault.sign_in(NAME, &password()).totp(&code).finish());
    refused(vault.sign_in(NAME, &password()).recovery_code(&recovery).finish());
    house.clock.step(30);
    drop(vault.sign_in(NAME, &password()).totp(&app.code()).finish().unwrap());
}

#[test]
fn after_five_failures_a_name_has_to_wait_and_the_right_password_is_not_looked_at() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    for name in [NAME, "nobody"] {
        (0..5).for_each(|_| refused(vault.sign_in(name, &wrong()).finish()));
        let at = has_to_wait(vault.sign_in(name, &password()).finish());
        assert_eq!(at, house.clock.now().saturating_add(Duration::from_secs(1)), "{name}");
        // Waiting is no failure.
        assert_eq!(has_to_wait(vault.sign_in(name, &wrong()).finish()), at, "{name}");
    }
    house.clock.step(1);
    for (name, seconds) in [(NAME, 2), ("nobody", 2)] {
        refused(vault.sign_in(name, &wrong()).finish());
        let at = has_to_wait(vault.sign_in(name, &password()).finish());
        assert_eq!(at, house.clock.now().saturating_add(Duration::from_secs(seconds)), "{name}");
    }
    house.clock.step(2);
    drop(vault.sign_in(NAME, &password()).finish().unwrap());
    let failures = operator.principals().list(None, 1).unwrap().principals[0].failures;
    assert_eq!(failures, 0, "getting in forgets them");
    let waits = attempts(&whole_log(&operator)).into_iter().filter(|(.., why)| why == "too many failures before");
    assert_eq!(waits.count(), 6, "those who have to wait are in the log as well");
}

#[test]
fn a_password_alone_does_not_forget_the_codes_that_were_guessed_beside_it() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    let app = with_app(&operator, NAME, &house.clock);
    for _ in 0..4 {
        refused(vault.sign_in(NAME, &password()).totp("12345").finish());
        drop(vault.sign_in(NAME, &password()).finish().unwrap());
    }
    refused(vault.sign_in(NAME, &password()).totp("12345").finish());
    has_to_wait(vault.sign_in(NAME, &password()).finish());
    house.clock.step(1);
    drop(vault.sign_in(NAME, &password()).totp(&app.code()).finish().unwrap());
    (0..4).for_each(|_| refused(vault.sign_in(NAME, &password()).totp("12345").finish()));
    drop(vault.sign_in(NAME, &password()).finish().unwrap());
}

#[test]
fn a_clock_that_was_set_back_after_a_jump_keeps_nobody_waiting_for_years() {
    let (house, vault) = House::create();
    enrol(&house.session(&vault), NAME);
    let years = 10 * 365 * 86_400;
    house.clock.step(years);
    (0..5).for_each(|_| refused(vault.sign_in(NAME, &wrong()).finish()));
    house.clock.step(-years);
    vault.reset_clock(&house.key).unwrap();
    refused(vault.sign_in(NAME, &wrong()).finish());
    let at = has_to_wait(vault.sign_in(NAME, &password()).finish());
    assert_eq!(at, house.clock.now().saturating_add(Duration::from_secs(2)), "the count is kept");
    house.clock.step(2);
    drop(vault.sign_in(NAME, &password()).finish().unwrap());
}

#[test]
fn many_who_guess_at_once_get_no_more_guesses_than_one() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    let start = Barrier::new(8);
    let answers: Vec<_> = std::thread::scope(|threads| {
        let guess = || {
            let wrong = wrong();
            start.wait();
            vault.sign_in(NAME, &wrong).finish()
        };
        let all: Vec<_> = (0..8).map(|_| threads.spawn(guess)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let looked_at = answers.iter().filter(|answer| matches!(answer, Err(Error::SignInRefused))).count();
    assert_eq!(looked_at, 5, "{answers:?}");
    assert_eq!(operator.principals().list(None, 1).unwrap().principals[0].failures, 5);
}

#[test]
fn failures_are_counted_across_restarts_and_crashes() {
    let (house, vault) = House::create();
    enrol(&house.session(&vault), NAME);
    (0..4).for_each(|_| refused(vault.sign_in(NAME, &wrong()).finish()));
    vault.close().unwrap();
    let vault = house.open();
    refused(vault.sign_in(NAME, &wrong()).finish());
    let copy = house.dir.path().join("as killed.vault");
    support::copy_dir(&house.path(), &copy);
    let vault = house.open_at(&copy).unwrap();
    has_to_wait(vault.sign_in(NAME, &password()).finish());
    house.clock.step(1);
    drop(vault.sign_in(NAME, &password()).finish().unwrap());
    vault.close().unwrap();
    let vault = house.open_at(&copy).unwrap();
    (0..4).for_each(|_| refused(vault.sign_in(NAME, &wrong()).finish()));
    drop(vault.sign_in(NAME, &password()).finish().unwrap());
}

#[test]
fn a_password_that_the_help_desk_sets_counts_at_once() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    (0..5).for_each(|_| refused(vault.sign_in(NAME, &wrong()).finish()));
    let new = Password::new("nine ducks in a row");
    operator.principals().set_password(NAME, &new).unwrap();
    drop(vault.sign_in(NAME, &new).finish().unwrap());
    refused(vault.sign_in(NAME, &password()).finish());
    operator.principals().disable(NAME, "on leave").unwrap();
    refused(vault.sign_in(NAME, &new).finish());
    operator.principals().enable(NAME).unwrap();
    drop(vault.sign_in(NAME, &new).finish().unwrap());
}

#[test]
fn principals_are_listed_by_name_with_what_they_have_and_without_secrets() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    let enrolled = house.clock.now();
    for name in ["b", "a", "c"] {
        enrol(&operator, name);
    }
    house.clock.step(60);
    drop(vault.sign_in("b", &password()).finish().unwrap());
    refused(vault.sign_in("b", &wrong()).finish());
    let signed_in = house.clock.now();
    with_app(&operator, "b", &house.clock);
    operator.principals().new_recovery_codes("b").unwrap();
    operator.principals().disable("b", "on leave").unwrap();
    let names = |page: &PrincipalPage| page.principals.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let first = operator.principals().list(None, 2).unwrap();
    assert_eq!((names(&first), first.next.as_deref()), (vec!["a".to_owned(), "b".to_owned()], Some("b")));
    let last = operator.principals().list(first.next.as_deref(), 2).unwrap();
    assert_eq!((names(&last), last.next), (vec!["c".to_owned()], None));
    let b = &first.principals[1];
    assert_eq!((b.enrolled, b.last_sign_in, b.failures), (enrolled, Some(signed_in), 1));
    assert_eq!((b.has_password, b.has_totp, b.recovery_codes), (true, true, 10));
    assert_eq!(b.disabled.as_ref().map(|disabled| &*disabled.reason), Some("on leave"));
    assert!(matches!(operator.principals().list(None, 1_001), Err(Error::TooMany { .. })));
    assert_eq!(operator.principals().list(None, 0).unwrap().principals.len(), 1);
    vault.close().unwrap();
    let vault = house.open();
    assert_eq!(house.session(&vault).principals().list(None, 2).unwrap(), first);
}

#[test]
fn a_clock_that_went_back_lets_nobody_in_and_the_log_has_it() {
    let (house, vault) = House::create();
    let operator = house.session(&vault);
    enrol(&operator, NAME);
    house.clock.step(-121);
    let answer = vault.sign_in(NAME, &password()).finish();
    assert!(matches!(answer, Err(Error::ClockRollback { .. })), "{answer:?}");
    house.clock.step(121);
    let last = whole_log(&operator).into_iter().rfind(|entry| entry.event == AuditEvent::SignInRefused).unwrap();
    assert_eq!((last.outcome, last.detail.as_deref()), (Outcome::Failed, Some("clock rollback")));
}

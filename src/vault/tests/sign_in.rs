//! The work of signing in, counted rather than measured, and what is kept of a password, seen from inside.

use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::crypto::kdf;
use crate::crypto::passphrase::PassphraseCost;
use crate::crypto::password::{Password, work};
use crate::crypto::scarce::Left;
use crate::storage::memory::MemoryStore;
use crate::{AuthProof, NewPrincipal, Options};

const CHEAP: PassphraseCost = PassphraseCost::MINIMUM;

fn dear() -> PassphraseCost {
    PassphraseCost::new(20 << 10, 2, 1).unwrap()
}

/// Nobody's wait ends while a test runs.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-01-05T12:00:00Z".parse().unwrap()
    }
}

fn options(cost: PassphraseCost) -> Options {
    Options::new().clock(std::sync::Arc::new(Still)).password_cost(cost)
}

struct Ward {
    store: MemoryStore,
    key: RawKey,
    vault: Vault,
    operator: Session,
}

impl Ward {
    fn new() -> Self {
        let (store, clock, key) = (MemoryStore::new(), Still, RawKey::generate().unwrap());
        let options = options(CHEAP);
        let (vault, _) = store.create_vault().raw_key(&key).options(options).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("operator").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(3_600)).issued_at(clock.now());
        let operator = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        Self { store, key, vault, operator }
    }

    fn enrol(&self, name: &str) {
        self.operator.principals().enrol(name, NewPrincipal::new().password(password())).unwrap();
    }

    /// The same vault, whose passwords cost more from now on.
    fn reopened(self, cost: PassphraseCost) -> Self {
        self.vault.close().unwrap();
        let vault = self.store.open_vault(options(cost)).unwrap().unlock(&self.key).unwrap();
        Self { vault, ..self }
    }

    fn sign_in(&self, name: &str, password: &Password) -> Result<AuthProof, Error> {
        self.vault.sign_in(name, password).finish()
    }

    fn cost_kept(&self, name: &str) -> PassphraseCost {
        let row = self.vault.0.gate.enter().unwrap().principal(kdf::principal_id(name)).unwrap().unwrap();
        row.password.unwrap().cost
    }
}

fn password() -> Password {
    Password::new("seven ducks in a row")
}

fn wrong() -> Password {
    Password::new("eight ducks in a row")
}

#[test]
fn every_attempt_that_is_looked_at_takes_one_derivation_of_the_same_cost_whoever_it_is_for() {
    let ward = Ward::new();
    ward.enrol("dr.osei");
    ward.enrol("gone");
    ward.operator.principals().disable("gone", "left the clinic").unwrap();
    ward.operator.principals().enrol("without", NewPrincipal::new()).unwrap();
    work::take();
    for name in ["dr.osei", "gone", "without", "nobody", "", &"n".repeat(100_000)] {
        for password in [wrong(), password(), Password::new("")] {
            let _ = ward.sign_in(name, &password).is_ok();
            assert_eq!(work::take(), [CHEAP], "{name:.9}");
        }
    }
    // With a code that is wrong, or none that could be right.
    let (code, password) = ("123456", password());
    for name in ["dr.osei", "gone", "nobody"] {
        ward.vault.sign_in(name, &password).totp(code).finish().unwrap_err();
        assert_eq!(work::take(), [CHEAP], "{name}");
    }
}

#[test]
fn a_name_that_nobody_has_costs_what_a_name_costs_that_somebody_has_also_where_the_rules_have_changed() {
    let ward = Ward::new();
    ward.enrol("dr.osei");
    let ward = ward.reopened(dear());
    work::take();
    for name in ["dr.osei", "nobody", "somebody"] {
        ward.sign_in(name, &wrong()).unwrap_err();
        assert_eq!(work::take(), [CHEAP], "{name}");
    }
}

#[test]
fn those_who_have_to_wait_cost_nothing() {
    let ward = Ward::new();
    ward.enrol("dr.osei");
    for name in ["dr.osei", "nobody"] {
        (0..5).for_each(|_| drop(ward.sign_in(name, &wrong()).unwrap_err()));
        work::take();
        let answer = ward.sign_in(name, &password());
        assert!(matches!(answer, Err(Error::TryAgain { .. })), "{answer:?}");
        assert_eq!(work::take(), []);
    }
}

#[test]
fn a_password_that_costs_too_little_is_kept_at_the_cost_of_now_once_it_was_used() {
    let ward = Ward::new();
    ward.enrol("dr.osei");
    let ward = ward.reopened(dear());
    drop(ward.sign_in("dr.osei", &wrong()).unwrap_err());
    assert_eq!(ward.cost_kept("dr.osei"), CHEAP);
    work::take();
    drop(ward.sign_in("dr.osei", &password()).unwrap());
    assert_eq!(work::take(), [CHEAP, dear()]);
    assert_eq!(ward.cost_kept("dr.osei"), dear());
    drop(ward.sign_in("dr.osei", &password()).unwrap());
    assert_eq!(work::take(), [dear()]);
    // It is not made cheaper.
    let ward = ward.reopened(CHEAP);
    drop(ward.sign_in("dr.osei", &password()).unwrap());
    assert_eq!((work::take(), ward.cost_kept("dr.osei")), (vec![dear()], dear()));
}

#[test]
fn a_wrong_code_beside_the_right_password_does_not_renew_it() {
    let ward = Ward::new();
    ward.enrol("dr.osei");
    let ward = ward.reopened(dear());
    work::take();
    let password = password();
    ward.vault.sign_in("dr.osei", &password).totp("123456").finish().unwrap_err();
    assert_eq!((work::take(), ward.cost_kept("dr.osei")), (vec![CHEAP], CHEAP));
}

#[test]
fn without_memory_nobody_gets_in_nothing_is_counted_and_renewing_waits() {
    let ward = Ward::new();
    ward.enrol("dr.osei");
    let ward = ward.reopened(dear());
    let before = Left::swap(Left { passphrase_memory: Some(0), ..Left::now() });
    (0..9).for_each(|_| assert!(matches!(ward.sign_in("dr.osei", &password()), Err(Error::NoMemory { .. }))));
    assert!(matches!(ward.sign_in("nobody", &password()), Err(Error::NoMemory { .. })));
    Left::swap(Left { passphrase_memory: Some(1), ..before });
    drop(ward.sign_in("dr.osei", &password()).unwrap());
    assert_eq!(ward.cost_kept("dr.osei"), CHEAP);
    Left::swap(before);
    drop(ward.sign_in("dr.osei", &password()).unwrap());
    assert_eq!(ward.cost_kept("dr.osei"), dear());
}

/// With the commit of the failure undone, a thief of the machine who ends the process after each guess would have them free.
#[test]
fn a_failure_is_kept_before_it_is_answered() {
    let ward = Ward::new();
    ward.enrol("dr.osei");
    let Ward { store, key, vault, .. } = ward;
    let mut vault = vault;
    for _ in 0..5 {
        drop(vault.sign_in("dr.osei", &wrong()).finish().unwrap_err());
        vault.abandon();
        vault = store.open_vault(options(CHEAP)).unwrap().unlock(&key).unwrap();
    }
    let answer = vault.sign_in("dr.osei", &password()).finish();
    assert!(matches!(answer, Err(Error::TryAgain { .. })), "{answer:?}");
}

#[test]
fn names_that_nobody_has_leave_1024_counts_at_most_and_take_no_principals_away() {
    let ward = Ward::new();
    ward.enrol("dr.osei");
    (0..5).for_each(|_| drop(ward.sign_in("dr.osei", &wrong()).unwrap_err()));
    let unlocked = ward.vault.0.gate.enter().unwrap();
    // As if so many had failed, without the work.
    for number in 0..1_030_u32 {
        let of = kdf::principal_id(&format!("nobody-{number}"));
        let failures = crate::policy::Failures::none(of).one_more(Timestamp::from_micros(i64::from(number)));
        let forgotten = unlocked.policy.failures_to_forget().map(|old| crate::policy::Failures::none(old.of));
        for failures in forgotten.into_iter().chain([failures]) {
            let rows = unlocked.failures_row(failures).unwrap().into_iter().collect();
            unlocked.commit(rows, Vec::new()).unwrap();
            unlocked.policy.apply(crate::policy::PolicyRow::Failures(failures));
        }
    }
    let count = |number: u32| unlocked.policy.failures(kdf::principal_id(&format!("nobody-{number}"))).count;
    assert_eq!((0..1_030).filter(|number| count(*number) > 0).count(), 1_024);
    assert_eq!((count(0), count(5), count(6), count(1_029)), (0, 0, 1, 1));
    drop(ward.sign_in("nobody else", &wrong()).unwrap_err());
    assert_eq!(count(6), 0);
    let answer = ward.sign_in("dr.osei", &password());
    assert!(matches!(answer, Err(Error::TryAgain { .. })), "{answer:?}");
    drop(unlocked);
    let ward = ward.reopened(CHEAP);
    let unlocked = ward.vault.0.gate.enter().unwrap();
    let kept = (0..1_030).map(|number| kdf::principal_id(&format!("nobody-{number}")));
    assert_eq!(kept.filter(|of| unlocked.policy.failures(*of).count > 0).count(), 1_023);
}

//! What deciding costs: checking a token of three blocks, and one decision in a vault with 200 roles and 1,000
//! revocations, beside the same in a vault that has neither.

use std::hint::black_box;
use std::time::Duration;

use chartvault::test_util::TestVault;
use chartvault::*;
use criterion::{Criterion, criterion_group, criterion_main};

const DAY: Duration = Duration::from_secs(86_400);

/// A token of three blocks, with a few kinds and patients, that cites `roles`.
fn token(vault: &TestVault, roles: &[RoleRevision]) -> Token {
    let patients = (0..8).map(|number| PatientId::from_bytes([number + 1; 16]));
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = roles.iter().fold(grant, |grant, role| grant.cite(role.role.id(), role.revision));
    let grant = grant.purpose(Purpose::Treatment).valid_for(DAY).issued_at(vault.clock().now());
    let token = grant.sign(vault.issuer(), vault.vault().id()).unwrap();
    let narrow = token.attenuate().issued_at(vault.clock().now()).kind_named("note").kind_named("allergy");
    let narrow = narrow.actions([Action::Read, Action::List]).finish().unwrap();
    narrow.attenuate().issued_at(vault.clock().now()).patients(patients).finish().unwrap()
}

fn role(number: usize) -> Role {
    let role = Role::new(&format!("role {number}")).kinds([Kind::new("note").unwrap(), Kind::new("allergy").unwrap()]);
    role.actions([Action::Read, Action::List]).purposes([Purpose::Treatment])
}

fn deciding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("access");
    let plain = TestVault::new().build().unwrap();
    let bare = token(&plain, &[]);
    group.bench_function("check a token of 3 blocks", |bencher| {
        let received = UnverifiedToken::parse(&bare.expose_bytes()).unwrap();
        let (vault, issuer, now) = (plain.vault().id(), plain.issuer().public(), plain.clock().now());
        bencher.iter(|| received.check(vault, issuer, now).unwrap());
    });
    group.bench_function("read and check a token of 3 blocks", |bencher| {
        let bytes = bare.expose_bytes();
        let (vault, issuer, now) = (plain.vault().id(), plain.issuer().public(), plain.clock().now());
        bencher.iter(|| UnverifiedToken::parse(&bytes).unwrap().check(vault, issuer, now).unwrap());
    });
    let read = Operation::new(Action::Read, Purpose::Treatment)
        .kind_named("note")
        .patient(PatientId::from_bytes([5; 16]))
        .confidentiality(Confidentiality::Normal);
    let session = plain.vault().session(&bare, Purpose::Treatment).unwrap();
    group.bench_function("decide, no roles", |bencher| bencher.iter(|| assert!(session.may(black_box(&read)))));

    let ruled = TestVault::new().build().unwrap();
    let office = ruled.session(&ruled.grant("office").all_patients().all_kinds().actions([Action::Grant])).unwrap();
    let roles: Vec<RoleRevision> = (0..200).map(|number| office.roles().define(&role(number)).unwrap()).collect();
    for number in 0..1_000_u32 {
        let mut rid = [0xE0; 16];
        rid[..4].copy_from_slice(&number.to_be_bytes());
        office.grants().revoke(Revoke::Block(RevocationId::from_bytes(rid)), "bench").unwrap();
    }
    let session = ruled.vault().session(token(&ruled, &roles[196..]), Purpose::Treatment).unwrap();
    group.bench_function("decide, 4 of 200 roles, 1,000 revocations", |bencher| {
        bencher.iter(|| assert!(session.may(black_box(&read))));
    });
    group.finish();
}

criterion_group!(benches, deciding);
criterion_main!(benches);

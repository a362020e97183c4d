//! What an issuer and a holder can and cannot build.

use super::*;
use crate::token::attenuate::AttenuateError;
use crate::token::grant::GrantError;
use crate::token::limits::LimitError;

fn refused(grant: &Grant) -> Option<GrantError> {
    grant.sign(&issuer(), VAULT).err()
}

fn limit(error: LimitError) -> Option<GrantError> {
    Some(GrantError::Limit(error))
}

fn many<T>(count: u8, make: fn([u8; 16]) -> T) -> impl Iterator<Item = T> {
    (1..=count).map(move |id| make([id; 16]))
}

#[test]
fn a_grant_that_leaves_something_out_is_not_signed() {
    let base = || Grant::to("dr.osei").issued_at(NOW);
    let missing = |caveat| Some(GrantError::Missing { caveat });
    let all = || base().all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment).valid_for(HOUR);
    assert_eq!(refused(&all()), None);
    assert_eq!(
        refused(&base().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment).valid_for(HOUR)),
        missing(Caveat::Patients)
    );
    assert_eq!(
        refused(&base().all_patients().actions([Action::Read]).purpose(Purpose::Treatment).valid_for(HOUR)),
        missing(Caveat::Kinds)
    );
    assert_eq!(
        refused(&base().all_patients().all_kinds().purpose(Purpose::Treatment).valid_for(HOUR)),
        missing(Caveat::Actions)
    );
    assert_eq!(
        refused(&base().all_patients().all_kinds().actions([Action::Read]).valid_for(HOUR)),
        missing(Caveat::Purposes)
    );
    assert_eq!(
        refused(&base().all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment)),
        missing(Caveat::NotAfter)
    );
    let nobody = Grant::to("").all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment);
    assert_eq!(refused(&nobody.valid_for(HOUR)), missing(Caveat::Subject));
}

#[test]
fn a_grant_is_modest_by_default() {
    let token = signed(&narrow());
    let items = token.wire().blocks[0].body.items();
    assert!(items.contains(&Item::Sensitivity(Confidentiality::Normal)) && items.contains(&Item::MaxDepth(7)));
    assert_eq!(items.len(), Caveat::MANDATORY.len());
    let by_id =
        Grant::to_principal(kdf::principal_id("dr.osei")).patient(AMA).kind_named("note").actions([Action::Read]);
    let by_id = signed(&by_id.purpose(Purpose::Treatment).issued_at(NOW).valid_for(HOUR));
    assert_eq!(by_id.wire().blocks[0].body.items(), items);
}

#[test]
fn lists_of_32_are_signed_and_of_33_are_not() {
    let too_many = |caveat| limit(LimitError::TooMany { caveat, found: 33, most: 32 });
    assert_eq!(refused(&narrow().patients(many(32, PatientId::from_bytes))), None);
    assert_eq!(refused(&narrow().patients(many(33, PatientId::from_bytes))), too_many(Caveat::Patients));
    // One kind is in the list already.
    assert_eq!(refused(&narrow().kinds(many(31, KindId::from_bytes))), None);
    assert_eq!(refused(&narrow().kinds(many(32, KindId::from_bytes))), too_many(Caveat::Kinds));
    // The same one twice is one.
    assert_eq!(refused(&narrow().patients(many(32, PatientId::from_bytes)).patient(AMA)), None);
}

/// 32 kinds and 32 patients are allowed, but not together: a body has 1,024 bytes.
#[test]
fn a_grant_of_1024_bytes_is_signed_and_no_larger_one() {
    let sized = |patients| {
        refused(&narrow().kinds(many(31, KindId::from_bytes)).patients(many(patients, PatientId::from_bytes)))
    };
    assert_eq!(sized(23), None);
    assert!(matches!(sized(32), Some(GrantError::TooLarge { found: 1025.. })));
    let len = |patients| {
        let grant = narrow().kinds(many(31, KindId::from_bytes)).patients(many(patients, PatientId::from_bytes));
        signed(&grant).wire().blocks[0].body.framed().len() - 2
    };
    let most = (1..=32).rev().find(|patients| sized(*patients).is_none()).unwrap();
    assert!(len(most) <= 1024 && len(most) + 16 > 1024, "{}", len(most));
    assert_eq!(sized(most + 1), Some(GrantError::TooLarge { found: len(most) + 16 }));
    // Exactly 1,024 and 1,025: bodies by themselves, with items of sizes to fit.
    let body = |kinds, patients, mut items: Vec<Item>| {
        items.push(Item::Kinds(Scope::Only(many(kinds, KindId::from_bytes).collect())));
        items.push(Item::Patients(Scope::Only(many(patients, PatientId::from_bytes).collect())));
        Body::new(1, [0; 16], 0, items).map(|body| body.framed().len() - 2)
    };
    assert_eq!(body(32, 29, vec![Item::MaxDepth(0), Item::Mfa { level: 1, oldest: 1 }]), Ok(1024));
    let larger = body(32, 28, vec![Item::NotBefore(1), Item::NotAfter(2), Item::Actions(1)]);
    assert_eq!(larger.map_err(|error| error.found), Err(1025));
}

#[test]
fn lists_that_allow_nothing_are_refused() {
    let base = || Grant::to("dr.osei").issued_at(NOW).valid_for(HOUR);
    let rest = |grant: Grant| grant.actions([Action::Read]).purpose(Purpose::Treatment);
    let empty = |caveat| limit(LimitError::Empty { caveat });
    assert_eq!(refused(&rest(base().patients([]).all_kinds())), empty(Caveat::Patients));
    assert_eq!(refused(&rest(base().all_patients().kinds([]))), empty(Caveat::Kinds));
    assert_eq!(
        refused(&base().all_patients().all_kinds().actions([]).purpose(Purpose::Treatment)),
        empty(Caveat::Actions)
    );
    assert_eq!(
        refused(&base().all_patients().all_kinds().actions([Action::Read]).purposes([])),
        empty(Caveat::Purposes)
    );
}

#[test]
fn all_and_some_contradict_each_other() {
    assert_eq!(refused(&narrow().all_patients()), limit(LimitError::AllAndSome { caveat: Caveat::Patients }));
    assert_eq!(refused(&wide().kind_named("note")), limit(LimitError::AllAndSome { caveat: Caveat::Kinds }));
}

#[test]
fn the_facility_is_no_patient() {
    assert_eq!(refused(&narrow().patient(PatientId::FACILITY)), limit(LimitError::Facility));
    let token = signed(&wide());
    let refused = token.attenuate().issued_at(NOW).patient(PatientId::FACILITY).finish().err();
    assert_eq!(refused, Some(AttenuateError::Limit(LimitError::Facility)));
}

#[test]
fn a_token_that_is_never_valid_is_not_made() {
    let never = limit(LimitError::NeverValid);
    assert_eq!(refused(&narrow().valid_for(Duration::from_millis(999))), never);
    assert_eq!(refused(&narrow().valid_until(NOW)), never);
    assert_eq!(refused(&narrow().not_before(second(NOW_SECONDS + 3600))), never);
    assert_eq!(refused(&narrow().valid_for(Duration::from_secs(1))), None);
    assert_eq!(refused(&narrow().not_before(second(NOW_SECONDS + 3599))), None);
}

#[test]
fn parts_of_seconds_never_lengthen_the_validity() {
    let at = |micros| Timestamp::from_micros(NOW.as_micros() + micros);
    let token = signed(&narrow().issued_at(at(900_000)).not_before(at(1)).valid_for(Duration::from_millis(10_050)));
    let items = token.wire().blocks[0].body.items();
    assert!(items.contains(&Item::NotBefore(NOW_SECONDS + 1)) && items.contains(&Item::NotAfter(NOW_SECONDS + 10)));
}

#[test]
fn sessions_of_no_length_and_impossible_depths_are_refused() {
    assert_eq!(refused(&narrow().idle(Duration::from_millis(999))), limit(LimitError::SessionTooShort));
    assert_eq!(refused(&narrow().longest(Duration::ZERO)), limit(LimitError::SessionTooShort));
    assert_eq!(refused(&narrow().idle(Duration::from_secs(1)).longest(Duration::MAX)), None);
    assert_eq!(refused(&narrow().max_depth(8)), limit(LimitError::DepthTooGreat { found: 8 }));
    assert_eq!(refused(&narrow().max_depth(7)), None);
}

#[test]
fn a_narrowed_token_of_4096_bytes_is_the_largest() {
    let narrowed = |len: usize| {
        let parent = Token::try_from(Raw::of_len(len - 124).read().unwrap()).unwrap();
        parent.attenuate().issued_at(NOW).finish()
    };
    let largest = narrowed(4096).unwrap();
    assert_eq!(largest.expose_bytes().len(), 4096);
    assert!(verify(&largest).is_ok());
    assert_eq!(narrowed(4097).err(), Some(AttenuateError::TokenTooLarge { found: 4097 }));
}

#[test]
fn a_narrowing_block_of_more_than_1024_bytes_is_not_made() {
    let wide = signed(&wide());
    let new =
        wide.attenuate().issued_at(NOW).kinds(many(32, KindId::from_bytes)).patients(many(32, PatientId::from_bytes));
    assert!(matches!(new.finish(), Err(AttenuateError::BlockTooLarge { found: 1060 })));
}

#[test]
fn narrowing_leaves_the_parent_as_it_was_and_gives_ids_of_its_own() {
    let parent = signed(&wide());
    let before = parent.expose_text();
    let (one, other) = (deepen_once(&parent), deepen_once(&parent));
    assert_eq!(parent.expose_text(), before);
    assert_eq!((one.revocation_ids()[0], other.revocation_ids()[0]), (parent.id(), parent.id()));
    assert!(one.id() != other.id() && one.id() != parent.id());
    assert!(verify(&one).is_ok() && verify(&other).is_ok() && verify(&parent).is_ok());
}

fn deepen_once(token: &Token) -> Token {
    token.attenuate().issued_at(NOW).finish().unwrap()
}

/// A holder has nothing but the text.
#[test]
fn a_token_read_from_its_text_can_be_narrowed() {
    let text = signed(&wide()).expose_text();
    let token = Token::from_text(&text).unwrap();
    let narrow = token.attenuate().issued_at(NOW).patient(AMA).actions([Action::Read]).finish().unwrap();
    let received = UnverifiedToken::from_text(&narrow.expose_text()).unwrap();
    let verified = verify(&received).unwrap();
    assert_eq!(verified.decide(&request()), Ok(()));
    let other = Request { patient: Reach::One(BEN), ..request() };
    assert_eq!(verified.decide(&other).unwrap_err().reason, DenyReason::Patient);
}

#[test]
fn without_a_given_time_the_systems_counts() {
    use crate::clock::{Clock, SystemClock};
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment);
    let token = grant.valid_for(HOUR).sign(&issuer(), VAULT).unwrap();
    let token = token.attenuate().valid_for(Duration::from_secs(60)).finish().unwrap();
    assert!(verify_at(&token, SystemClock.now()).is_ok());
    assert!(verify_at(&token, SystemClock.now().saturating_add(Duration::from_secs(61))).is_err());
}

//! Roles, denials, emergencies.

use std::time::Duration;

use super::*;

/// A session of somebody who looks after rights.
fn office(ward: &Ward, name: &str) -> Session {
    let actions = [Action::Grant, Action::Review, Action::Audit, Action::Operate];
    ward.clinic.session(&ward.clinic.grant(name).all_kinds().actions(actions)).unwrap()
}

#[test]
fn a_role_that_cannot_be_is_refused_and_one_that_is_not_there_is_named() {
    let ward = Ward::new();
    let office = office(&ward, "a.lund");
    let refused = office.roles().define(&Role::new("idle"));
    assert!(matches!(refused, Err(Error::Role(InvalidRole::Empty { what: "action", .. }))), "{refused:?}");
    advises(refused, "lists no action");
    let refused = office.roles().revisions("idle");
    assert!(matches!(refused, Err(Error::NoSuchRole { revision: None, .. })), "{refused:?}");
    advises(refused, "list its roles");
}

#[test]
fn a_ticket_of_no_denial_is_not_explained() {
    let ward = Ward::new();
    let refused = office(&ward, "a.lund").explain(Ticket::from_bytes([7; 16]));
    assert!(matches!(refused, Err(Error::NoSuchTicket { .. })), "{refused:?}");
    advises(refused, "query the log for denials");
}

#[test]
fn a_case_is_reviewed_once_and_by_somebody_else() {
    let ward = Ward::new();
    let actions = [Action::Review];
    let grant = ward.clinic.grant("n.adu").all_kinds().actions(actions).purpose(Purpose::BreakGlass);
    let grant = grant.emergency([Action::Read], Confidentiality::Normal, Duration::from_secs(60));
    let nurse = ward.clinic.session(&grant).unwrap();
    nurse.break_glass(ward.patient, EmergencyReason::Other, "alarm").unwrap();
    let review = office(&ward, "a.lund");
    let case = review.cases().list(CaseState::Open, None).unwrap()[0].id;
    let refused = nurse.cases().close(case, Verdict::Justified, "it was");
    assert!(matches!(refused, Err(Error::OwnCase { .. })), "{refused:?}");
    advises(refused, "somebody else has to review it");
    review.cases().close(case, Verdict::Justified, "it was").unwrap();
    let refused = review.cases().close(case, Verdict::Justified, "it was");
    assert!(matches!(refused, Err(Error::CaseClosed { .. })), "{refused:?}");
    advises(refused, "there is nothing to do");
    let refused = review.cases().get(CaseId::from_bytes([7; 16]));
    assert!(matches!(refused, Err(Error::NoSuchCase { .. })), "{refused:?}");
    advises(refused, "list the cases");
}

#[test]
fn a_flag_is_closed_once_and_by_somebody_else_and_nobody_suppresses_their_own() {
    let ward = Ward::new();
    let vault = ward.clinic.vault();
    vault.set_monitoring(MonitoringRules::new(), ward.clinic.key()).unwrap();
    let actions = [Action::Review];
    let grant = ward.clinic.grant("n.adu").all_kinds().actions(actions).purpose(Purpose::BreakGlass);
    let grant = grant.emergency([Action::Read], Confidentiality::Normal, Duration::from_secs(60));
    let nurse = ward.clinic.session(&grant).unwrap();
    nurse.break_glass(ward.patient, EmergencyReason::Other, "alarm").unwrap();
    vault.monitor_now().unwrap();
    let review = office(&ward, "a.lund");
    let flag = review.flags().list(FlagState::Open, None).unwrap()[0].id;
    let refused = nurse.flags().close(flag, FlagVerdict::Explained, "it was");
    assert!(matches!(refused, Err(Error::Flag(FlagError::OwnFlag { .. }))), "{refused:?}");
    advises(refused, "somebody else has to look into it");
    review.flags().close(flag, FlagVerdict::Explained, "it was").unwrap();
    let refused = review.flags().close(flag, FlagVerdict::Explained, "it was");
    assert!(matches!(refused, Err(Error::Flag(FlagError::Closed { .. }))), "{refused:?}");
    advises(refused, "there is nothing to do");
    let refused = review.flags().get(FlagId::from_bytes([7; 16]));
    assert!(matches!(refused, Err(Error::Flag(FlagError::NoSuchFlag { .. }))), "{refused:?}");
    advises(refused, "list the flags");
    let own = Suppressor::new(Timestamp::MAX, "me").actor(review.principal());
    let refused = review.flags().suppress(&own);
    assert!(matches!(refused, Err(Error::Flag(FlagError::OwnSuppressor))), "{refused:?}");
    advises(refused, "have somebody else decide");
    let refused = review.flags().lift(3);
    assert!(matches!(refused, Err(Error::Flag(FlagError::NoSuchSuppressor { number: 3 }))), "{refused:?}");
    advises(refused, "list them");
}

#[test]
fn a_key_that_was_revoked_is_never_trusted_again() {
    let clinic = TestVault::new().passphrase(PASSPHRASE).build().unwrap();
    let (key, pass) = (IssuerKey::generate().unwrap().public(), Passphrase::new(PASSPHRASE));
    clinic.vault().distrust_issuer(key.id(), "stolen", &pass).unwrap();
    let refused = clinic.vault().trust_issuer(key, &pass);
    assert!(matches!(refused, Err(Error::WasRevoked { what: Revoke::Issuer(_), .. })), "{refused:?}");
    advises(refused, "make another key");
}

#[test]
fn a_grant_that_is_not_known_is_named_and_a_list_that_cannot_be_written_is_an_error() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let ward = Ward::new();
    let office = office(&ward, "a.lund");
    let refused = office.grants().get(RevocationId::from_bytes([7; 16]));
    assert!(matches!(refused, Err(Error::NoSuchGrant { .. })), "{refused:?}");
    advises(refused, "list the grants");
    let refused = office.grants().live().export(TableFormat::Json, &mut Full);
    assert!(matches!(refused, Err(Error::Output(_))), "{refused:?}");
    advises(refused, "write it again");
}

#[test]
fn a_review_is_closed_by_others_once_each_grant_is_decided_over() {
    let ward = Ward::new();
    let (lund, bo) = (office(&ward, "a.lund"), office(&ward, "m.bo"));
    let refused = lund.reviews().get(1);
    assert!(matches!(refused, Err(Error::NoSuchReview { review: 1 })), "{refused:?}");
    advises(refused, "list the reviews");
    let grant = |name: &str, actions: &[Action]| {
        let token = ward.clinic.token(&ward.clinic.grant(name).all_kinds().actions(actions.iter().copied())).unwrap();
        lund.grants().register(&token, "").unwrap().id
    };
    let (narrow, wide) = (grant("n.adu", &[Action::Read]), grant("n.adu", &[Action::Read, Action::List]));
    lund.reviews().open(ward.clinic.clock().now(), "").unwrap();
    let refused = lund.reviews().close(1);
    assert!(matches!(refused, Err(Error::ReviewUnfinished { review: 1, .. })), "{refused:?}");
    advises(refused, "decide over them");
    let own = lund.grants().of(lund.principal()).page().unwrap().grants[0].id;
    let refused = lund.reviews().decide(1, own, ReviewDecision::Keep, "");
    assert!(matches!(refused, Err(Error::OwnGrant { .. })), "{refused:?}");
    advises(refused, "somebody else has to decide");
    let refused = lund.reviews().decide(1, narrow, ReviewDecision::Narrow { to: wide }, "");
    assert!(matches!(refused, Err(Error::NoReplacement { .. })), "{refused:?}");
    advises(refused, "register one that can");
    lund.reviews().decide(1, narrow, ReviewDecision::Revoke, "").unwrap();
    let refused = lund.reviews().decide(1, narrow, ReviewDecision::Keep, "");
    assert!(matches!(refused, Err(Error::GrantEnded { .. })), "{refused:?}");
    advises(refused, "counts it as settled");
    for item in lund.reviews().items(1).page().unwrap().items.into_iter().filter(ReviewItem::is_left) {
        let by = if item.subject == lund.principal() { &bo } else { &lund };
        by.reviews().decide(1, item.grant, ReviewDecision::Keep, "").unwrap();
    }
    lund.reviews().close(1).unwrap();
    let refused = lund.reviews().close(1);
    assert!(matches!(refused, Err(Error::ReviewClosed { review: 1, .. })), "{refused:?}");
    advises(refused, "decide in one that is open");
}

#[test]
fn a_sink_of_no_name_is_refused_and_a_log_is_not_followed_from_behind_its_end() {
    let clinic = TestVault::new().passphrase(PASSPHRASE).build().unwrap();
    let pass = Passphrase::new(PASSPHRASE);
    let sink = Box::new(SyslogSink::udp((std::net::Ipv4Addr::LOCALHOST, 9).into()));
    let refused = clinic.vault().attach_sink("", sink, SinkPolicy::BestEffort, &pass);
    assert!(matches!(refused, Err(Error::Sink(SinkFault::Name { len: 0 }))), "{refused:?}");
    advises(refused, "choose another");
    let refused = clinic.vault().detach_sink("siem", &pass);
    assert!(matches!(refused, Err(Error::Sink(SinkFault::Unknown { .. }))), "{refused:?}");
    advises(refused, "list its sinks");
    let refused = office(&Ward::new(), "a.lund").audit().unwrap().subscribe(AuditFilter::new()).from(1_000);
    assert!(matches!(refused, Err(Error::LogEndsBefore { from: 1_000, .. })), "{refused:?}");
    advises(refused, "restore the newer one");
}

#[test]
fn only_whole_tiles_of_the_log_are_archived_and_only_a_hold_that_stands_is_lifted() {
    let ward = Ward::new();
    let auditor = office(&ward, "a.lund");
    let refused = auditor.audit().unwrap().archive(0..255, &mut Vec::new());
    assert!(matches!(refused, Err(Error::LogArchive(LogArchiveError::NotWhole { .. }))), "{refused:?}");
    advises(refused, "begin and end at multiples of 256");
    let refused = auditor.audit().unwrap().lift_log_hold(LogHoldId::from_bytes([7; 16]), "closed");
    assert!(matches!(refused, Err(Error::NoSuchLogHold { .. })), "{refused:?}");
    advises(refused, "ask for the retention of the log");
}

#[test]
fn a_log_is_pruned_by_two_and_only_where_nothing_keeps_it_and_then_begins_later() {
    let ward = Ward::new();
    let (auditor, second) = (office(&ward, "a.lund"), office(&ward, "s.berg"));
    while auditor.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap().entries[0].seq < 260 {}
    let mut file = Vec::new();
    auditor.audit().unwrap().archive(0..256, &mut file).unwrap();
    let refused = auditor.audit().unwrap().prune(&mut &file[..], &second);
    assert!(matches!(refused, Err(Error::LogPrune(LogPruneError::ForEver))), "{refused:?}");
    advises(refused, "set other terms");
    let terms = LogRetention::however_short(std::time::Duration::from_secs(1));
    ward.clinic.vault().set_log_retention(terms, ward.clinic.key()).unwrap();
    ward.clinic.clock().step(5);
    auditor.audit().unwrap().prune(&mut &file[..], &second).unwrap();
    let refused = auditor.audit().unwrap().subscribe(AuditFilter::new()).from(7);
    assert!(matches!(refused, Err(Error::LogBeginsAfter { from: 7, first: 256 })), "{refused:?}");
    advises(refused, "see their archive");
}

#[test]
fn a_checkpoint_of_another_log_proves_nothing() {
    let ward = Ward::new();
    let text = format!("example.org/log\n1\n{}=\n\n\u{2014} a AAAAAAAA\n", "A".repeat(43));
    let checkpoint: Checkpoint = text.parse().unwrap();
    let refused = office(&ward, "a.lund").audit().unwrap().prove(0, &checkpoint);
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::OtherLog))), "{refused:?}");
    advises(refused, "ask that vault");
}

//! What happens where no more grants can be kept.

use std::sync::Arc;
use std::time::Duration;

use crate::policy::{GrantRow, PolicyRow};
use crate::token::StoredGrant;
use crate::{Action, Error, Grant, IssuerKey, Purpose, RawKey, Vault};

#[test]
fn sessions_open_where_there_is_no_room_to_keep_their_grant_and_what_is_registered_has_room_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path().join("v")).raw_key(&key).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let token = || {
        let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(60)).sign(&issuer, vault.id()).unwrap()
    };
    let first = vault.session(token(), Purpose::Treatment).unwrap();
    let fill = |registered: bool, but: usize| {
        // Rows as large as none is, so that one is enough.
        let unlocked = vault.0.gate.enter().unwrap();
        let row = |note: usize| {
            let grant = StoredGrant::claimed(&token().expose_bytes());
            let (since, registered_by) = (unlocked.clock.now(), registered.then(|| first.principal()));
            Arc::new(GrantRow { grant, since, registered_by, note: "x".repeat(note) })
        };
        let (full, overhead) = (unlocked.policy.room_for_grants(registered), row(0).len());
        unlocked.policy.apply(PolicyRow::Grant(row(full - (1 + but) * overhead)));
        assert_eq!(unlocked.policy.room_for_grants(registered), but * overhead);
    };
    fill(false, 1);
    // There is room for exactly one more.
    let kept = token();
    vault.session(&kept, Purpose::Treatment).unwrap();
    assert!(first.grants().get(kept.id()).is_ok());
    let beyond = token();
    let session = vault.session(&beyond, Purpose::Treatment).unwrap();
    assert!(matches!(session.grants().get(beyond.id()), Err(Error::NoSuchGrant { .. })));
    let log = session.audit().unwrap().query(crate::AuditFilter::new().event(crate::AuditEvent::SessionOpened));
    let said = log.limit(1).page().unwrap().entries[0].detail.clone();
    assert_eq!(said.as_deref(), Some("no room to keep the grant"));
    // Whoever narrows without end keeps nobody from registering.
    assert_eq!(session.grants().register(&beyond, "").unwrap().id, beyond.id());
    fill(true, 0);
    let refused = session.grants().register(token(), "");
    assert!(matches!(refused, Err(Error::TooMany { limit: 0, .. })), "{refused:?}");
}

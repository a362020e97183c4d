//! A clock that jumps: nothing goes on until it is right, and then a credential sets things right.

use crate::support;

use chartvault::*;
use support::{House, note};

#[test]
fn after_a_jump_ahead_a_credential_resets_the_time_seen() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("one")).unwrap();
    let decade = 10 * 365 * 86_400;
    house.clock.step(decade);
    drop(session.get(id)); // expired, and logged ten years ahead
    house.clock.step(-decade);
    assert!(matches!(session.get(id), Err(Error::ClockRollback { .. })));
    let wrong = RawKey::generate().unwrap();
    assert!(matches!(vault.reset_clock(&wrong), Err(Error::Unlock(UnlockError::WrongCredential))));
    assert!(matches!(session.get(id), Err(Error::ClockRollback { .. })));

    vault.reset_clock(&house.key).unwrap();
    assert_eq!(session.get(id).unwrap().value, note("one"));
    house.clock.step(-121);
    assert!(matches!(session.get(id), Err(Error::ClockRollback { .. })), "from the reset on it counts again");
    house.clock.step(121);

    let before = session.put(patient, &note("two")).unwrap();
    assert!(
        session.get(before).unwrap().recorded_at < house.clock.now().saturating_add(std::time::Duration::from_secs(1))
    );
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(session.get(before).unwrap().value, note("two"), "the reset outlives the process");
    let log = support::whole_log(&session);
    let resets: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::ClockReset).collect();
    assert_eq!(resets.iter().map(|entry| entry.outcome).collect::<Vec<_>>(), [Outcome::Denied, Outcome::Allowed]);
    assert!(log.is_sorted_by_key(|entry| entry.time), "entries' times never go back");
    session.audit().unwrap().verify(Scope::All).run().unwrap();

    house.clock.step(decade + 86_400);
    let later = house.session(&vault);
    later.get(id).unwrap();
    house.clock.step(-decade);
    assert!(matches!(later.get(id), Err(Error::ClockRollback { .. })), "once caught up, a new jump needs a new reset");
}

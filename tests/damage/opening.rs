//! What opening a vault had to mend stands in its log.

use crate::support;

use chartvault::*;
use support::{House, whole_log};

#[test]
fn trees_that_were_rebuilt_stand_in_the_log_even_after_a_proper_close() {
    let (house, vault) = House::create();
    vault.close().unwrap();
    std::fs::remove_dir_all(house.path().join("sled-1")).unwrap();
    let vault = house.open();
    assert!(vault.opening().clean && vault.opening().rebuilt.is_some());
    let log = whole_log(&house.session(&vault));
    let mended: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::Recovered).collect();
    assert_eq!(mended.len(), 1);
    assert!(mended[0].detail.as_ref().unwrap().contains("rebuilt"), "{mended:?}");
}

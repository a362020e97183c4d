//! A second machine that follows the backups and takes over.

use crate::support;

use chartvault::*;
use support::offsite::{Offsite, all_are_there, is_sound};

#[test]
fn a_second_machine_follows_and_takes_over() {
    let site = Offsite::new();
    let key = site.vault.backup_key().unwrap();
    let place = site.place("standby");
    let follow = || Vault::restore(&site.target).options(site.house.options()).follow_into(&place, &key).unwrap();
    let (_, mut notes) = site.patient(300);
    site.backup().run().unwrap();
    let first = follow();
    for _ in 0..3 {
        notes.extend(site.patient(0).1);
        let made = site.backup().run().unwrap();
        let followed = follow();
        assert_eq!((followed.manifest, followed.entries), (made.manifest, made.entries));
        assert_eq!(followed.copied, made.journal_bytes);
        assert!(followed.copied * 5 < first.copied);
        assert_eq!(follow().copied, 0);
    }
    // It is no vault before it is told to be.
    assert!(matches!(site.house.open_at(&place), Err(Error::RestoreUnfinished { .. })));
    let (last, more) = site.patient(5);
    site.backup().run().unwrap();
    let restored = site.restore().into(&place, &site.house.key).unwrap();
    assert_eq!(restored.manifest, 5);
    let (vault, session) = site.open(&place);
    all_are_there(&session, &notes);
    all_are_there(&session, &more);
    is_sound(&vault);
    // From now on backups are the second machine's, and the first one hears of it.
    session.put(last, &support::note("on the second machine")).unwrap();
    vault.backup(&site.target).packs_to(&site.packs).run().unwrap();
    site.patient(1);
    let fenced = site.backup().run();
    assert!(matches!(fenced, Err(Error::Backup(BackupFault::NotOurs { .. }))), "{fenced:?}");
}

#[test]
fn a_copy_that_begins_anew_is_followed_from_its_beginning() {
    let site = Offsite::new();
    let key = site.vault.backup_key().unwrap();
    let place = site.place("standby");
    let follow = || Vault::restore(&site.target).follow_into(&place, &key).unwrap();
    let (_, notes) = site.patient(300);
    site.backup().run().unwrap();
    follow();
    site.vault.compact().unwrap();
    let anew = site.backup().from_the_beginning().run().unwrap();
    assert_eq!(follow().copied, anew.journal_bytes);
    site.restore().into(&place, &site.house.key).unwrap();
    let (vault, session) = site.open(&place);
    all_are_there(&session, &notes);
    is_sound(&vault);
}

#[test]
fn what_another_key_signed_is_not_followed() {
    let (site, other) = (Offsite::new(), Offsite::new());
    site.backup().run().unwrap();
    let key = other.vault.backup_key().unwrap();
    let refused = Vault::restore(&site.target).follow_into(site.place("standby"), &key);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Unsigned { .. }))), "{refused:?}");
}

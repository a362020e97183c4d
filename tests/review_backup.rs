//! Backups and restores, attacked: at odd moments, and by targets that lie.

mod support;

use chartvault::*;
use support::note;
use support::offsite::Offsite;

/// A target that does something before each object it takes.
struct Meanwhile<'t, F: Fn() + Send + Sync>(&'t FolderTarget, F);

impl<F: Fn() + Send + Sync> BackupTarget for Meanwhile<'_, F> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        (self.1)();
        self.0.put_new(name, bytes)
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.0.get(name, limit)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        self.0.list(prefix, each)
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        self.0.delete(name)
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

#[test]
fn what_was_written_while_a_key_pack_was_made_is_in_the_state_of_that_time() {
    let site = Offsite::new();
    let (patient, _) = site.patient(1);
    site.house.clock.step(60);
    let packs = Meanwhile(&site.packs, || {
        site.house.clock.step(60);
        site.session().put(patient, &note("written meanwhile")).unwrap();
    });
    site.vault.backup(&site.target).packs_to(&packs).run().unwrap();
    let time = site.house.clock.now();
    site.house.clock.step(60);
    site.patient(1);
    site.backup().run().unwrap();
    let (_, _, session) = site.restored("restored", site.restore().to(RestorePoint::Time(time))).unwrap();
    assert_eq!(session.list::<support::Note>(patient).limit(10).page().unwrap().entries.len(), 2);
}

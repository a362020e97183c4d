//! Backups to two targets that share a place for key packs, in any order with all that changes keys, and with machines that die
//! anywhere: the newest whole backup at each target can be restored at any time, and nobody who was erased is back.
//!
//! `CHARTVAULT_SEEDS=100..200` runs other sequences than usual.

use crate::support;

use std::collections::BTreeMap;

use chartvault::*;
use support::Note;
use support::offsite::{Killed, Offsite, all_are_there, is_sound};

/// A sequence of numbers that a seed gives (SplitMix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

type Charts = BTreeMap<PatientId, Vec<RecordId<Note>>>;

/// What a target has to give back.
#[derive(Default)]
struct Promised {
    /// By manifests that may be whole: the charts of then.
    states: BTreeMap<u64, Charts>,
}

struct Sequence {
    site: Offsite,
    targets: [FolderTarget; 2],
    promised: [Promised; 2],
    charts: Charts,
    /// Erased, and whether a key pack was made since.
    erased: BTreeMap<PatientId, bool>,
    /// Credentials that open, by their slots.
    others: Vec<(u8, RawKey)>,
    /// Credentials that did, and whether a key pack was made since.
    removed: Vec<(RawKey, bool)>,
    places: u64,
}

impl Sequence {
    fn new() -> Self {
        let site = Offsite::new();
        let away = FolderTarget::create(site.place("away")).unwrap();
        let targets = [FolderTarget::open(site.disk()).unwrap(), away];
        let (promised, charts) = (Default::default(), Charts::new());
        Self {
            site,
            targets,
            promised,
            charts,
            erased: BTreeMap::new(),
            others: Vec::new(),
            removed: Vec::new(),
            places: 0,
        }
    }

    fn step(&mut self, draws: &mut Draws) -> String {
        let key = &self.site.house.key;
        let vault = &self.site.vault;
        match draws.below(15) {
            0 | 1 => {
                let (patient, notes) = self.site.patient(usize::try_from(draws.below(6)).unwrap());
                self.charts.insert(patient, notes);
                "a patient".to_owned()
            }
            2..=5 => {
                let target = usize::try_from(draws.below(2)).unwrap();
                let calls = if draws.below(2) == 0 { i64::MAX } else { i64::try_from(draws.below(14)).unwrap() };
                let at_packs = draws.below(2) == 0;
                let again = draws.below(5) == 0;
                self.back_up(target, (calls, at_packs, draws.below(2) == 0), again)
            }
            6 | 7 => {
                vault.rotate_data_key(key, &mut |_| ()).unwrap();
                "data key rotated".to_owned()
            }
            8 => {
                vault.begin_data_rotation(key).unwrap();
                "data rotation begun".to_owned()
            }
            9 => {
                vault.rotate_wrap_key(key, &mut |_| ()).unwrap();
                "wrap key rotated".to_owned()
            }
            10 => {
                vault.rotate_audit_key(key).unwrap();
                vault.compact().unwrap();
                "audit key rotated, journal compacted".to_owned()
            }
            11 => {
                let other = RawKey::generate().unwrap();
                self.others.push((vault.add_slot(NewSlot::of(&other), key).unwrap(), other));
                "a slot more".to_owned()
            }
            12 if !self.others.is_empty() => {
                let (slot, other) = self.others.remove(0);
                vault.remove_slot(slot, key).unwrap();
                self.removed.push((other, false));
                "a slot less".to_owned()
            }
            13 => {
                vault.rotate_root_key(&[key.into()]).unwrap();
                self.removed.extend(self.others.drain(..).map(|(_, other)| (other, false)));
                "root key rotated".to_owned()
            }
            _ => {
                let Some(patient) = self.charts.keys().next().copied() else { return "nobody to erase".to_owned() };
                self.charts.remove(&patient);
                self.site.erase(patient);
                self.erased.insert(patient, false);
                "somebody erased".to_owned()
            }
        }
    }

    fn back_up(&mut self, at: usize, (calls, at_packs, after_effect): (i64, bool, bool), again: bool) -> String {
        let never = i64::MAX;
        let target = Killed::at(&self.targets[at], if at_packs { never } else { calls }, after_effect);
        let packs = Killed::at(&self.site.packs, if at_packs { calls } else { never }, after_effect);
        let backup = self.site.vault.backup(&target).packs_to(&packs);
        let made = if again { backup.from_the_beginning().run() } else { backup.run() };
        let key = self.site.vault.backup_key().unwrap();
        let newest = BackupPoint::list(&self.targets[at], Some(&key)).unwrap().pop();
        let newest = newest.filter(|newest| newest.is_whole).map(|newest| newest.manifest);
        let promised = &mut self.promised[at];
        if let Some(number) = newest.filter(|newest| !promised.states.contains_key(newest)) {
            promised.states.insert(number, self.charts.clone());
        }
        if let Ok(made) = &made {
            assert_eq!(newest, Some(made.manifest));
            assert!(packs.was_met() || made.older_packs.is_empty(), "{made}");
            assert!(packs.was_met() || self.packs() == 1 + made.needed_packs.len(), "{made}");
            let removed = self.removed.iter_mut().map(|(_, known)| known);
            self.erased.values_mut().chain(removed).for_each(|known| *known = true);
        }
        format!("backup to {at}: {}", made.map_or_else(|error| error.to_string(), |made| made.to_string()))
    }

    fn packs(&self) -> usize {
        let packs = std::fs::read_dir(self.site.safe().join("packs")).unwrap();
        packs.filter(|pack| pack.as_ref().unwrap().path().join("whole").exists()).count()
    }

    /// Restores the newest from each target.
    fn check(&mut self) {
        for (target, promised) in self.targets.iter().zip(&self.promised) {
            let Some((number, charts)) = promised.states.last_key_value() else { continue };
            self.places += 1;
            let place = format!("restored {}", self.places);
            let restore = || Vault::restore(target).packs_from(&self.site.packs).options(self.site.house.options());
            for (removed, _) in self.removed.iter().filter(|(_, known)| *known) {
                let refused = restore().into(self.site.place("refused"), removed);
                assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
            }
            let (restored, vault, session) = self.site.restored(&place, restore()).unwrap();
            assert_eq!(restored.manifest, *number);
            for (patient, notes) in charts {
                match self.erased.get(patient) {
                    None => all_are_there(&session, notes),
                    Some(true) => {
                        assert!(session.list::<Note>(*patient).limit(1).page().is_err(), "somebody erased is back")
                    }
                    // Not before there is another backup.
                    Some(false) => {}
                }
            }
            is_sound(&vault);
            drop((vault, session));
            std::fs::remove_dir_all(self.site.place(&place)).unwrap();
        }
    }
}

#[test]
fn the_newest_whole_backup_of_each_target_comes_back_whatever_was_done_in_between() {
    let seeds = std::env::var("CHARTVAULT_SEEDS").ok();
    let (from, to) = seeds.as_deref().map_or(("0", "6"), |seeds| seeds.split_once("..").unwrap());
    for seed in from.parse::<u64>().unwrap()..to.parse().unwrap() {
        let (mut draws, mut sequence) = (Draws(seed), Sequence::new());
        println!("seed {seed}");
        for number in 0..30 {
            println!("  {number}: {}", sequence.step(&mut draws));
            if number % 3 == 2 {
                sequence.check();
            }
        }
    }
}

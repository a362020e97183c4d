//! The whole way of a vault through a bucket: backed up, verified, rehearsed, brought back, with a network that fails and
//! a process that is killed at every step.

use std::sync::atomic::{AtomicU32, Ordering};

use chartvault::*;

use super::proxy::{Fate, Proxy, status};
use super::server::{Server, new_target, server};
use crate::support::note;
use crate::support::offsite::{Killed, Offsite, all_are_there, is_sound, text};

/// A site whose backups and key packs go to two buckets.
fn site(server: &Server, name: &str) -> (Offsite, StoreTarget, StoreTarget) {
    (Offsite::new(), server.target(name), server.target(&format!("{name}-packs")))
}

#[test]
fn a_vault_goes_through_a_bucket_and_comes_back() {
    let Some(server) = server() else { return };
    let (site, target, packs) = site(server, "clinic");
    let (gone, _) = site.patient(5);
    let (patient, notes) = site.patient(60);
    let office = BackupIdentity::generate();
    let backup = || site.vault.backup(&target).packs_to(&packs).seal_to(office.recipient()).run().unwrap();
    assert!(backup().from_the_beginning);
    let mut states = Vec::new();
    for number in 60..64 {
        site.house.clock.step(3_600);
        site.session().put(patient, &note(&text(number))).unwrap();
        states.push((site.house.clock.now(), backup()));
    }
    assert!(states.iter().all(|(_, made)| !made.from_the_beginning && made.objects == 1));

    let key = site.vault.backup_key().unwrap();
    let check = || BackupCheck::of(&target).signed_by(key.clone()).identity(office.clone()).run().unwrap();
    let found = check();
    assert!(found.is_sound() && found.looked_inside, "{found}");

    let drill = site.vault.drill(&target).packs_from(&packs).identity(office.clone()).records(10);
    let report = drill.run(&site.house.key).unwrap();
    assert!(report.is_sound() && report.matches_live, "{report}");

    site.erase(gone);
    backup();
    let restore = || Vault::restore(&target).packs_from(&packs).identity(office.clone()).options(site.house.options());
    for (number, (time, _)) in states.iter().enumerate() {
        let at = restore().to(RestorePoint::Time(*time));
        let (_, vault, session) = site.restored(&format!("at-{number}"), at).unwrap();
        let found = session.list::<crate::support::Note>(patient).limit(1_000).page().unwrap().entries.len();
        assert_eq!(found, 61 + number);
        all_are_there(&session, &notes);
        assert_eq!(vault.erasures().unwrap().len(), 1);
        is_sound(&vault);
    }

    // A byte flipped in every object is found without keys, and named: in a copy of the bucket.
    let names = super::names(&target, "");
    let objects: Vec<&String> = names.iter().filter(|name| name.starts_with("objects/")).collect();
    assert!(objects.len() >= 6);
    for bad in objects {
        let prefix = bad.replace("objects/", "copy-");
        let folder = FolderTarget::create(site.place(&prefix)).unwrap();
        for name in names.iter().filter(|name| !name.starts_with("packs/")) {
            let mut bytes = target.get(name, 20 << 20).unwrap();
            if name == bad {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            folder.put_new(name, &bytes).unwrap();
        }
        let found = BackupCheck::of(&folder).signed_by(key.clone()).run().unwrap();
        let named: Vec<_> = found.findings.iter().map(|finding| finding.object.as_ref()).collect();
        assert_eq!(named, [Some(bad)], "{:?}", found.findings);
    }
}

#[test]
fn every_tenth_request_fails_and_the_vault_comes_back_whole() {
    let Some(server) = server() else { return };
    let (site, ..) = site(server, "shaky-clinic");
    let failed = std::sync::Arc::new(AtomicU32::new(0));
    let count = failed.clone();
    let proxy = Proxy::new(server.port, move |asked| {
        if asked.before % 10 != 9 {
            return Fate::Pass;
        }
        match count.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => status("503 Service Unavailable", "SlowDown"),
            1 => Fate::CutBefore,
            2 => Fate::CutAfter,
            _ => Fate::CutMidway,
        }
    });
    let target = new_target(proxy.port, "shaky-clinic").open().unwrap();
    let packs = new_target(proxy.port, "shaky-clinic-packs").open().unwrap();
    let (_, mut notes) = site.patient(30);
    for _ in 0..12 {
        notes.extend(site.patient(0).1);
        site.vault.backup(&target).packs_to(&packs).run().unwrap();
    }
    let found = BackupCheck::of(&target).signed_by(site.vault.backup_key().unwrap()).run().unwrap();
    assert!(found.is_sound(), "{found} {:?}", found.findings);
    let restore = Vault::restore(&target).packs_from(&packs).options(site.house.options());
    let (_, vault, session) = site.restored("back", restore).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
    assert!(failed.load(Ordering::SeqCst) > 5);
}

#[test]
fn killed_at_every_step_and_run_again() {
    let Some(server) = server() else { return };
    let mut calls = 0;
    loop {
        let (site, target, packs) = site(server, &format!("killed-{calls}"));
        let (_, notes) = site.patient(10);
        site.vault.backup(&target).packs_to(&packs).run().unwrap();
        site.vault.rotate_wrap_key(&site.house.key, &mut |_| ()).unwrap();
        let after_effect = calls % 2 == 1;
        let (killed, killed_packs) =
            (Killed::at(&target, calls / 2, after_effect), Killed::at(&packs, calls / 2, after_effect));
        let _ = site.vault.backup(&killed).packs_to(&killed_packs).run();
        let met = killed.was_met() || killed_packs.was_met();
        site.vault.backup(&target).packs_to(&packs).run().unwrap();
        let place = site.place("back");
        let (from, from_packs) = (Killed::at(&target, calls / 2, false), Killed::at(&packs, calls / 2, false));
        let _ =
            Vault::restore(&from).packs_from(&from_packs).options(site.house.options()).into(&place, &site.house.key);
        if !place.join("header.a").exists() || place.join("restoring").exists() {
            let restore = Vault::restore(&target).packs_from(&packs).options(site.house.options());
            restore.into(&place, &site.house.key).unwrap();
        }
        let (vault, session) = site.open(&place);
        all_are_there(&session, &notes);
        is_sound(&vault);
        calls += 1;
        if !met {
            break;
        }
    }
    assert!(calls > 8, "{calls}");
}

#[test]
fn what_is_locked_can_be_hidden_and_not_destroyed() {
    let Some(server) = server() else { return };
    assert_eq!(server.tell("locked vault-locked"), "ok");
    let site = Offsite::new();
    let (_, notes) = site.patient(10);
    let target = new_target(server.port, "vault-locked").open().unwrap();
    site.vault.backup(&target).packs_to(&site.packs).run().unwrap();
    let name = super::names(&target, "objects/").remove(0);
    let key = format!("ward-3/of_clinic.a/{name}");
    let version = server.tell(&format!("versions vault-locked {key}"));
    let refused = server.tell(&format!("destroy vault-locked {key} {version}"));
    assert!(refused.starts_with("refused"), "{refused}");
    let restore = Vault::restore(&target).packs_from(&site.packs).options(site.house.options());
    let (_, _, session) = site.restored("back", restore).unwrap();
    all_are_there(&session, &notes);
}

//! Backups by the command line tool: there and back again, ended in the middle, at places that fail, with wrong packs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::house::{House, Ran, copy, flip, set_mode};
use serde_json::Value;

const IMPORTER: [&str; 4] = ["--token", "importer.token", "--purpose", "operations"];
const OFFICER: [&str; 4] = ["--token", "officer.token", "--purpose", "operations"];
const BACKUP: [&str; 7] = ["backup", "run", "--to", "disk", "--packs", "safe", "--json"];
const RESTORE: [&str; 7] = ["restore", "--from", "disk", "--packs", "safe", "--into", "back.vault"];

/// All that is in a vault, line by line, sorted.
fn all(house: &House, vault: &str) -> Vec<String> {
    let export = ["export", "--out", "-", "--vault", vault, "--token", "dr.osei.token", "--purpose", "treatment"];
    sorted(house.done(&export).lines())
}

fn sorted<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

fn observations(from: usize, to: usize) -> String {
    let line = |number: usize| {
        // Text of no pattern, so that there is something to copy.
        let text: String =
            (0..40_u64).map(|at| format!("{:x} ", (number as u64 + 1) * 0x9e37_79b9 * (at + 7))).collect();
        let patient = number % 7;
        format!(
            "{{\"resourceType\":\"Observation\",\"id\":\"o{number}\",\"subject\":{{\"reference\":\"Patient/p{patient}\"}},\
             \"valueString\":\"{text}\"}}\n"
        )
    };
    (from..to).map(line).collect()
}

fn import(house: &House, name: &str, text: &str) {
    house.write(name, text);
    house.done(&[&["import", name][..], &IMPORTER].concat());
}

/// A vault with charts and a first backup.
fn backed_up() -> House {
    let house = House::with_charts();
    house.done(&[&BACKUP[..], &["--create"]].concat());
    house
}

fn shared(name: &str) -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if data.is_file() {
        return Some(data);
    }
    println!("skipped: {} is not there", data.display());
    None
}

/// The vault's folder burns, and is restored to where it was: what came in goes out, and the log is whole from its first
/// entry on.
fn burns_and_comes_back(house: &House, wanted: &[String]) {
    house.done(&[&BACKUP[..], &["--create"]].concat());
    assert_eq!(house.run(&["backup", "verify", "--to", "disk"]).code, Some(0));
    fs::remove_dir_all(house.path("clinic.vault")).unwrap();
    assert_eq!(house.run(&["stats"]).code, Some(10));
    house.done(&["restore", "--from", "disk", "--packs", "safe", "--into", "clinic.vault"]);
    assert!(all(house, "clinic.vault") == wanted, "{} lines", wanted.len());
    verified_over_the_restore(house, "clinic.vault");
    assert_eq!(house.run(&["check", "--all"]).code, Some(0));
}

fn verified_over_the_restore(house: &House, vault: &str) {
    let ran = house.run(&[&["audit", "verify", "--json", "--vault", vault][..], &OFFICER].concat());
    // Nothing outside the vault says how new its log is.
    assert_eq!(ran.code, Some(21), "{}", ran.err);
    let told = ran.json();
    let verdict = |of: &str| told[of]["verdict"].as_str().unwrap().to_owned();
    assert_eq!(
        (told["first"].as_u64(), verdict("integrity"), verdict("completeness")),
        (Some(0), "sound".into(), "sound".into())
    );
    let query = ["audit", "query", "--json", "--event", "vault-restored", "--vault", vault];
    let entries = house.done(&[&query[..], &OFFICER].concat());
    let restored: Vec<Value> = entries.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let restored: Vec<u64> = restored.iter().filter_map(|entry| entry["seq"].as_u64()).collect();
    assert_eq!(restored.len(), 1, "{entries}");
    assert!(told["entries"].as_u64().unwrap() > restored[0], "what is verified goes on behind the restore");
}

#[test]
fn a_vault_that_burned_is_back_line_for_line() {
    let house = House::with_vault();
    let text = observations(0, 400);
    import(&house, "charts.ndjson", &text);
    burns_and_comes_back(&house, &sorted(text.lines()));
    // And goes on: to the same places.
    import(&house, "more.ndjson", &observations(400, 450));
    let ran = house.run(&BACKUP);
    assert_eq!((ran.code, ran.json()["manifest"].as_u64()), (Some(0), Some(2)), "{}", ran.err);
    assert_eq!(house.run(&["backup", "verify", "--to", "disk"]).code, Some(0));
}

#[test]
fn published_examples_come_back() {
    let Some(data) = shared("hl7-r4-clinical.ndjson.zst") else { return };
    let house = House::with_vault();
    let ran = house.run(&[&["import", data.to_str().unwrap()][..], &IMPORTER].concat());
    // Six of them have the id of another one.
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    let wanted = all(&house, "clinic.vault");
    let source = zstd::decode_all(fs::File::open(&data).unwrap()).unwrap();
    let source = sorted(std::str::from_utf8(&source).unwrap().lines());
    assert!(wanted.len() > 400);
    // What is no Bundle came in as it stands in the source.
    let whole = wanted.iter().filter(|line| source.binary_search(line).is_ok()).count();
    assert!(whole > 400, "{whole} of {}", wanted.len());
    burns_and_comes_back(&house, &wanted);
}

#[test]
fn a_hundred_and_twenty_patients_come_back() {
    let Some(data) = shared("synthea-r4-120.ndjson.zst") else { return };
    let house = House::with_vault();
    house.done(&[&["import", data.to_str().unwrap()][..], &IMPORTER].concat());
    let source = zstd::decode_all(fs::File::open(&data).unwrap()).unwrap();
    burns_and_comes_back(&house, &sorted(std::str::from_utf8(&source).unwrap().lines()));
}

/// Runs it and ends it so long after it has read its passphrase; `None` when it was done before.
fn ended_after(house: &House, args: &[&str], signal: &str, wait: Duration) -> Option<Ran> {
    let ready = house.path("ready");
    drop(fs::remove_file(&ready));
    let mut command = house.tool(args);
    command.env_remove("CHARTVAULT_PASSPHRASE_FILE").args(["--passphrase-command", "touch ready; cat pass.txt"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !ready.exists() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(wait);
    // It may be over by now; nobody has waited for it, so that its number is still its own.
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    let ran = Ran::of(&child.wait_with_output().unwrap());
    (ran.code != Some(0)).then_some(ran)
}

/// Later and later, until it is through before it is ended.
fn waits() -> impl Iterator<Item = Duration> {
    (0..40).map(|step: u64| Duration::from_millis(step * step * 8))
}

#[test]
fn a_backup_that_was_killed_is_gone_on_with() {
    let house = House::with_vault();
    let mut text = observations(0, 2_000);
    import(&house, "charts.ndjson", &text);
    let backup = [&BACKUP[..], &["--create"]].concat();
    let mut killed = 0;
    for wait in waits() {
        let Some(ran) = ended_after(&house, &backup, "-KILL", wait) else { break };
        assert_eq!(ran.code, None, "{}", ran.err);
        killed += 1;
        if !house.path("disk").exists() {
            continue;
        }
        // Whatever is there is good as far as it goes: whole backups, or none.
        let ran = house.run(&["backup", "verify", "--to", "disk", "--json"]);
        assert!(matches!(ran.code, Some(0 | 10)), "{ran:?}");
    }
    assert!(killed > 0, "each one was through before it was killed");
    let more = observations(2_000, 2_020);
    import(&house, "more.ndjson", &more);
    text.push_str(&more);
    assert_eq!(house.run(&BACKUP).code, Some(0));
    burns_and_comes_back(&house, &sorted(text.lines()));
}

/// Killed, or asked to end, at any moment: until it is through no vault opens there, and then all is there.
#[test]
fn a_restore_that_was_ended_is_gone_on_with() {
    let house = House::with_vault();
    let text = observations(0, 2_000);
    import(&house, "charts.ndjson", &text);
    house.done(&[&BACKUP[..], &["--create"]].concat());
    let (mut unfinished, mut through) = (0, false);
    for (number, wait) in waits().enumerate() {
        let (signal, code) = if number % 3 == 2 { ("-TERM", Some(130)) } else { ("-KILL", None) };
        let Some(ran) = ended_after(&house, &RESTORE, signal, wait) else {
            through = true;
            break;
        };
        assert_eq!(ran.code, code, "{}", ran.err);
        let ran = house.run(&["stats", "--vault", "back.vault"]);
        if ran.code == Some(0) {
            // The last step was done when it was ended.
            through = true;
            break;
        }
        if house.path("back.vault").exists() {
            assert!(matches!(ran.code, Some(1 | 10)), "{ran:?}");
            unfinished += usize::from(ran.err.contains("run chartvault restore once more"));
        }
    }
    assert!(through && unfinished > 0, "none was ended in the middle");
    assert!(all(&house, "back.vault") == sorted(text.lines()));
    verified_over_the_restore(&house, "back.vault");
}

#[test]
fn a_drill_that_was_ended_leaves_nothing() {
    let house = House::with_vault();
    import(&house, "charts.ndjson", &observations(0, 2_000));
    house.done(&[&BACKUP[..], &["--create"]].concat());
    fs::create_dir(house.path("room")).unwrap();
    let drill = ["backup", "drill", "--to", "disk", "--packs", "safe", "--temporary", "room"];
    let mut ended = 0;
    for wait in waits() {
        let ran = ended_after(&house, &drill, "-INT", wait);
        let left: Vec<_> = fs::read_dir(house.path("room")).unwrap().collect();
        assert!(left.is_empty(), "{left:?} {ran:?}");
        let Some(ran) = ran else { break };
        assert_eq!(ran.code, Some(130), "{}", ran.err);
        ended += 1;
    }
    assert!(ended > 0, "each one was through before it was ended");
}

#[test]
fn a_place_that_fails_does_not_keep_the_other_from_its_backup() {
    let (house, other) = (backed_up(), backed_up());
    // A place with backups of another vault: the vault must not add to them.
    copy(&other.path("disk"), &house.path("foreign"));
    let before = fs::read_dir(house.path("foreign")).unwrap().count();
    for failing in ["foreign", "nowhere"] {
        let args = ["backup", "run", "--to", failing, "--to", "disk", "--packs", "safe", "--json"];
        let ran = house.run(&args);
        assert_eq!(ran.code, Some(3), "{}", ran.err);
        assert_eq!(ran.json()["target"], "disk", "one line, of the one that was made");
        let told: Vec<Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(told[0]["warning"].as_str().unwrap().starts_with(&format!("{failing}: ")), "{}", ran.err);
        assert_eq!(told[1]["error"]["message"], "1 of 2 places have no new backup");
    }
    assert_eq!(fs::read_dir(house.path("foreign")).unwrap().count(), before);
    assert_eq!(house.run(&["backup", "verify", "--to", "disk"]).code, Some(0));
    // What failed is remembered until a backup goes there.
    let status = house.run(&["backup", "status", "--json"]);
    assert_eq!(status.code, Some(21));
    let targets = status.json()["targets"].as_array().unwrap().clone();
    let foreign = targets.iter().find(|target| target["target"] == "foreign").unwrap();
    assert!(foreign["last_failure"].is_string() && foreign["last_backup"].is_null(), "{foreign}");
    // All of them.
    let ran = house.run(&["backup", "run", "--to", "foreign", "--to", "nowhere", "--packs", "safe"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
}

#[test]
fn a_wrong_pack_or_passphrase_restores_nothing() {
    let (house, other) = (backed_up(), backed_up());
    copy(&other.path("safe"), &house.path("foreign"));
    copy(&house.path("safe"), &house.path("damaged"));
    copy(&house.path("safe"), &house.path("older"));
    fs::create_dir(house.path("empty")).unwrap();
    let pack =
        |dir: &str| files(&house.path(dir)).into_iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    let size = fs::metadata(pack("damaged")).unwrap().len();
    flip(&pack("damaged"), usize::try_from(size).unwrap() / 2);
    // A credential more: the pack from before knows nothing of it.
    house.write("second.txt", "a second passphrase of five\n");
    house.done(&["key", "add", "passphrase", "--new-passphrase-file", "second.txt"]);
    house.done(&BACKUP);

    for (packs, code, says) in [
        ("empty", 10, "no place of backups or key packs"),
        ("disk", 10, "no key pack"),
        ("foreign", 20, "not signed by the key of this vault's backups"),
        ("damaged", 20, "damaged"),
        ("older", 1, "older than"),
    ] {
        let ran = house.run(&["restore", "--from", "disk", "--packs", packs, "--into", "back.vault"]);
        assert_eq!(ran.code, Some(code), "{packs}: {}", ran.err);
        assert!(ran.err.contains(says), "{packs}: {}", ran.err);
        assert_ne!(house.run(&["stats", "--vault", "back.vault"]).code, Some(0), "{packs}");
    }
    house.write("wrong.txt", "another passphrase\n");
    let ran = house.run(&[&RESTORE[..], &["--passphrase-file", "wrong.txt"]].concat());
    assert_eq!(ran.code, Some(12), "{}", ran.err);
    // After all of that the right ones are as good as ever, in the same directory.
    house.done(&[&RESTORE[..], &["--passphrase-file", "second.txt"]].concat());
    assert_eq!(all(&house, "back.vault"), all(&house, "clinic.vault"));
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    inside.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_damaged_backup_is_named_and_restores_nothing() {
    let house = backed_up();
    let object = files(&house.path("disk")).into_iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    flip(&object, 9_000);
    let ran = house.run(&["backup", "verify", "--to", "disk", "--json"]);
    assert_eq!((ran.code, ran.json()["sound"].as_bool()), (Some(20), Some(false)));
    assert!(!ran.json()["findings"].as_array().unwrap().is_empty());
    let ran = house.run(&RESTORE);
    assert_eq!(ran.code, Some(20), "{}", ran.err);
    assert!(ran.err.contains("hint: chartvault backup verify"), "{}", ran.err);
    assert_ne!(house.run(&["stats", "--vault", "back.vault"]).code, Some(0));
}

#[test]
fn a_sealed_backup_opens_with_its_identity_alone() {
    let house = House::with_charts();
    let made = house.run(&["backup", "new-identity", "--out", "office.identity", "--json"]).json();
    let recipient = made["recipient"].as_str().unwrap().to_owned();
    house.done(&[&BACKUP[..], &["--create", "--seal-to", &recipient]].concat());
    let ran = house.run(&RESTORE);
    assert_eq!(ran.code, Some(12), "{}", ran.err);
    assert!(ran.err.contains("--identity FILE"), "{}", ran.err);
    let with = [&RESTORE[..], &["--identity", "office.identity"]].concat();
    // A secret that others can read is none.
    set_mode(&house.path("office.identity"), 0o644);
    assert_eq!(house.run(&with).code, Some(1));
    set_mode(&house.path("office.identity"), 0o600);
    house.done(&with);
    assert_eq!(all(&house, "back.vault"), all(&house, "clinic.vault"));
}

/// A second machine that takes over, and the first one, which finds out.
#[test]
fn a_second_machine_follows_and_takes_over() {
    let house = backed_up();
    let key = house.run(&["backup", "key", "--json"]).json()["backup_key"].as_str().unwrap().to_owned();
    let follow = ["backup", "follow", "--from", "disk", "--signed-by", &key, "--into", "back.vault", "--json"];
    assert!(house.run(&follow).json()["copied_bytes"].as_u64().unwrap() > 0);
    assert_ne!(house.run(&["stats", "--vault", "back.vault"]).code, Some(0), "it is no vault yet");
    import(&house, "more.ndjson", &observations(0, 20));
    house.done(&BACKUP);
    assert_eq!(house.run(&follow).json()["manifest"].as_u64(), Some(2));
    house.done(&RESTORE);
    assert_eq!(all(&house, "back.vault"), all(&house, "clinic.vault"));
    house.done(&[&BACKUP[..], &["--vault", "back.vault"]].concat());
    let old = house.run(&BACKUP);
    assert_eq!(old.code, Some(20), "{}", old.err);
    assert!(old.err.contains("another machine goes on with it"), "{}", old.err);
}

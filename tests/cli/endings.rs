//! Every exit code that docs/cli.md promises, from something that really is so.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::house::{House, Ran, copy, flip, set_mode};
use crate::imports::Importing;

const OFFICER: [&str; 4] = ["--token", "officer.token", "--purpose", "operations"];

#[test]
fn the_page_has_the_codes_and_words_that_the_tool_has() {
    let page = include_str!("../../docs/cli.md");
    let told = include_str!("../../src/bin/chartvault/exit.rs");
    for code in [0, 1, 2, 3, 10, 11, 12, 20, 21, 130] {
        let row =
            page.lines().find(|line| line.starts_with(&format!("| {code} |"))).unwrap_or_else(|| panic!("{code}"));
        let word = row.split('`').nth(1).unwrap();
        assert!(told.contains(&format!("\"{word}\"")), "{row}");
    }
    let arms = told.lines().filter(|line| line.contains("=> \"")).count();
    assert_eq!(
        page.lines()
            .filter(|line| line.starts_with("| ") && line.matches('`').count() >= 2)
            .filter(|line| { line.split('|').nth(1).is_some_and(|code| code.trim().parse::<u8>().is_ok()) })
            .count(),
        arms
    );
}

#[test]
fn code_0_when_it_is_done() {
    let house = House::with_vault();
    assert_eq!(house.run(&["check", "--all"]).code, Some(0));
    assert_eq!(house.run(&["--help"]).code, Some(0));
    assert_eq!(house.run(&["key", "add", "--help"]).code, Some(0));
}

#[test]
fn code_1_when_it_is_not_done() {
    let house = House::with_charts();
    let ran = house.run(&[&["ls", "facility"][..], &OFFICER].concat());
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("access denied") && ran.err.contains("hint: "), "{}", ran.err);
}

#[test]
fn code_2_when_the_arguments_are_wrong() {
    let house = House::empty();
    for args in [&["frobnicate"][..], &["status", "--frobnicate"], &["ls"], &[], &["key", "rotate", "everything"]] {
        let ran = house.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}");
    }
    let ran = House::empty().tool(&["status"]).env_remove("CHARTVAULT").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
}

#[test]
fn code_3_when_it_is_partly_done() {
    let house = House::with_vault();
    house.write("two.ndjson", "no JSON\n{\"resourceType\":\"Organization\",\"id\":\"a\"}\n");
    let ran = house.run(&["import", "two.ndjson", "--token", "importer.token", "--purpose", "operations", "--json"]);
    assert_eq!(ran.code, Some(3));
    assert_eq!((ran.json()["put"].as_u64(), ran.json()["refused"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn code_10_without_a_vault() {
    let house = House::empty();
    fs::create_dir(house.path("empty")).unwrap();
    for vault in ["nowhere", "empty"] {
        for verb in ["status", "stats", "check", "doctor"] {
            let ran = house.run(&[verb, "--vault", vault]);
            assert_eq!(ran.code, Some(10), "{verb} {vault}: {}", ran.err);
            assert!(ran.err.contains("chartvault init"), "{}", ran.err);
        }
        assert!(!house.path("nowhere").exists(), "looking for a vault made none");
    }
}

#[test]
fn code_11_while_another_process_has_the_vault() {
    let house = House::with_vault();
    let mut other = Importing::start(&house);
    other.wait_until_it_reads();
    for verb in [&["stats"][..], &["check"], &["key", "ls"]] {
        let ran = house.run(verb);
        assert_eq!(ran.code, Some(11), "{verb:?}: {}", ran.err);
        assert!(ran.err.contains("hint: end the other program"), "{}", ran.err);
    }
    // What can be said without opening it is said.
    let status = house.run(&["status", "--json"]);
    assert_eq!((status.code, status.json()["state"].as_str()), (Some(0), Some("in use by another program")));
    assert_eq!(other.end().code, Some(0));
    assert_eq!(house.run(&["stats"]).code, Some(0));
}

#[test]
fn code_12_with_a_wrong_credential_or_token() {
    let house = House::with_vault();
    house.write("wrong.txt", "another passphrase\n");
    let wrong = house.run(&["stats", "--passphrase-file", "wrong.txt"]);
    assert_eq!(wrong.code, Some(12), "{}", wrong.err);
    // A token of another vault, one that is none, and one for another purpose.
    let other = House::with_vault();
    house.write("other.token", &other.read("officer.token"));
    for (token, purpose) in [("other.token", "operations"), ("pass.txt", "operations"), ("officer.token", "treatment")]
    {
        let ran = house.run(&["audit", "tail", "--token", token, "--purpose", purpose]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(12), ""), "{token}: {}", ran.err);
    }
}

#[test]
fn code_20_when_a_byte_was_changed() {
    let house = House::with_charts();
    let journal = house.path("clinic.vault/journal");
    let segment = fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let used = fs::read(&segment).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    for at in [used / 4, used / 2] {
        let damaged = house.path("damaged.vault");
        copy(&house.path("clinic.vault"), &damaged);
        flip(&damaged.join("journal").join(segment.file_name().unwrap()), at);
        let ran = house.run(&["check", "--all", "--vault", "damaged.vault"]);
        assert_eq!(ran.code, Some(20), "byte {at} of {used}: {ran:?}");
        fs::remove_dir_all(damaged).unwrap();
    }
}

#[test]
fn code_20_when_the_vault_was_put_back_to_yesterday() {
    let house = House::with_vault();
    fs::create_dir(house.path("anchor")).unwrap();
    copy(&house.path("clinic.vault"), &house.path("yesterday.vault"));
    house.done(&["audit", "anchor", "anchor"]);
    let ran = house.run(&["stats", "--anchor", "anchor", "--vault", "yesterday.vault"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(20), ""), "{}", ran.err);
    assert_eq!(house.run(&["stats", "--anchor", "anchor"]).code, Some(0));
}

#[test]
fn code_21_when_there_is_something_to_see_to() {
    let house = House::with_vault();
    for verb in [&["doctor"][..], &[&["report"][..], &OFFICER].concat(), &[&["audit", "verify"][..], &OFFICER].concat()]
    {
        assert_eq!(house.run(verb).code, Some(21), "{verb:?}");
    }
}

#[test]
fn an_error_is_an_object_for_programs() {
    let ran = House::empty().run(&["stats", "--json"]);
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["kind"]), (&Value::from(10), &Value::from("no-vault")));
    assert!(error["error"]["message"].is_string() && error["error"]["hint"].is_string());
}

/// What nobody reads is not said, and what cannot be written is an error.
#[test]
fn answers_that_cannot_be_written() {
    let house = House::with_charts();
    let export = ["export", "--out", "-", "--token", "dr.osei.token", "--purpose", "treatment"];
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        println!("skipped: there is no /dev/full");
        return;
    };
    let ran = house.tool(&export).stdout(full).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("No space left"), "{ran:?}");
    let mut child = house.tool(&export).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = child.wait_with_output().unwrap();
    assert_eq!((ran.status.code(), ran.stderr), (Some(1), Vec::new()));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let house = House::with_charts();
    fs::create_dir(house.path("locked")).unwrap();
    copy(&house.path("clinic.vault"), &house.path("locked/clinic.vault"));
    set_mode(&house.path("locked"), 0o500);
    if File::create(house.path("locked/probe")).is_ok() {
        println!("skipped: whoever runs this may write everywhere");
        return;
    }
    let export = ["export", "--out", "locked/out", "--token", "dr.osei.token", "--purpose", "treatment"];
    for args in [&export[..], &["init", "--vault", "locked/new.vault"]] {
        let ran = house.run(args);
        assert_eq!(ran.code, Some(1), "{args:?}: {}", ran.err);
        assert!(ran.err.contains("locked/") && ran.err.contains("denied"), "{}", ran.err);
    }
    // A vault whose own directory is read-only is not opened: opening leaves an entry.
    set_mode(&house.path("locked/clinic.vault"), 0o500);
    let ran = house.run(&["stats", "--vault", "locked/clinic.vault"]);
    set_mode(&house.path("locked/clinic.vault"), 0o700);
    set_mode(&house.path("locked"), 0o700);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
}

#[test]
fn code_130_when_a_signal_ends_it() {
    let house = House::with_vault();
    let slow = ["stats", "--passphrase-command", "touch ready; sleep 2; cat pass.txt"];
    for signal in ["-INT", "-TERM"] {
        let child = house.tool(&slow).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while !house.path("ready").exists() {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let ran = Ran::of(&child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (Some(130), ""), "{signal}: {}", ran.err);
        assert!(ran.err.contains("interrupted"), "{}", ran.err);
        fs::remove_file(house.path("ready")).unwrap();
    }
    assert_eq!(house.run(&["check", "--all"]).code, Some(0));
}

/// What was salvaged in part is said to be in doubt, and is read by whoever accepts that.
#[test]
fn code_21_when_a_salvage_lost_something() {
    let house = House::with_charts();
    let segment = fs::read_dir(house.path("clinic.vault/journal")).unwrap().map(|entry| entry.unwrap().path()).max();
    let segment = segment.unwrap();
    let bytes = fs::read(&segment).unwrap();
    // The frame that holds the last record: found by its loss, in a copy for each try.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let lost = (1..16).find(|part| {
        let damaged = house.path("damaged.vault");
        copy(&house.path("clinic.vault"), &damaged);
        flip(&damaged.join("journal").join(segment.file_name().unwrap()), used * part / 16);
        let ran = house.run(&["salvage", "--vault", "damaged.vault", "--into", "salvaged.vault"]);
        assert!(matches!(ran.code, Some(0 | 21)), "{ran:?}");
        let found = ran.code == Some(21) && !ran.out.contains(" 0 lost.") && ran.out.contains("--accept-doubtful");
        fs::remove_dir_all(damaged).unwrap();
        if !found {
            fs::remove_dir_all(house.path("salvaged.vault")).unwrap();
        }
        found
    });
    assert!(lost.is_some(), "no byte was of a record");
    let doctor = house.run(&["doctor", "--vault", "salvaged.vault"]);
    assert!(doctor.code == Some(21) && doctor.out.contains("was salvaged"), "{doctor:?}");
    let ls = ["ls", "facility", "--vault", "salvaged.vault", "--token", "dr.osei.token", "--purpose", "treatment"];
    let refused = house.run(&ls);
    assert!(refused.code == Some(1) && refused.err.contains("hint: add --accept-doubtful"), "{}", refused.err);
    assert_eq!(house.run(&[&ls[..], &["--accept-doubtful"]].concat()).code, Some(0));
}

/// A file that has the name it was asked for is whole.
#[test]
fn half_a_file_never_has_the_name() {
    let house = House::with_charts();
    let exports = [
        [&["export", "--out", "out", "--token", "dr.osei.token", "--purpose", "treatment"][..]].concat(),
        [&["audit", "export", "--out", "out"][..], &OFFICER].concat(),
        [&["audit", "bundle", "--out", "out"][..], &OFFICER].concat(),
    ];
    for export in exports {
        house.write("out.part", "left over");
        let ran = house.run(&export);
        assert_eq!(ran.code, Some(1), "{export:?}");
        assert!(ran.err.contains("out.part exists already") && !house.path("out").exists(), "{}", ran.err);
        fs::remove_file(house.path("out.part")).unwrap();
        house.done(&export);
        let ran = house.run(&export);
        assert!(ran.code == Some(1) && ran.err.contains("nothing was written over"), "{}", ran.err);
        assert!(!house.path("out.part").exists());
        fs::remove_file(house.path("out")).unwrap();
    }
}

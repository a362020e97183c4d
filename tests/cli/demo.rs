//! The drill of the command line tool: that it runs through, tells what really happened, takes answers, and leaves nothing.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const SCENES: [&str; 6] =
    ["phished-token", "curious-colleague", "stolen-laptop", "flipped-bit", "lost-passphrase", "fire"];

/// The tool, with a folder of its own for temporary files.
fn tool(temporary: &TempDir) -> Command {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_chartvault"));
    tool.env_remove("CHARTVAULT").env_remove("CHARTVAULT_PASSPHRASE_FILE").stdin(Stdio::null());
    for name in ["TMPDIR", "TMP", "TEMP"] {
        tool.env(name, temporary.path());
    }
    tool
}

/// Runs the drill with what a reader types, until the input ends.
fn drill(temporary: &TempDir, arguments: &[&str], typed: &str) -> Output {
    let mut drill = tool(temporary);
    drill.arg("demo").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut drill = drill.spawn().unwrap();
    // A drill that ends early reads no more.
    drop(drill.stdin.take().unwrap().write_all(typed.as_bytes()));
    drill.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_empty(dir: &TempDir) -> bool {
    fs::read_dir(dir.path()).unwrap().next().is_none()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn it_runs_through_by_itself_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let output = drill(&temporary, &["--yes"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    for title in [
        "pass is phished",
        "colleague is curious",
        "laptop is stolen",
        "changes one bit",
        "is forgotten",
        "surgery burns",
    ] {
        assert!(told.contains(title), "{title}");
    }
    for what in ["QUESTION", "WHERE IT STANDS IN THE LOG", "WHAT TO DO"] {
        assert_eq!(told.matches(what).count(), SCENES.len(), "{what}");
    }
    assert!(told.contains("6 right at once, and 0 at the second try"));
    assert!(told.contains("Argon2id, 19 MiB, 2 passes"), "it says that its passphrases are cheaper to check");
    assert!(is_empty(&temporary));
}

#[test]
fn programs_get_an_object_a_scene_with_what_was_answered_and_found() {
    let temporary = tempfile::tempdir().unwrap();
    let output = drill(&temporary, &["--yes", "--json"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = lines(&output);
    let (summary, scenes) = told.split_last().unwrap();
    assert_eq!(scenes.iter().map(|scene| scene["scene"].as_str().unwrap()).collect::<Vec<_>>(), SCENES);
    for scene in scenes {
        assert!((2..=4).contains(&scene["answers"].as_array().unwrap().len()), "{scene}");
        assert_eq!(scene["given"], serde_json::json!([scene["right_answer"]]));
        assert!(!strings(&scene["to_do"]).is_empty() && !strings(&scene["commands"]).is_empty());
        assert!(scene["happened"].as_array().unwrap().len() >= 4);
    }
    let summary = &summary["summary"];
    assert_eq!((&summary["scenes"], &summary["right"], &summary["kept"]), (&6.into(), &6.into(), &Value::Null));
    for page in strings(&summary["read_on"]) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&page).is_file(), "{page} is there to be read");
    }
    assert!(is_empty(&temporary));
}

#[test]
fn the_entries_that_it_names_stand_in_the_logs() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = temporary.path().join("drill");
    let output = drill(&temporary, &["--yes", "--json", "--keep", kept.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = lines(&output);
    let mut logs: HashMap<String, HashMap<u64, Value>> = HashMap::new();
    let mut named = 0;
    for scene in &told[..SCENES.len()] {
        let copy = scene.get("log_of_copy").and_then(Value::as_array).into_iter().flatten();
        let entries: Vec<_> = scene["log"].as_array().unwrap().iter().chain(copy).collect();
        assert!(entries.len() >= 3, "{scene}");
        for entry in entries {
            let vault = entry["vault"].as_str().unwrap();
            let log = logs.entry(vault.to_owned()).or_insert_with(|| log_of(&temporary, &kept, vault));
            let found = &log[&entry["number"].as_u64().unwrap()];
            assert_eq!(found["event"], entry["event"], "{entry}");
            assert_eq!(found["outcome"], entry["outcome"], "{entry}");
            named += 1;
        }
    }
    assert_eq!(logs.len(), 3, "the practice's log, the stolen copy's, and that of the salvaged vault");
    assert!(named > 20);

    let again = drill(&temporary, &["--yes", "--keep", kept.to_str().unwrap()], "");
    assert_eq!(again.status.code(), Some(1), "it writes into no directory that holds something");
    assert!(text(&again.stderr).contains("is not an empty directory"));
}

/// What the scene of the fire says is there again, and lost, is so in the vault that it leaves.
#[test]
fn the_vault_that_burned_is_back_without_what_came_after_its_backup() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = temporary.path().join("drill");
    let told = lines(&drill(&temporary, &["--yes", "--json", "--keep", kept.to_str().unwrap()], ""));
    let fire = &told[SCENES.len() - 1];
    let answer = |begins: &str| {
        let happened = fire["happened"].as_array().unwrap().iter();
        let found = happened.clone().find(|one| one["what"].as_str().unwrap().starts_with(begins));
        found.unwrap_or_else(|| panic!("{begins}: {fire}"))["answer"].as_str().unwrap().to_owned()
    };
    assert!(answer("The disk alone").contains("no key pack"));
    assert!(answer("Disk and key pack, with the passphrase that was forgotten").contains("opens no key slot"));
    assert!(answer("What was there in the evening").contains("Penicillin"));
    let visit = answer("The next day");
    assert!(visit.starts_with("ref-") && answer("What came after it is lost").contains(&visit));

    let log = log_of(&temporary, &kept, "clinic.vault");
    let with = |event: &str| log.values().filter(|entry| entry["event"] == event).count();
    assert_eq!(with("vault-restored"), 1);
    assert_eq!(with("backup-made"), 1, "the first backup's entry came after what it holds");
    for (verb, says) in [("verify", "\"sound\":true"), ("ls", "\"manifest\":2")] {
        let mut asked = tool(&temporary);
        asked.current_dir(&kept).args(["backup", verb, "--json", "--to", "disk-at-home"]);
        let asked = asked.args(if verb == "verify" { &["--without-vault"][..] } else { &[] }).output().unwrap();
        assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
        assert!(text(&asked.stdout).contains(says), "{}", text(&asked.stdout));
    }
}

/// The log of a vault that was kept, read with what the drill left for its reader.
fn log_of(temporary: &TempDir, kept: &Path, vault: &str) -> HashMap<u64, Value> {
    let passphrase = if vault == "clinic.vault" { "passphrase.txt" } else { "passphrase-of-copies.txt" };
    let query = ["audit", "query", "--json", "--limit", "1000", "--token", "officer.token", "--purpose", "operations"];
    let mut read = tool(temporary);
    read.current_dir(kept).args(query).args(["--vault", vault, "--passphrase-file", passphrase]);
    let output = read.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{vault}: {}", text(&output.stderr));
    let entries = lines(&output).into_iter().filter_map(|entry| Some((entry.get("seq")?.as_u64()?, entry)));
    entries.collect()
}

#[test]
fn its_commands_are_there() {
    let temporary = tempfile::tempdir().unwrap();
    let told = lines(&drill(&temporary, &["--yes", "--json"], ""));
    let commands: Vec<String> = told[..SCENES.len()].iter().flat_map(|scene| strings(&scene["commands"])).collect();
    assert!(commands.len() > 20);
    let code = |words: &[String]| {
        let mut command = tool(&temporary);
        command.current_dir(temporary.path()).args(words).env("CHARTVAULT", temporary.path().join("none"));
        command.output().unwrap().status.code().unwrap()
    };
    assert_eq!(code(&words("token revoke --no-such-thing")), 2);
    for command in commands {
        let words = words(command.strip_prefix("chartvault ").unwrap());
        // There is no vault and no token here: all that can be right about them is the arguments.
        let code = code(&words);
        assert!(matches!(code, 1 | 10 | 12), "{command}: {code}");
    }
}

/// Words as a shell takes them, with single quotes around some.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn a_wrong_answer_is_explained_and_asked_once_more() {
    let temporary = tempfile::tempdir().unwrap();
    // Right at once; wrong twice; right; noise, and then right; wrong twice; right.
    let typed = "2\n2\n3\n 3 \nthree\n\n9\n1\n3\n1\n2\n";
    let output = drill(&temporary, &[], typed);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(told.matches("Try once more.").count(), 2);
    assert_eq!(told.matches("Not quite.").count(), 4);
    assert_eq!(told.matches("That is none of the numbers").count(), 3);
    assert!(told.contains("Emergencies have to stay open"), "the answer taken is explained");
    assert!(told.contains("It is 2: The recovery key"), "the right one is told in the end");
    assert!(told.contains("4 right at once, and 0 at the second try"));
    assert!(is_empty(&temporary));
}

#[test]
fn questions_go_to_standard_error_where_programs_read_the_answer() {
    let temporary = tempfile::tempdir().unwrap();
    let output = drill(&temporary, &["--json"], "1\n2\n1\n3\n1\n2\n2\n");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr).matches("QUESTION").count(), SCENES.len());
    let told = lines(&output);
    assert_eq!(told[0]["given"], serde_json::json!([1, 2]));
    assert_eq!(told[SCENES.len()]["summary"]["right_at_second_try"], 1);
}

#[test]
fn without_anybody_to_answer_it_ends_and_leaves_nothing() {
    for (typed, says) in [("", "the input ended"), ("2\n", "the input ended"), ("a\nb\nc\nd\ne\n2\n", "no answer")] {
        let temporary = tempfile::tempdir().unwrap();
        let output = drill(&temporary, &[], typed);
        assert_eq!(output.status.code(), Some(2), "{typed:?}");
        let told = text(&output.stderr);
        assert!(told.contains(says) && told.contains("--yes"), "{told}");
        assert!(is_empty(&temporary), "{typed:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_at_a_question_ends_it_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut drill = tool(&temporary);
    let mut drill =
        drill.arg("demo").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Kept open: the end of the input would end the drill as well.
    let input = drill.stdin.take();
    let mut told = BufReader::new(drill.stdout.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().starts_with("Your answer")));
    assert!(!is_empty(&temporary), "the folder is there while it runs");
    let sent = Command::new("kill").args(["-INT", &drill.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(drill.wait().unwrap().code(), Some(130));
    drop(input);
    assert!(is_empty(&temporary));
}

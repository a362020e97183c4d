//! The ways a secret comes in, and that none of them shows it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::house::{House, PASSPHRASE, Ran, set_mode};

/// The tool without a passphrase in its environment.
fn bare(house: &House, args: &[&str]) -> Command {
    let mut command = house.tool(args);
    command.env_remove("CHARTVAULT_PASSPHRASE_FILE");
    command
}

fn code(command: &mut Command) -> (Option<i32>, String) {
    let ran = Ran::of(&command.output().unwrap());
    (ran.code, ran.err)
}

#[test]
fn a_passphrase_comes_from_a_file_a_descriptor_or_a_command() {
    let house = House::with_vault();
    // Standard input is a descriptor like another.
    let fd = |command: &mut Command| code(command.stdin(File::open(house.path("pass.txt")).unwrap()));
    assert_eq!(fd(&mut bare(&house, &["stats", "--passphrase-fd", "0"])).0, Some(0));
    assert_eq!(code(&mut bare(&house, &["stats", "--passphrase-file", "pass.txt"])).0, Some(0));
    assert_eq!(fd(&mut bare(&house, &["stats", "--passphrase-file", "-"])).0, Some(0));
    assert_eq!(code(&mut bare(&house, &["stats", "--passphrase-command", "cat pass.txt"])).0, Some(0));
    // A descriptor that a shell opens for it.
    let line = format!("exec '{}' stats --passphrase-fd 7 7<pass.txt", env!("CARGO_BIN_EXE_chartvault"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(house.path("")).env("CHARTVAULT", "clinic.vault").stdin(Stdio::null());
    assert_eq!(code(&mut shell).0, Some(0));
}

#[test]
fn a_passphrase_comes_from_the_environment_unless_the_arguments_say_otherwise() {
    let house = House::with_vault();
    house.write("wrong.txt", "another\n");
    assert_eq!(code(bare(&house, &["stats"]).env("CHARTVAULT_PASSPHRASE_COMMAND", "cat pass.txt")).0, Some(0));
    assert_eq!(code(bare(&house, &["stats"]).env("CHARTVAULT_PASSPHRASE_FILE", "wrong.txt")).0, Some(12));
    let said = &["stats", "--passphrase-file", "pass.txt"];
    assert_eq!(code(bare(&house, said).env("CHARTVAULT_PASSPHRASE_FILE", "wrong.txt")).0, Some(0));
    let tail = &["audit", "tail"];
    let told = |command: &mut Command| {
        code(command.env("CHARTVAULT_TOKEN_FILE", "officer.token").env("CHARTVAULT_PURPOSE", "operations"))
    };
    assert_eq!(told(&mut house.tool(tail)).0, Some(0));
}

#[test]
fn a_recovery_key_and_a_key_file_open_the_vault() {
    let house = House::empty();
    house.done(&["init", "--recovery-file", "recovery.txt"]);
    house.done(&["key", "add", "key-file", "--out", "stick.key"]);
    assert_eq!(code(&mut bare(&house, &["stats", "--recovery-key-file", "recovery.txt"])).0, Some(0));
    assert_eq!(code(&mut bare(&house, &["stats", "--key-file", "stick.key"])).0, Some(0));
    assert_eq!(code(bare(&house, &["stats"]).env("CHARTVAULT_KEY_FILE", "stick.key")).0, Some(0));
    house.write("slip.txt", &house.read("recovery.txt").replacen(char::is_alphanumeric, "!", 1));
    assert_eq!(code(&mut bare(&house, &["stats", "--recovery-key-file", "slip.txt"])).0, Some(12));
}

#[test]
fn without_a_terminal_nothing_is_taken_for_a_passphrase() {
    let house = House::with_vault();
    if Command::new("setsid").arg("true").output().is_err() {
        println!("skipped: there is no setsid");
        return;
    }
    // In a session of its own there is no terminal to ask at.
    let mut alone = Command::new("setsid");
    alone.args(["-w", env!("CARGO_BIN_EXE_chartvault"), "stats", "--vault", "clinic.vault"]);
    for name in ["CHARTVAULT_PASSPHRASE_FILE", "CHARTVAULT_PASSPHRASE_COMMAND", "CHARTVAULT_KEY_FILE"] {
        alone.env_remove(name);
    }
    alone.current_dir(house.path("")).stdin(File::open(house.path("pass.txt")).unwrap());
    let (code, err) = code(&mut alone);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("--passphrase-file, --passphrase-fd or --passphrase-command"), "{err}");
}

#[test]
fn a_secret_that_others_may_read_is_not_taken() {
    let house = House::with_vault();
    for name in ["pass.txt", "officer.token", "issuer.key"] {
        let about = fs::metadata(house.path(name)).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600, "{name}");
        set_mode(&house.path(name), 0o640);
        let mint = ["token", "mint", "--issuer", "issuer.key", "--to", "x", "--out", "x.token"];
        let tail = ["audit", "tail", "--token", "officer.token", "--purpose", "operations"];
        let ran = house.run(if name == "issuer.key" { &mint } else { &tail });
        assert_eq!(ran.code, Some(1), "{name}: {}", ran.err);
        assert!(ran.err.contains(&format!("chmod 600 {name}")), "{}", ran.err);
        set_mode(&house.path(name), 0o600);
    }
}

#[test]
fn passphrases_that_are_none_are_told_apart() {
    let house = House::with_vault();
    house.write("empty.txt", "\n");
    let (ended, err) = code(&mut bare(&house, &["stats", "--passphrase-file", "empty.txt"]));
    assert!(ended == Some(1) && err.contains("is empty"), "{err}");
    let (ended, err) = code(&mut bare(&house, &["stats", "--passphrase-file", "nowhere.txt"]));
    assert!(ended == Some(1) && err.contains("nowhere.txt"), "{err}");
    let (ended, err) = code(&mut bare(&house, &["stats", "--passphrase-command", "exit 3"]));
    assert!(ended == Some(1) && err.contains("the passphrase command failed"), "{err}");
    let (ended, err) = code(&mut bare(&house, &["stats", "--passphrase-fd", "93"]));
    assert!(ended == Some(1) && err.contains("file descriptor 93"), "{err}");
    let (ended, _) = code(&mut bare(&house, &["stats", "--passphrase-fd", "0", "--passphrase-file", "pass.txt"]));
    assert_eq!(ended, Some(2), "one of them");
    let (ended, _) = code(&mut bare(&house, &["stats", "--passphrase", PASSPHRASE]));
    assert_eq!(ended, Some(2), "never as an argument");
}

#[test]
fn what_is_said_shows_neither_secrets_nor_patients() {
    let house = House::with_charts();
    house.write("more.ndjson", "{\"resourceType\":\"Patient\",\"id\":\"ama\",\"name\":\"Mensah\"}\nMensah\n");
    let import = ["import", "more.ndjson", "--token", "importer.token", "--purpose", "operations"];
    let runs = [
        house.run(&import),
        house.run(&[&import[..], &["--json", "--progress", "always"]].concat()),
        house.run(&["status"]),
        house.run(&["stats", "--count"]),
        house.run(&["check", "--all"]),
        house.run(&["doctor"]),
    ];
    for ran in runs {
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.len() > 20, "{said}");
        for hidden in [PASSPHRASE, "Mensah", "12345", "\"ama\"", "patient-"] {
            assert!(!said.contains(hidden), "{said}");
        }
    }
    let inspected = house.done(&["token", "inspect", "officer.token"]);
    assert!(!inspected.contains(house.read("officer.token").trim()), "a token's text is shown nowhere");
}

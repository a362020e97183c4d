//! A folder of backups under a process that is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chartvault::{BackupTarget, FolderTarget};

const FOLDER: &str = "CHARTVAULT_TEST_BACKUP_FOLDER";

/// What an object of this number holds: made in no time, so that a kill finds it being written.
fn bytes(number: usize) -> Vec<u8> {
    vec![u8::try_from(number % 251).unwrap(); (4 << 20) + number]
}

/// Writes until it is killed, when it is called by the test below.
#[test]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(FOLDER) else { return };
    let target = FolderTarget::open(path).unwrap();
    let mut begin = 0;
    target.list("objects/", &mut |_| begin += 1).unwrap();
    for number in begin.. {
        target.put_new(&format!("objects/{number:06}"), &bytes(number)).unwrap();
        println!("\nacknowledged {number}");
    }
}

#[test]
fn what_is_listed_after_a_kill_is_whole_and_what_was_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("target");
    FolderTarget::create(&path).unwrap();
    for kill in 0..16 {
        let acknowledged = killed_after(&path, Duration::from_micros(kill * 400));
        let target = FolderTarget::open(&path).unwrap();
        let mut there = Vec::new();
        target.list("", &mut |object| there.push(object)).unwrap();
        assert!(there.len() > acknowledged, "{} are there, and number {acknowledged} was acknowledged", there.len());
        for (number, object) in there.iter().enumerate() {
            assert_eq!(object.name, format!("objects/{number:06}"));
            assert!(target.get(&object.name, 20 << 20).unwrap() == bytes(number), "kill {kill}: {}", object.name);
        }
    }
}

/// Kills a process that writes so long after its first acknowledgement, and gives the last number that it acknowledged.
fn killed_after(path: &Path, wait: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "folder::writes_until_it_is_killed", "--nocapture"])
        .env(FOLDER, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let number = |line: String| line.strip_prefix("acknowledged ").map(|number| number.parse().unwrap());
    let mut numbers = lines.filter_map(number);
    let mut last = numbers.by_ref().next().unwrap();
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still said before it was killed.
    for number in numbers {
        last = number;
    }
    last
}

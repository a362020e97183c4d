//! Imports that end early go on, and bring nothing in twice.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::house::{House, Ran};

const IMPORT: [&str; 6] = ["import", "-", "--token", "importer.token", "--purpose", "operations"];

/// An import that reads its standard input, which the test writes.
pub struct Importing {
    child: Child,
    err: BufReader<ChildStderr>,
    told: String,
}

impl Importing {
    pub fn start(house: &House) -> Self {
        let mut command = house.tool(&IMPORT);
        command.args(["--json", "--progress", "always"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Self { child, err, told: String::new() }
    }

    /// Writes a line; whether anybody reads it.
    pub fn line(&mut self, text: &str) -> bool {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(format!("{text}\n").as_bytes()).is_ok()
    }

    /// Its vault is open then.
    pub fn wait_until_it_reads(&mut self) {
        assert!(self.line(&observation(0)));
        while !self.told.contains("importing -") {
            assert!(self.err.read_line(&mut self.told).unwrap() > 0, "{}", self.told);
        }
    }

    pub fn end(mut self) -> Ran {
        drop(self.child.stdin.take());
        self.err.read_to_string(&mut self.told).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Ran { err: self.told, ..Ran::of(&output) }
    }
}

fn observation(number: usize) -> String {
    format!(r#"{{"resourceType":"Observation","id":"o{number}","subject":{{"reference":"Patient/p{}"}}}}"#, number % 7)
}

/// What stands in all charts, line by line, sorted.
fn all(house: &House) -> Vec<String> {
    let export = ["export", "--out", "-", "--token", "dr.osei.token", "--purpose", "treatment"];
    let mut lines: Vec<String> = house.done(&export).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn an_import_that_was_interrupted_goes_on() {
    let house = House::with_vault();
    let mut importing = Importing::start(&house);
    importing.wait_until_it_reads();
    let first = (1..500).take_while(|number| importing.line(&observation(*number))).count() + 1;
    let pid = importing.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    // It ends at the next line after it heard of the signal.
    let mut given = first;
    while importing.line(&observation(given)) {
        given += 1;
        thread::sleep(Duration::from_millis(5));
        assert!(given < 10_000, "it does not end");
    }
    let ended = importing.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.err.contains("run the same command again to go on"), "{}", ended.err);
    let put = usize::try_from(ended.json()["put"].as_u64().unwrap()).unwrap();
    assert_eq!(all(&house).len(), put, "what it told is there");
    assert!(put >= 1 && put <= given, "{put}");

    let lines: Vec<String> = (0..given + 100).map(observation).collect();
    let again = house.run_with(&[&IMPORT[..], &["--json"]].concat(), lines.join("\n").as_bytes());
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_eq!(again.json()["already_there"].as_u64(), Some(u64::try_from(put).unwrap()));
    assert_eq!(again.json()["put"].as_u64(), Some(u64::try_from(lines.len() - put).unwrap()));
    let mut wanted = lines;
    wanted.sort();
    assert_eq!(all(&house), wanted);
}

/// Even where it was given no time to end.
#[test]
fn an_import_that_was_killed_goes_on() {
    let house = House::with_vault();
    let mut importing = Importing::start(&house);
    importing.wait_until_it_reads();
    let given = (1..1_000).take_while(|number| importing.line(&observation(*number))).count() + 1;
    importing.child.kill().unwrap();
    let ended = importing.end();
    assert_eq!((ended.code, ended.out.as_str()), (None, ""));
    let there = all(&house).len();
    let lines: Vec<String> = (0..given).map(observation).collect();
    let again = house.run_with(&[&IMPORT[..], &["--json"]].concat(), lines.join("\n").as_bytes());
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_eq!(again.json()["already_there"].as_u64(), Some(u64::try_from(there).unwrap()));
    let mut wanted = lines;
    wanted.sort();
    assert_eq!(all(&house), wanted);
}

#[test]
fn a_packed_file_comes_in_and_goes_out_byte_by_byte() {
    let house = House::with_vault();
    let lines: Vec<String> = (0..300).map(observation).collect();
    let packed = zstd::encode_all(lines.join("\n").as_bytes(), 3).unwrap();
    std::fs::write(house.path("in.ndjson.zst"), packed).unwrap();
    house.done(&["import", "in.ndjson.zst", "--token", "importer.token", "--purpose", "operations"]);
    house.done(&["export", "--out", "out.ndjson.zst", "--token", "dr.osei.token", "--purpose", "treatment"]);
    let out = zstd::decode_all(std::fs::File::open(house.path("out.ndjson.zst")).unwrap()).unwrap();
    let mut out: Vec<&str> = std::str::from_utf8(&out).unwrap().lines().collect();
    out.sort_unstable();
    let mut wanted = lines.clone();
    wanted.sort();
    assert_eq!(out, wanted);
    // Half a file brings in what can be read of it, and says so.
    let half = std::fs::read(house.path("in.ndjson.zst")).unwrap();
    std::fs::write(house.path("half.ndjson.zst"), &half[..half.len() / 2]).unwrap();
    let ran = house.run(&["import", "half.ndjson.zst", "--token", "importer.token", "--purpose", "operations"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("reading half.ndjson.zst failed"), "{}", ran.err);
}

/// Examples of HL7, odd and complete.
#[test]
fn published_examples_come_in() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hl7-r4-clinical.ndjson.zst");
    if !data.is_file() {
        println!("skipped: ../shared/data is not there");
        return;
    }
    let house = House::with_vault();
    let path = data.display().to_string();
    let import = |more: &[&str]| {
        let args = ["import", &path, "--json", "--token", "importer.token", "--purpose", "operations"];
        let ran = house.run(&[&args[..], more].concat());
        // The same resource stands in it several times, and six times it is another one.
        assert_eq!(ran.code, Some(3), "{}", ran.err);
        ran.json()
    };
    let (planned, done, again) = (import(&["--dry-run"]), import(&[]), import(&[]));
    for count in ["resources", "put", "already_there", "refused", "patients_registered", "in_facility"] {
        assert_eq!(planned[count], done[count], "{count}");
    }
    assert_eq!((again["put"].as_u64(), again["refused"].as_u64()), (Some(0), done["refused"].as_u64()));
    assert_eq!(all(&house).len() as u64, done["put"].as_u64().unwrap());
}

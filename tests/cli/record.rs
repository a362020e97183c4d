//! Each verb's answers, word for word, in `tests/cli/recorded/*.txt`. What differs from run to run (ids, times, sizes of
//! files) has a placeholder, which stands for the same id wherever it is named again, in a command as well.
//!
//! `CHARTVAULT_RECORD=1 cargo test --test cli` writes them anew; then read what changed.
//!
//! In a record, `$` begins a command, `<` after it what comes on its standard input; `!` a line of standard error, `=` an exit
//! code that is not 0, `#` a remark. Any other line is standard output, which `| sort` sorts where its order differs.
//! `write FILE TEXT` makes a file, `directory DIR` a directory. A record whose first line is `# empty` begins with an empty
//! directory, any other with a vault with charts.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::house::House;

macro_rules! records {
    ($($name:ident),* $(,)?) => {
        const RECORDS: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { replay(stringify!($name)); })*
    };
}

records! { init, status, import, reading, export, token, audit, check, key, review, report, backup, manual }

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/recorded")
}

fn replay(name: &str) {
    let path = dir().join(format!("{name}.txt"));
    let recorded = fs::read_to_string(&path).unwrap();
    let house = if recorded.starts_with("# empty") { House::empty() } else { House::with_charts() };
    let mut names = Names::default();
    let mut now = String::new();
    for line in recorded.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            now.push_str(&format!("{line}\n{}", run(&house, command, &mut names)));
        } else if line.is_empty() || line.starts_with('#') {
            let blank = line.is_empty() && now.ends_with("\n\n");
            if !blank {
                now.push_str(&format!("{line}\n"));
            }
        }
    }
    let now = format!("{}\n", now.trim_end());
    if std::env::var_os("CHARTVAULT_RECORD").is_some() {
        fs::write(&path, now).unwrap();
        return;
    }
    for (number, (then, now)) in (1..).zip(recorded.lines().zip(now.lines())) {
        assert_eq!(now, then, "{name}.txt, line {number}");
    }
    assert_eq!(now.lines().count(), recorded.lines().count(), "{name}.txt");
}

/// Runs a command, and gives what it said as it stands in a record, with an empty line behind.
fn run(house: &House, command: &str, names: &mut Names) -> String {
    let words = split(&names.real(command));
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Rows in the order of ids that are drawn.
    let sort = words.ends_with(&["|", "sort"]);
    if sort {
        words.truncate(words.len() - 2);
    }
    if let ["write", file, text] = words[..] {
        house.write(file, &format!("{text}\n"));
        return "\n".to_owned();
    }
    if let ["directory", name] = words[..] {
        fs::create_dir(house.path(name)).unwrap();
        return "\n".to_owned();
    }
    let input = words.iter().position(|word| *word == "<").map(|at| {
        let input = house.read(words[at + 1]);
        words.truncate(at);
        input
    });
    assert_eq!(words[0], "chartvault", "a record runs the tool alone");
    let place = house.path("").canonicalize().unwrap().display().to_string();
    let ran = house.run_with(&words[1..], input.unwrap_or_default().as_bytes());
    let mut out: Vec<String> = names.shown(&ran.out.replace(&place, "[here]")).lines().map(str::to_owned).collect();
    if sort {
        out.sort();
    }
    let mut said: String = out.iter().map(|line| format!("{line}\n")).collect();
    said.extend(names.shown(&ran.err).lines().map(|line| format!("{}\n", format!("! {line}").trim_end())));
    if ran.code != Some(0) {
        said.push_str(&format!("= {}\n", ran.code.unwrap()));
    }
    // Lines that are empty in the middle of an answer are not kept, since one that is empty ends it.
    let said: String =
        said.lines().filter(|line| !line.trim_end().is_empty()).map(|line| format!("{line}\n")).collect();
    format!("{said}\n")
}

/// Words as a shell has them, with single quotes.
fn split(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for letter in command.chars() {
        match letter {
            '\'' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            letter => word.push(letter),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

/// Placeholders for what differs from run to run.
#[derive(Default)]
struct Names {
    /// What was seen, and its placeholder.
    known: Vec<(String, String)>,
    counts: HashMap<String, usize>,
}

const SORTS: [&str; 12] = [
    "age1",
    "vault-",
    "patient-",
    "ref-",
    "rid-",
    "principal-",
    "issuer-",
    "session-",
    "ticket-",
    "case-",
    "flag-",
    "cvpk1_",
];
/// Numbers that follow these differ.
const SIZES: [&str; 16] = [
    "bytes  ",
    "\"bytes\":",
    "\"journal_bytes\":",
    "\"time_us\":",
    "\"stored_bytes\":",
    "seconds\":",
    "seconds  ",
    "recovery time  ",
    // Anchors are told of by a thread of their own.
    "log entries  ",
    "\"log_entries\":",
    "would be lost seconds  ",
    "Check of everything, ",
    "Check of the trees, ",
    "frames (",
    // Whether the system lets the tool lock its memory is a finding of the report, and left out of it here.
    "low  ",
    "[time]: ",
];

impl Names {
    /// A command with what its placeholders stand for.
    fn real(&self, command: &str) -> String {
        self.known.iter().fold(command.to_owned(), |command, (real, shown)| command.replace(shown, real))
    }

    fn shown(&mut self, text: &str) -> String {
        let (mut shown, mut left_out) = (String::new(), false);
        for line in text.lines() {
            // A finding is indented but for its first line.
            left_out = line.contains("memory of this process") || left_out && line.starts_with("   ");
            if !left_out {
                shown.push_str(&self.line(line));
                shown.push('\n');
            }
        }
        shown
    }

    fn line(&mut self, line: &str) -> String {
        // Lines of a signed note.
        match line.split_once(' ') {
            Some(("\u{2014}", _)) => return "\u{2014} [signature]".to_owned(),
            None if line.len() == 44 && line.ends_with('=') => return "[root]".to_owned(),
            _ => {}
        }
        let (mut shown, mut rest) = (String::new(), line);
        while let Some(first) = rest.chars().next() {
            let begins = !shown.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '_');
            let found = if begins { self.varying(rest) } else { None };
            match found {
                Some((length, placeholder)) => {
                    shown.push_str(&placeholder);
                    rest = &rest[length..];
                }
                None => {
                    shown.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        SIZES.iter().fold(narrow(&shown), |shown, size| sized(&shown, size))
    }

    /// Whether something that differs begins here: its length, and its placeholder.
    fn varying(&mut self, rest: &str) -> Option<(usize, String)> {
        let run = |of: fn(char) -> bool| rest.find(|letter| !of(letter)).unwrap_or(rest.len());
        let hex = run(|letter| matches!(letter, '0'..='9' | 'a'..='f'));
        if let Some(sort) = SORTS.iter().find(|sort| rest.starts_with(**sort)) {
            let inside = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
            let length =
                sort.len() + rest[sort.len()..].find(|letter| !inside(letter)).unwrap_or(rest.len() - sort.len());
            let id = &rest[..length];
            if id == format!("patient-{}", "0".repeat(32)) {
                return Some((length, "[facility]".to_owned()));
            }
            let is_word = id.len() < sort.len() + 32;
            return (!is_word).then(|| (length, self.name(id, sort.trim_end_matches(['-', '_']))));
        }
        if rest.starts_with("chartvault.local/") {
            return Some((run(|letter| !letter.is_whitespace() && letter != '"'), "[log's name or key]".to_owned()));
        }
        let digits = |at: usize| rest.get(at..at + 2).is_some_and(|two| two.bytes().all(|byte| byte.is_ascii_digit()));
        let time = rest.get(10..11) == Some("T") && digits(0) && digits(2) && digits(5) && digits(8) && digits(11);
        if time && rest.contains('Z') {
            return Some((rest.find('Z')? + 1, "[time]".to_owned()));
        }
        match hex {
            64 => Some((64, "[hash]".to_owned())),
            32 => Some((32, "[id]".to_owned())),
            8 => {
                let short = &rest[..8];
                let of = self.known.iter().find(|(real, _)| real.contains(&format!("-{short}")));
                of.map(|(_, shown)| (8, shown.clone()))
            }
            _ if is_recovery_key(rest) => Some((76, "[recovery key]".to_owned())),
            _ => None,
        }
    }

    fn name(&mut self, id: &str, sort: &str) -> String {
        if let Some((_, shown)) = self.known.iter().find(|(real, _)| real == id) {
            return shown.clone();
        }
        let count = self.counts.entry(sort.to_owned()).or_default();
        *count += 1;
        let shown = format!("[{sort}-{count}]");
        self.known.push((id.to_owned(), shown.clone()));
        shown
    }
}

/// Eleven groups of six letters and digits.
fn is_recovery_key(rest: &str) -> bool {
    let groups =
        |key: &str| key.split('-').all(|group| group.len() == 6 && group.bytes().all(|b| b.is_ascii_alphanumeric()));
    rest.get(..76).is_some_and(|key| groups(key) && key == key.to_uppercase())
}

/// The number behind these words has a placeholder.
fn sized(line: &str, before: &str) -> String {
    let mut parts = line.split(before);
    let mut shown = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(part.len());
        let number = if end == 0 { "" } else { "[n]" };
        shown = format!("{shown}{before}{number}{}", &part[end..]);
    }
    shown
}

/// Columns are as wide as what differs is long: two spaces stand for any more of them.
fn narrow(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let words: Vec<&str> = line.trim().split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    format!("{}{}", &line[..indent.min(2)], words.join("  "))
}

#[test]
fn every_record_is_replayed() {
    for entry in fs::read_dir(dir()).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(RECORDS.contains(&name.as_str()), "{name} is no test");
    }
}

/// The manual has a page for each verb.
#[test]
fn every_verb_is_recorded() {
    let house = House::empty();
    fs::create_dir(house.path("man")).unwrap();
    house.done(&["man", "--out", "man"]);
    let pages: Vec<String> = fs::read_dir(house.path("man"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let all: String =
        RECORDS.iter().map(|name| fs::read_to_string(dir().join(format!("{name}.txt"))).unwrap()).collect();
    assert!(pages.len() > 40, "{pages:?}");
    let text = |page: &str| fs::read_to_string(house.path("man").join(format!("{page}.1"))).unwrap();
    // Those that differ from run to run, or do not end by themselves, have tests of their own.
    let told_elsewhere = ["chartvault-demo", "chartvault-backup-watch", "chartvault-backup-follow"];
    let leaves =
        pages.iter().filter(|page| !told_elsewhere.contains(&page.as_str()) && !text(page).contains(".SH SUBCOMMANDS"));
    for page in leaves {
        // `backup-header` is one word, and so is `close-case`.
        let words = ["backup-header", "close-case", "close-flag", "new-identity"]
            .iter()
            .find_map(|last| Some(format!("{} {last}", page.strip_suffix(&format!("-{last}"))?.replace('-', " "))));
        let command = format!("$ {}", words.unwrap_or_else(|| page.replace('-', " ")));
        let named = |line: &str| line == command || line.starts_with(&format!("{command} "));
        assert!(all.lines().any(named), "{command} is in no record");
    }
}

/// Programs rely on them.
#[test]
fn every_field_that_is_recorded_is_on_a_page() {
    let pages = concat!(include_str!("../../docs/cli.md"), include_str!("../../docs/format/exports.md"));
    let mut seen = 0;
    for name in RECORDS {
        let text = fs::read_to_string(dir().join(format!("{name}.txt"))).unwrap();
        let objects = text.lines().map(|line| line.trim_start_matches("! "));
        // Of a record that was put, the fields are those of whoever put it.
        for line in objects.filter(|line| line.starts_with('{') && !line.contains("resourceType")) {
            for part in line.split("\":").filter(|part| !part.is_empty()) {
                let field = part.rsplit('"').next().unwrap();
                let is_field = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                if is_field && !part.ends_with('}') {
                    seen += 1;
                    assert!(pages.contains(&format!("`{field}`")), "{name}: {field} in {line}");
                }
            }
        }
    }
    assert!(seen > 150, "{seen}");
}

//! A directory to run the tool in, with a vault and tokens if need be.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub const PASSPHRASE: &str = "lamp otter violin gravel nine";

/// Two patients, one resource that belongs to nobody, in four lines.
pub const CHARTS: &str = r#"{"resourceType":"Patient","id":"ama","identifier":[{"system":"urn:mrn:clinic-a","value":"12345"}],"birthDate":"1981-04-02"}
{"resourceType":"Observation","id":"o1","status":"final","subject":{"reference":"Patient/ama"},"effectiveDateTime":"2026-03-01T08:30:00Z","valueString":"120/80"}
{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"kofi"}},{"resource":{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/kofi"},"onsetDateTime":"2025"}}]}
{"resourceType":"Organization","id":"clinic-a","name":"Clinic A"}
"#;

pub struct House {
    dir: TempDir,
}

impl House {
    /// An empty directory, but for the file of a passphrase.
    pub fn empty() -> Self {
        let house = Self { dir: tempfile::tempdir().unwrap() };
        house.write("pass.txt", &format!("{PASSPHRASE}\n"));
        house
    }

    /// With a vault that trusts an issuer, and tokens: of an importer, a doctor and an officer.
    pub fn with_vault() -> Self {
        let house = Self::empty();
        house.done(&["init", "--cipher", "aes256-gcm", "--issuer", "issuer.key"]);
        house.mint("importer", "create,read,list,amend", "operations");
        house.mint("dr.osei", "read,list,create,amend,export", "treatment");
        house.mint("officer", "audit,review,grant,operate,read", "operations");
        house
    }

    /// And with charts in it.
    pub fn with_charts() -> Self {
        let house = Self::with_vault();
        house.write("charts.ndjson", CHARTS);
        house.done(&["import", "charts.ndjson", "--token", "importer.token", "--purpose", "operations"]);
        house
    }

    /// A token for anybody's chart, in `NAME.token`.
    pub fn mint(&self, name: &str, actions: &str, purpose: &str) {
        let out = format!("{name}.token");
        let grant =
            ["token", "mint", "--issuer", "issuer.key", "--to", name, "--actions", actions, "--purpose", purpose];
        let rest = ["--all-patients", "--all-kinds", "--valid-for", "12h", "--out", &out];
        self.done(&[&grant[..], &rest[..]].concat());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A file for its owner alone.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
    }

    /// The tool, which finds the vault and its passphrase in the environment; of the rest of the environment it is told
    /// nothing that changes what it says.
    pub fn tool(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartvault"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHARTVAULT") {
                command.env_remove(name);
            }
        }
        command.env_remove("COLUMNS").env("CHARTVAULT", "clinic.vault").env("CHARTVAULT_PASSPHRASE_FILE", "pass.txt");
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&self.tool(args).output().unwrap())
    }

    /// With something on standard input.
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.tool(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Whoever does not read its input ends before it is written.
        drop(child.stdin.take().unwrap().write_all(input));
        Ran::of(&child.wait_with_output().unwrap())
    }

    /// Runs what has to succeed.
    pub fn done(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        ran.out
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
}

/// The bytes of a file, for damage.
pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

//! What to do with a damaged vault: `cargo run --release --example repair`.
//!
//! Makes a vault of the sample data, damages copies of it in three ways, checks the one that still opens, salvages each,
//! prints the reports, and exports what verifies. Leaves nothing behind, and exits with failure unless each turns out as it has to.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chartvault::{
    Action, AnyEntry, CheckReport, CheckScope, Confidentiality, Grant, IssuerKey, Kind, Options, Purpose, PutOptions,
    RawKey, SalvageReport, Token, Vault,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Resources that are put; a few hundred damage quicker than all.
const RESOURCES: usize = 300;

fn main() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let clinic = Clinic::create(dir.path())?;
    println!("A vault with {RESOURCES} resources of the sample data, closed.\n");

    println!("== One flipped bit in an old frame of the journal; the trees are as they were");
    let report = clinic.check("checked", flip_a_frame)?;
    expect(report.grave == 1 && report.findings.len() == 1, "a check names the frame, and nothing else")?;
    let report = clinic.repair("bit", flip_a_frame)?;
    expect(report.is_whole(), "all of it is proved to be back")?;

    println!("== The same, and the trees are lost");
    let report = clinic.repair("bit-and-trees", |vault| {
        flip_a_frame(vault)?;
        Ok(fs::remove_dir_all(vault.join("sled-1"))?)
    })?;
    expect(report.doubt.is_some(), "what nobody has is in doubt, and only that")?;

    println!("== A segment of the journal is cut in half, and the trees are lost");
    let report = clinic.repair("cut", |vault| {
        let segment = fs::OpenOptions::new().write(true).open(vault.join("journal/0000000002.cvj"))?;
        segment.set_len(segment.metadata()?.len() / 2)?;
        Ok(fs::remove_dir_all(vault.join("sled-1"))?)
    })?;
    expect(!report.lost_frames.is_empty(), "what is missing is named")?;
    Ok(())
}

struct Clinic {
    dir: PathBuf,
    key: RawKey,
    token: Token,
}

impl Clinic {
    fn create(dir: &Path) -> Outcome<Self> {
        let (key, issuer) = (RawKey::generate()?, IssuerKey::generate()?);
        let (vault, _) = Vault::create(dir.join("clinic.vault")).raw_key(&key).options(options()).finish()?;
        vault.trust_issuer(issuer.public(), &key)?;
        let token = Grant::to("records.office")
            .all_patients()
            .all_kinds()
            .actions(Action::ALL.iter().copied())
            .purpose(Purpose::Operations)
            .sensitivity(Confidentiality::VeryRestricted)
            .valid_for(Duration::from_secs(3_600))
            .sign(&issuer, vault.id())?;
        let session = vault.session(&token, Purpose::Operations)?;
        let mut charts = HashMap::new();
        for line in sample()?.lines().take(RESOURCES) {
            let resource: serde_json::Value = serde_json::from_str(line)?;
            let named = [&resource["subject"]["reference"], &resource["patient"]["reference"], &resource["id"]];
            let patient = named.into_iter().find_map(|name| name.as_str()).unwrap_or("unknown").to_owned();
            let chart = match charts.get(&patient) {
                Some(chart) => *chart,
                None => session.register_patient([])?,
            };
            charts.insert(patient, chart);
            let kind = Kind::new(resource["resourceType"].as_str().ok_or("a resource without its type")?)?;
            session.put_verbatim(chart, &kind, line.as_bytes(), PutOptions::new())?;
        }
        vault.close()?;
        Ok(Self { dir: dir.to_owned(), key, token })
    }

    /// Damages a copy that still opens, and checks it in use.
    fn check(&self, name: &str, damage: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<CheckReport> {
        let damaged = self.dir.join(format!("{name}.vault"));
        copy(&self.dir.join("clinic.vault"), &damaged)?;
        damage(&damaged)?;
        let vault = Vault::open_with(&damaged, options())?.unlock(&self.key)?;
        let report = vault.check(CheckScope::All, &mut |_| ())?;
        println!("{report}");
        vault.close()?;
        Ok(report)
    }

    /// Damages a copy, salvages it, and exports what verifies.
    fn repair(&self, name: &str, damage: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<SalvageReport> {
        let (damaged, into) = (self.dir.join(format!("{name}.vault")), self.dir.join(format!("{name}.salvaged")));
        copy(&self.dir.join("clinic.vault"), &damaged)?;
        damage(&damaged)?;
        let report = Vault::open_with(&damaged, options())?.salvage(&self.key, &into)?;
        println!("{report}\n");

        let vault = Vault::open_with(&into, options())?.unlock(&self.key)?;
        let purpose = Purpose::Operations;
        let session = vault.session_with(&self.token, purpose).accept_doubtful().open()?;
        let mut export = session.export().include_voided().start()?;
        let entries: Vec<AnyEntry> = export.by_ref().collect::<Result<_, _>>()?;
        let doubtful = entries.iter().filter(|entry| entry.is_doubtful()).count();
        println!(
            "Exported {} records, {doubtful} of them in doubt; at {} places something is missing.\n",
            entries.len(),
            export.missing()
        );
        vault.close()?;
        Ok(report)
    }
}

/// Small segments, so that a small vault has several.
fn options() -> Options {
    Options::new().segment_bytes(128 << 10, 256 << 10).cache_bytes(16 << 20)
}

/// The sample data, a resource a line.
fn sample() -> Outcome<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/carebundle-200.ndjson.zst");
    Ok(String::from_utf8(zstd::decode_all(fs::File::open(path)?)?)?)
}

/// Flips one bit in the middle of the tenth frame of the first segment.
fn flip_a_frame(vault: &Path) -> Outcome<()> {
    let path = vault.join("journal/0000000001.cvj");
    let mut bytes = fs::read(&path)?;
    let frames = (512..bytes.len()).step_by(8).filter(|at| bytes[*at..].starts_with(b"CVF1\0"));
    let tenth = frames.take(10).last().ok_or("a journal without frames")?;
    bytes[tenth + 120] ^= 1;
    Ok(fs::write(&path, bytes)?)
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn expect(holds: bool, what: &str) -> Outcome<()> {
    println!("{}: {what}.\n", if holds { "As it has to be" } else { "NOT as it has to be" });
    if holds { Ok(()) } else { Err(what.into()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_damage_turns_out_as_it_has_to() {
        super::main().unwrap();
    }
}

//! Who has neither the vault nor its keys: a file, and a key that was pinned on the first day.

use std::fs;
use std::path::{Path, PathBuf};

use chartvault::{AuditFilter, Checkpoint, Outcome as Ended};
use chartvault_verify::bundle::{Report, Trust, verify_bundle};
use chartvault_verify::merkle::leaf_hash;

use crate::house::House;
use crate::show::{item, say};
use crate::{Outcome, must};

/// Where items begin: behind magic and vault id.
const HEAD: usize = 24;
const FINAL: u8 = 2;
const ENTRY: u8 = 6;
const END: u8 = 7;

pub struct Exported {
    pub path: PathBuf,
    /// What the outsider keeps from now on.
    pub kept: Checkpoint,
}

pub fn export(house: &House, dir: &Path) -> Outcome<Exported> {
    let auditor = house.auditor()?;
    let denied = auditor.audit()?.query(AuditFilter::new().outcome(Ended::Denied)).limit(1).page()?;
    let seq = denied.entries.first().ok_or("nothing was denied")?.seq;
    let size = house.vault().log_checkpoint()?.size;
    let path = dir.join("log.bundle");
    let mut file = fs::File::create(&path)?;
    let bundled = auditor.audit()?.bundle(0..size).disclosing(seq, "complaint 12").write(&mut file)?;
    fs::write(dir.join("pinned.key"), &house.pinned)?;
    item("log.bundle", &bundled);
    item("disclosed", format!("entry {seq} alone, a denial; all others stay sealed"));
    Ok(Exported { path, kept: bundled.checkpoint })
}

fn verify(house: &House, bundle: &[u8], kept: Option<&Checkpoint>) -> Outcome<Report> {
    let trust = Trust::keys([house.pinned.parse()?]);
    let trust = kept.map_or(trust.clone(), |kept| trust.and_checkpoint(kept.note.clone()));
    Ok(verify_bundle(bundle, &trust)?)
}

pub fn check(house: &House, exported: &Exported) -> Outcome<()> {
    let report = verify(house, &fs::read(&exported.path)?, Some(&exported.kept))?;
    report.to_string().lines().for_each(say);
    let sound = report.integrity.is_sound() && report.completeness.is_sound() && report.freshness.is_sound();
    must(sound && report.disclosed.len() == 1, "the bundle is not sound")
}

/// The items of a bundle: type, and value.
fn items(bundle: &[u8]) -> Outcome<Vec<(u8, Vec<u8>)>> {
    let (mut items, mut rest) = (Vec::new(), bundle.get(HEAD..).unwrap_or_default());
    while let Some((head, behind)) = rest.split_first_chunk::<5>() {
        let [kind, len @ ..] = *head;
        let len = usize::try_from(u32::from_be_bytes(len))?;
        let (value, behind) = behind.split_at_checked(len).ok_or("the bundle is cut")?;
        items.push((kind, value.to_vec()));
        rest = behind;
    }
    Ok(items)
}

/// A bundle with these items. The hash at its end is made anew, as any forger would.
fn bundle_of(bundle: &[u8], items: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut made = bundle.get(..HEAD).unwrap_or_default().to_vec();
    for (kind, value) in items.iter().filter(|(kind, _)| *kind != END) {
        made.push(*kind);
        made.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        made.extend(value);
    }
    let hash = chartvault_verify::bundle::hash_of(&made);
    made.push(END);
    made.extend(32_u32.to_be_bytes());
    made.extend(hash);
    made
}

type Edit<'a> = (&'static str, &'a dyn Fn(&mut Vec<(u8, Vec<u8>)>));

pub fn ten_edits(house: &House, exported: &Exported) -> Outcome<()> {
    let bundle = fs::read(&exported.path)?;
    let whole = items(&bundle)?;
    let first = whole.iter().position(|(kind, _)| *kind == ENTRY).ok_or("no entries")?;
    let entries = whole.iter().filter(|(kind, _)| *kind == ENTRY).count();
    let at = first + entries / 2;
    let edits: [Edit<'_>; 10] = [
        ("an entry changed", &|items| items[at].1[140] ^= 1),
        ("an entry deleted", &|items| drop(items.remove(at))),
        ("an entry inserted", &|items| items.insert(at, items[first].clone())),
        ("two entries exchanged", &|items| items.swap(at, at + 1)),
        ("an entry twice", &|items| items.insert(at, items[at].clone())),
        ("the tail cut", &|items| items.truncate(at)),
        ("all hashes made anew", &|items| {
            items[at].1[140] ^= 1;
            for next in at + 1..first + entries {
                let leaf = leaf_hash(&items[next - 1].1);
                items[next].1[46..78].copy_from_slice(&leaf);
            }
        }),
        ("of another vault", &|items| items[at].1[10] ^= 1),
        ("a root nobody signed", &|items| {
            let note = String::from_utf8_lossy(&items[0].1).into_owned();
            let root = note.lines().nth(2).unwrap_or_default();
            items[0].1 = note.replacen(root, &format!("AAAA{}", &root[4..]), 1).into_bytes();
        }),
        ("no final checkpoints", &|items| items.retain(|(kind, _)| *kind != FINAL)),
    ];
    for (name, edit) in edits {
        let mut edited = whole.clone();
        edit(&mut edited);
        let report = verify(house, &bundle_of(&bundle, &edited), None)?;
        let verdicts = [("integrity", &report.integrity), ("completeness", &report.completeness)];
        let (verdict, why) = verdicts.into_iter().find(|(_, verdict)| verdict.is_unsound()).ok_or(name)?;
        let why = why.to_string();
        item(name, format!("{verdict}: {}", why.lines().nth(1).unwrap_or_default().trim()));
    }
    Ok(())
}

//! What `Vault::check` must say: a vault that nobody hurt is sound, and a bit that rotted is found where it is.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chartvault::{CheckReport, CheckScope, Error, FindingPlace, Severity, Vault};

use crate::judge::{self, Fault, Verdict, wrong};
use crate::keys;
use crate::ledger::Ledger;

/// A file of a vault that is not as it was written, as a check must find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wound {
    /// Within the vault.
    pub path: PathBuf,
    /// The byte and the bit that rot while the vault is open; nothing for what was damaged before.
    pub while_open: Option<(u64, u8)>,
}

impl Wound {
    /// As words of a question.
    pub(crate) fn words(&self) -> String {
        let (byte, bit) = self.while_open.map_or((String::new(), 0), |(byte, bit)| (byte.to_string(), bit));
        format!("{byte} {bit} {}", self.path.display())
    }

    pub(crate) fn parse(words: &str) -> Option<Self> {
        let mut words = words.splitn(3, ' ');
        let (byte, bit) = (words.next()?, words.next()?.parse().ok()?);
        let while_open = if byte.is_empty() { None } else { Some((byte.parse().ok()?, bit)) };
        Some(Self { path: words.next()?.into(), while_open })
    }
}

fn check(vault: &Vault) -> Result<CheckReport, Error> {
    vault.check(CheckScope::All, &mut |_| ())
}

/// What a class says of trees that a check built anew.
pub(crate) const TREES_MENDED: &str = "trees mended by a check";

/// Nothing may be wrong: nothing but what the check mends itself, and that is told.
pub(crate) fn sound(vault: &Vault) -> Result<&'static str, Fault> {
    let report = check(vault)?;
    match report.total() {
        _ if !report.is_sound() => Err(Fault::Unsound(report.to_string())),
        0 => Ok("checked"),
        _ => Ok(TREES_MENDED),
    }
}

/// Opens the vault and has it checked: it must find this wound, nothing far from it, and read on as if it were not there
/// or name it. Once a bit that rotted meanwhile is right again, nothing may be wrong any more.
pub fn judge(dir: &Path, seed: u64, ledger: &Ledger, wound: &Wound) -> Verdict {
    judge::verdict(ledger, || find(dir, seed, ledger, wound))
}

fn find(dir: &Path, seed: u64, ledger: &Ledger, wound: &Wound) -> Result<String, Fault> {
    let (vault, _) = judge::open(dir, seed, ledger)?;
    let path = dir.join(&wound.path);
    wound.while_open.map_or(Ok(()), |bit| flip(&path, bit))?;
    let report = check(&vault)?;
    let there = |place: &FindingPlace| match place {
        FindingPlace::File { path, .. } => *path == wound.path,
        _ => false,
    };
    let Some(finding) = report.findings.iter().find(|finding| there(&finding.place)) else {
        return wrong(format!("a check does not find {wound:?}: {}", report.to_string().replace('\n', "; ")));
    };
    if let (Some((byte, _)), FindingPlace::File { offset, .. }) = (wound.while_open, &finding.place)
        && *offset > byte
    {
        return wrong(format!("rotted at byte {byte}, found behind it: {finding}"));
    }
    if let Some(other) = report
        .findings
        .iter()
        .find(|finding| matches!(finding.place, FindingPlace::File { .. }) && !there(&finding.place))
    {
        return wrong(format!("rotted in {}, found as well: {other}", wound.path.display()));
    }
    let severity = finding.severity;
    let mut class = format!("found by a check: {}", word(severity));
    let session = keys::session(seed, &vault)?;
    let owed = judge::owed(&vault, ledger)?;
    let read = judge::glance(&session, seed, ledger, owed);
    match read {
        Ok(()) => class.push_str(", all read"),
        Err(Fault::Error(error)) if severity == Severity::Grave => {
            class.push_str(&format!(", reading answered {}", judge::name(&error)));
        }
        Err(fault) => return Err(fault),
    }
    // What was mended was written anew.
    if let Some(bit) = wound.while_open.filter(|_| severity != Severity::Mended) {
        flip(&path, bit)?;
        let again = check(&vault)?;
        if again.total() > 0 {
            return wrong(format!(
                "the bit is right again, and a check says {}",
                again.to_string().replace('\n', "; ")
            ));
        }
    }
    drop(session);
    vault.close()?;
    Ok(class)
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Mended => "mended",
        Severity::Mendable => "mendable",
        _ => "grave",
    }
}

fn flip(path: &Path, (byte, bit): (u64, u8)) -> Result<(), Fault> {
    let flipped = || -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut there = [0];
        file.read_exact_at(&mut there, byte)?;
        file.write_all_at(&[there[0] ^ (1 << bit)], byte)
    };
    flipped().map_err(|error| Fault::Wrong(format!("{}, byte {byte}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wound_is_told_from_one_process_to_another() {
        for while_open in [None, Some((77, 3))] {
            let wound = Wound { path: "journal/0000000001.cvj".into(), while_open };
            assert_eq!(Wound::parse(&wound.words()).as_ref(), Some(&wound));
        }
        assert_eq!(Wound::parse("7 x state.a"), None);
    }
}

//! `doctor`: what somebody who looks after the vault should see to.

use std::fs;
use std::path::PathBuf;

use chartvault::{KeyRisk, Purpose, Weight};
use clap::Args;
use serde_json::json;

use crate::args::Common;
use crate::door::{Door, directory, open, read_token};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::mends::verb_for;
use crate::platform;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table, printable};
use crate::words;

/// Say what should be seen to: keys, files, rights, the log
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault doctor
  chartvault doctor --token officer.token --purpose operations

With a token that has the audit action it also says what is wrong with rights, reviews and the log.
Exit code 21: there is something to see to. It shows nothing about any patient.")]
pub struct Doctor {
    /// The file of a token with the audit action
    #[arg(long, value_name = "FILE", requires = "purpose")]
    token: Option<PathBuf>,
    /// The purpose of use of its session
    #[arg(long, value_name = "PURPOSE", env = "CHARTVAULT_PURPOSE", hide_env_values = true, value_parser = words::purpose)]
    purpose: Option<Purpose>,
    #[command(flatten)]
    credential: CredentialArgs,
}

/// Something to see to.
struct Finding {
    weight: Weight,
    code: &'static str,
    what: String,
    mend: String,
}

pub fn run(common: &Common, args: &Doctor, show: Show) -> Outcome {
    let token = args.token.as_deref().map(read_token).transpose()?;
    // Before the vault is opened, which mends some of it.
    let mut findings = files(common)?;
    let (vault, _) = open(common, &args.credential, show)?;
    findings.extend(opening(&vault));
    if let Some(doubt) = vault.doubt()? {
        findings.push(Finding {
            weight: Weight::High,
            code: "in-doubt",
            what: format!("the vault was salvaged, and parts of it may be older than they were, or missing: {doubt}"),
            mend: "restore a backup that is whole, or export with --accept-doubtful and go on in a new vault"
                .to_owned(),
        });
    }
    match token.zip(args.purpose) {
        Some((token, purpose)) => {
            let session = vault.session_with(&token, purpose).accept_doubtful().open()?;
            let report = vault.security_report(&session)?;
            findings.extend(report.findings.into_iter().map(|finding| Finding {
                weight: finding.weight,
                code: finding.code,
                what: finding.what,
                mend: verb_for(finding.code).unwrap_or(finding.mend).to_owned(),
            }));
        }
        None => findings.extend(keys(&vault)?),
    }
    let id = vault.id();
    vault.close()?;
    findings.sort_by_key(|finding| Weight::ALL.iter().position(|weight| *weight == finding.weight));
    tell(&findings, &id.to_string(), show)?;
    if args.token.is_none() {
        show.note("Rights, backups, anchors and the log are looked at with a token: --token FILE --purpose PURPOSE")?;
    }
    let grave = findings.iter().any(|finding| finding.weight != Weight::Note);
    Ok(if grave { Code::Warnings } else { Code::Ok })
}

fn tell(findings: &[Finding], vault: &str, show: Show) -> Outcome<()> {
    if show.json {
        let mut table = Table::new(&["weight", "code", "what", "do"]);
        for finding in findings {
            table.row([
                json!(finding.weight.to_string()),
                json!(finding.code),
                json!(finding.what),
                json!(finding.mend),
            ]);
        }
        return show.table("findings", &table, Facts::new().text_of("vault", vault));
    }
    if findings.is_empty() {
        return show.note(&format!("{vault}: nothing to see to"));
    }
    findings.iter().try_for_each(|finding| {
        show.note(&format!("{:<8}  {}", finding.weight.to_string(), printable(&finding.what)))?;
        show.note(&format!("          do: {}", printable(&finding.mend)))
    })
}

/// What the directory shows without a key.
fn files(common: &Common) -> Outcome<Vec<Finding>> {
    let dir = directory(common)?;
    let header = common.header.as_deref().unwrap_or(dir);
    let missing: Vec<_> = ["header.a", "header.b"].into_iter().filter(|name| !header.join(name).is_file()).collect();
    let mut findings = Vec::new();
    // Without both there is no vault, which opening says.
    if let [name] = missing.as_slice() {
        findings.push(Finding {
            weight: Weight::High,
            code: "header-copy-missing",
            what: format!("the header's copy {name} was missing; opening the vault writes it anew"),
            mend: "see what removed it".to_owned(),
        });
    }
    let mode = fs::metadata(dir).ok().and_then(|about| platform::open_to_others(&about));
    if let Some(mode) = mode {
        findings.push(Finding {
            weight: Weight::Note,
            code: "directory-open",
            what: format!(
                "others on this machine may look into the vault's directory (mode {mode:03o}), where all is sealed"
            ),
            mend: format!("chmod 700 {}", dir.display()),
        });
    }
    Ok(findings)
}

/// What the opening met.
fn opening(vault: &Door) -> Vec<Finding> {
    let opening = vault.opening();
    let mut findings = Vec::new();
    let mut found = |weight, code, what: String, mend: &str| {
        findings.push(Finding { weight, code, what, mend: mend.to_owned() });
    };
    if !opening.clean {
        let what =
            "the last program that had the vault open did not close it; what it acknowledged is there".to_owned();
        found(Weight::Note, "not-closed", what, "see why it ended");
    }
    if let Some(why) = &opening.rebuilt {
        let what = format!("the trees were built anew from the journal: {why}");
        found(Weight::Medium, "trees-rebuilt", what, "if it happens again, test disk and memory");
    }
    if let Some(missing) = &opening.missing_reads {
        let what =
            format!("entries of at most {} reads may be missing behind entry {}", missing.at_most, missing.after);
        found(
            Weight::Medium,
            "reads-unlogged",
            what,
            "see why the program ended; this vault lets entries of reads wait",
        );
    }
    findings
}

/// What is wrong with keys and slots, weighed as the security report does.
fn keys(vault: &Door) -> Outcome<Vec<Finding>> {
    let finding = |risk: &KeyRisk| {
        let (weight, code) = match risk {
            KeyRisk::OnlyOneSlot { .. } => (Weight::Medium, "only-one-slot"),
            KeyRisk::NoRecovery => (Weight::High, "no-recovery"),
            KeyRisk::NeverUsed { .. } => (Weight::Low, "slot-never-used"),
            KeyRisk::CheapPassphrase { .. } => (Weight::Medium, "cheap-passphrase"),
            KeyRisk::HeaderOnOneDisk => (Weight::Medium, "header-on-one-disk"),
            KeyRisk::HeaderOnOneMedium => (Weight::Low, "header-on-one-medium"),
            KeyRisk::RotationUnderWay => (Weight::Low, "rotation-under-way"),
            KeyRisk::ErasuresUnfinished { .. } => (Weight::High, "erasure-unfinished"),
            _ => (Weight::Medium, "keys"),
        };
        let mend = verb_for(code).unwrap_or("see docs/keys.md");
        Finding { weight, code, what: risk.to_string(), mend: mend.to_owned() }
    };
    Ok(vault.key_report()?.risks.iter().map(finding).collect())
}

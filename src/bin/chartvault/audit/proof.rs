//! `audit key` and `bundle`: what somebody outside needs to check the log without the vault.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use chartvault::Checkpoint;
use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::json;

use crate::args::Common;
use crate::door::{SessionArgs, enter, open};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show};
use crate::whole;

/// Show the log's public key and its checkpoint of now
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault audit key

Write the key down where nobody of the house can change it: everything that an auditor checks later hangs on it.")]
pub struct Key {
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn key(common: &Common, args: &Key, show: Show) -> Outcome {
    let (vault, _) = open(common, &args.credential, show)?;
    let (key, checkpoint) = (vault.log_vkey()?, vault.log_checkpoint()?);
    vault.close()?;
    let facts = Facts::new()
        .with("key", key)
        .with("log_entries", checkpoint.size)
        .text_of("root", HEXLOWER.encode(&checkpoint.root));
    if show.json {
        show.facts(&facts.with("note", checkpoint.note))?;
    } else {
        show.facts(&facts)?;
        show.note(&format!("\n{}", checkpoint.note.trim_end()))?;
    }
    Ok(Code::Ok)
}

/// Write entries for an auditor, who checks them without the vault
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault audit bundle --out log.bundle --token officer.token --purpose operations
  chartvault audit bundle --first 100 --end 200 --since kept.note --out log.bundle \\
    --token officer.token --purpose operations

A bundle shows nothing of what the entries say. It is checked with chartvault-verify; see docs/audit.md.")]
pub struct Bundle {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The number of the first entry (default: the first that the log has)
    #[arg(long, value_name = "N")]
    first: Option<u64>,
    /// The number behind the last entry (default: all there are)
    #[arg(long, value_name = "N")]
    end: Option<u64>,
    /// A checkpoint that was kept; the bundle proves that the log of then is the beginning of this one
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn bundle(common: &Common, args: &Bundle, show: Show) -> Outcome {
    whole::is_free(&args.out)?;
    let since = args.since.as_deref().map(checkpoint).transpose()?;
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let first = session.audit()?.retention()?.first;
    let entries = args.first.unwrap_or(first)..args.end.unwrap_or(vault.log_checkpoint()?.size);
    let done = whole::write(&args.out, |file| {
        let mut out = BufWriter::new(file);
        let mut bundle = session.audit()?.bundle(entries);
        if let Some(since) = &since {
            bundle = bundle.since(since);
        }
        let done = bundle.write(&mut out)?;
        out.flush()?;
        Ok(done)
    })?;
    vault.close()?;
    let facts = Facts::new()
        .text_of("file", args.out.display())
        .with("first", done.entries.start)
        .with("end", done.entries.end)
        .with("checkpoint_entries", json!(done.checkpoint.size))
        .text_of("sha256", HEXLOWER.encode(&done.sha256));
    show.facts(&facts)?;
    Ok(Code::Ok)
}

fn checkpoint(path: &Path) -> Outcome<Checkpoint> {
    let failed = |error: std::io::Error| Failure::file("reading", path, &error);
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(64 << 10).read_to_string(&mut text).map_err(failed)?;
    text.parse().map_err(|error| Failure::new(Code::Error, format_args!("{}: {error}", path.display())))
}

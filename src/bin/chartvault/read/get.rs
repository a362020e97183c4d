//! `get`: one record, exactly as it was put.

use std::io::{self, IsTerminal, Write};

use chartvault::{RecordRef, VerbatimEntry, Version};
use clap::Args;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::about;
use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Show, printable};

/// Read a record
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault get ref-… --token osei.token --purpose treatment
  chartvault get ref-… --version 1 --json --token osei.token --purpose treatment

Records are named by `chartvault ls`. What is written is what was put, byte by byte; with --json, an object with \
author, times and version, and the value as JSON (`value`) or else in base64 (`value_base64`).")]
pub struct Get {
    /// The record
    #[arg(value_name = "RECORD")]
    record: RecordRef,
    /// As it was at this version
    #[arg(long, value_name = "N")]
    version: Option<Version>,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Get, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let entry = match args.version {
        Some(version) => session.get_verbatim_version(args.record, version)?,
        None => session.get_verbatim(args.record)?,
    };
    vault.close()?;
    if show.json {
        show.line(&with_value(&entry))?;
        return Ok(Code::Ok);
    }
    let mut out = io::stdout().lock();
    match std::str::from_utf8(&entry.value) {
        // What somebody put into a record moves nobody's cursor.
        Ok(text) if out.is_terminal() => {
            text.lines().try_for_each(|line| writeln!(out, "{}", printable(line)))?;
        }
        _ => out.write_all(&entry.value)?,
    }
    out.flush()?;
    Ok(Code::Ok)
}

/// An entry with its value.
pub fn with_value(entry: &VerbatimEntry) -> Value {
    let mut object = about(entry);
    if let Some(members) = object.as_object_mut() {
        match serde_json::from_slice::<Value>(&entry.value) {
            Ok(value) => members.insert("value".to_owned(), value),
            Err(_) => members.insert("value_base64".to_owned(), json!(BASE64.encode(&entry.value))),
        };
    }
    object
}

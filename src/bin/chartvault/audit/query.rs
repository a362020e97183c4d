//! `audit tail`, `query`, `explain` and `access`: entries, and what they come to.

use std::io::{self, Write};

use chartvault::{AuditEntry, Ticket, Timestamp};
use clap::Args;
use serde_json::{Value, json};

use super::filter::Filter;
use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::read::Whose;
use crate::secrets::CredentialArgs;
use crate::show::{Show, printable, shown_lines};
use crate::words;

/// Show the newest entries
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault audit tail --token officer.token --purpose operations
  chartvault audit tail --json -n 1000 --token officer.token --purpose operations

Who did it and on whose chart stand as the beginnings of their ids, the purpose as its HL7 code: TREAT is treatment, HOPERAT \
operations. With --json, each entry is an object on a line; docs/format/exports.md has its fields. A vault is open in one process at \
a time; a program that has it open follows the log with a sink (docs/following.md).")]
pub struct Tail {
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: usize,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn tail(common: &Common, args: &Tail, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let mut newest: Vec<AuditEntry> = Vec::new();
    let mut before = None;
    while newest.len() < args.lines {
        let left = args.lines.saturating_sub(newest.len());
        let mut query = session.audit()?.query(args.filter.build()).limit(left.min(1_000));
        if let Some(before) = before {
            query = query.before(before);
        }
        let page = query.page()?;
        newest.extend(page.entries);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    newest.iter().rev().try_for_each(|entry| put(entry, show))?;
    vault.close()?;
    Ok(Code::Ok)
}

/// Show the entries that a filter lets through, newest first
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault audit query --about patient-… --token officer.token --purpose operations
  chartvault audit query --outcome denied --from 2026-11-01 --json \\
    --token officer.token --purpose operations")]
pub struct Query {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Only entries before this number, as `next` of an earlier answer says
    #[arg(long, value_name = "N")]
    before: Option<u64>,
    /// The oldest first
    #[arg(long, conflicts_with = "before")]
    oldest_first: bool,
    /// Only entries with this number and later ones
    #[arg(long, value_name = "N")]
    starting_at: Option<u64>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn query(common: &Common, args: &Query, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let (mut shown, mut next, mut first) = (0_usize, None, true);
    while shown < args.limit && (first || next.is_some()) {
        let left = args.limit.saturating_sub(shown);
        let mut query = session.audit()?.query(args.filter.build()).limit(left.min(1_000));
        let start = if args.oldest_first { next.or(args.starting_at) } else { args.starting_at };
        if let Some(seq) = start {
            query = query.starting_at(seq);
        }
        if args.oldest_first {
            query = query.oldest_first();
        } else if let Some(seq) = next.or(args.before) {
            query = query.before(seq);
        }
        let page = query.page()?;
        page.entries.iter().try_for_each(|entry| put(entry, show))?;
        shown = shown.saturating_add(page.entries.len());
        (next, first) = (page.next, false);
    }
    vault.close()?;
    if show.json {
        show.line(&json!({ "shown": shown, "next": next }))?;
    } else if let Some(next) = next {
        let word = if args.oldest_first { "starting-at" } else { "before" };
        show.note(&format!("there may be more: --{word} {next}"))?;
    }
    Ok(Code::Ok)
}

/// An entry on a line: numbered for people, complete for programs.
fn put(entry: &AuditEntry, show: Show) -> Outcome<()> {
    let mut out = io::stdout().lock();
    match show.json {
        true => writeln!(out, "{}", entry.to_json())?,
        false => writeln!(out, "{:>8}  {}", entry.seq, printable(&entry.to_string()))?,
    }
    Ok(out.flush()?)
}

/// Say why an operation was denied
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault audit explain ticket-… --token officer.token --purpose operations")]
pub struct Explain {
    /// The ticket that was given out with the denial
    #[arg(value_name = "TICKET")]
    ticket: Ticket,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn explain(common: &Common, args: &Explain, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let why = session.explain(args.ticket)?;
    vault.close()?;
    if !show.json {
        show.note(&shown_lines(&why.to_string()))?;
        return Ok(Code::Ok);
    }
    let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
    show.line(&json!({
        "ticket": why.ticket.to_string(),
        "seq": why.seq,
        "time": why.time.to_string(),
        "event": why.event.to_string(),
        "actor": text(why.actor.map(|actor| actor.to_string())),
        "action": text(why.action.map(|action| action.to_string())),
        "purpose": text(why.purpose.map(|purpose| purpose.to_string())),
        "patient": text(why.patient.map(|patient| patient.to_string())),
        "refusals": why.refusals.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))?;
    Ok(Code::Ok)
}

/// Report all that was done, or tried, with one patient's chart
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault audit access patient-… --from 2026-01-01 \\
    --token officer.token --purpose patient-request

Exit code 20: entries about the patient are missing from the log; the report says where.")]
pub struct Access {
    #[command(flatten)]
    whose: Whose,
    /// Only what was at this time or later
    #[arg(long, value_name = "TIME", value_parser = words::instant)]
    from: Option<Timestamp>,
    /// Only what was before this time
    #[arg(long, value_name = "TIME", value_parser = words::instant)]
    to: Option<Timestamp>,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn access(common: &Common, args: &Access, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let patient = args.whose.look_up(&session)?;
    let (mut place, mut gaps, mut entries) = (None, 0_usize, 0_usize);
    loop {
        let mut asked = session.audit()?.access_report(patient);
        asked = args.from.into_iter().fold(asked, chartvault::AskedAccess::from);
        asked = args.to.into_iter().fold(asked, chartvault::AskedAccess::to);
        asked = place.into_iter().fold(asked, chartvault::AskedAccess::after);
        let page = asked.page()?;
        entries = entries.saturating_add(page.entries.len());
        gaps = gaps.saturating_add(page.gaps.len());
        if show.json {
            page.entries.iter().try_for_each(|entry| put(entry, show))?;
            page.gaps.iter().try_for_each(|gap| show.line(&json!({ "gap": gap.to_string() })))?;
        } else {
            show.note(&shown_lines(&page.to_string()))?;
        }
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    vault.close()?;
    if show.json {
        show.line(&json!({ "patient": patient.to_string(), "entries": entries, "gaps": gaps }))?;
    }
    Ok(if gaps > 0 { Code::Tampering } else { Code::Ok })
}

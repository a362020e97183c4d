//! `ls`: what stands in a chart, newest first.

use chartvault::Timestamp;
use clap::Args;
use serde_json::json;

use super::{Whose, status};
use crate::args::Common;
use crate::door::{SessionArgs, enter};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};
use crate::words;

/// List the records of a chart
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault ls facility --token osei.token --purpose treatment
  echo 'urn:fhir:Patient|ID' | chartvault ls --find - --token osei.token --purpose treatment
  echo 'urn:mrn:clinic-a|12345' | chartvault ls --find - --kind Observation \\
    --token osei.token --purpose treatment
  chartvault ls patient-… --from 2026-01-01 --token osei.token --purpose treatment

Whom `chartvault import` brought in has the id of the FHIR resource under urn:fhir:Patient, beside the identifiers in it. \
Each record is shown with its name for `chartvault get` and `chartvault history`.
The session needs the list action, and read for --find.")]
pub struct Ls {
    #[command(flatten)]
    whose: Whose,
    /// Only records of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only what happened at this time or later
    #[arg(long, value_name = "TIME", value_parser = words::instant)]
    from: Option<Timestamp>,
    /// Only what happened before this time
    #[arg(long, value_name = "TIME", value_parser = words::instant)]
    to: Option<Timestamp>,
    /// Also records that were voided
    #[arg(long)]
    voided: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Ls, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let patient = args.whose.look_up(&session)?;
    let mut table = Table::new(&["record", "kind", "time", "version", "status", "doubtful"]);
    let (mut listed, mut withheld, mut after) = (0_usize, 0_usize, None);
    let more = loop {
        let mut query = session.chart(patient).limit(args.limit.min(1_000));
        query = query.between(args.from.unwrap_or(Timestamp::MIN), args.to.unwrap_or(Timestamp::MAX));
        if args.voided {
            query = query.include_voided();
        }
        if let Some(after) = after {
            query = query.after(after);
        }
        let page = query.page()?;
        withheld = withheld.saturating_add(page.withheld);
        after = page.next;
        let wanted =
            page.entries.iter().filter(|entry| args.kind.as_ref().is_none_or(|kind| entry.kind().as_str() == kind));
        for entry in wanted {
            if listed == args.limit {
                break;
            }
            listed = listed.saturating_add(1);
            table.row([
                json!(entry.record().to_string()),
                json!(entry.kind().as_str()),
                json!(entry.time().to_string()),
                json!(entry.version().number()),
                json!(status(entry.status())),
                json!(entry.is_doubtful()),
            ]);
        }
        if after.is_none() || listed >= args.limit {
            break after.is_some();
        }
    };
    vault.close()?;
    let about = Facts::new().text_of("patient", patient).with("more", more).with("withheld", withheld);
    show.table("records", &table, about)?;
    Ok(Code::Ok)
}

//! `token ls`, `register`, `revoke`: the grants that a vault knows.

use std::path::PathBuf;
use std::time::Duration;

use chartvault::{IssuerId, PrincipalId, RevocationId, Revoke as What};
use clap::Args;
use serde_json::json;

use super::inspect::{effective, listed};
use crate::args::Common;
use crate::door::{SessionArgs, enter, read_token};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, Table};
use crate::words;

/// List the grants that are live
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault token ls --token officer.token --purpose operations
  chartvault token ls --unused-for 90d --token officer.token --purpose operations

The session needs the grant action. Listed are grants that were registered, and those that opened a session.")]
pub struct Ls {
    /// Only those that opened no session for so long
    #[arg(long, value_name = "LENGTH", value_parser = words::duration)]
    unused_for: Option<Duration>,
    /// Only those of this principal
    #[arg(long, value_name = "NAME", conflicts_with = "unused_for")]
    of: Option<String>,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn ls(common: &Common, args: &Ls, show: Show) -> Outcome {
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let mut table =
        Table::new(&["token", "subject", "actions", "patients", "kinds", "valid_until", "last_used", "sessions"]);
    let mut detail = Vec::new();
    let mut after = None;
    loop {
        let grants = session.grants();
        let mut query = match (&args.of, args.unused_for) {
            (Some(name), _) => grants.of(PrincipalId::of(name)),
            (None, Some(length)) => grants.unused_for(length),
            (None, None) => grants.live(),
        };
        if let Some(after) = after {
            query = query.after(after);
        }
        let page = query.limit(1_000).page()?;
        for grant in page.grants {
            let subject = grant.name.clone().unwrap_or_else(|| grant.subject.to_string());
            table.row([
                json!(grant.id.to_string()),
                json!(subject),
                json!(grant.rights.actions.iter().map(ToString::to_string).collect::<Vec<_>>()),
                listed(&grant.rights.patients),
                listed(&grant.kinds),
                json!(grant.rights.not_after.to_string()),
                json!(grant.last_used.map(|at| at.to_string())),
                json!(grant.sessions),
            ]);
            detail.push(json!({
                "token": grant.id.to_string(),
                "blocks": grant.rids.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "subject": grant.subject.to_string(),
                "name": grant.name,
                "issuer": grant.issuer.to_string(),
                "state": grant.state.to_string(),
                "issued_at": grant.issued_at.to_string(),
                "known_since": grant.known_since.to_string(),
                "registered_by": grant.registered_by.map(|by| by.to_string()),
                "note": grant.note,
                "last_used": grant.last_used.map(|at| at.to_string()),
                "sessions": grant.sessions,
                "kinds": listed(&grant.kinds),
                "rights": effective(&grant.rights),
            }));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    vault.close()?;
    if show.json {
        show.line(&json!({ "grants": detail }))?;
    } else {
        show.table("grants", &table, Facts::new())?;
    }
    Ok(Code::Ok)
}

/// Make a grant known to the vault before it is used
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  chartvault token register osei.token --note 'night shift' \\
    --token officer.token --purpose operations")]
pub struct Register {
    /// The file of the token to register
    #[arg(value_name = "FILE")]
    grant: PathBuf,
    /// A note that stands beside it
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn register(common: &Common, args: &Register, show: Show) -> Outcome {
    let grant = read_token(&args.grant)?;
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let registered = session.grants().register(&grant, &args.note)?;
    vault.close()?;
    let facts = Facts::new()
        .text_of("token", registered.id)
        .text_of("subject", registered.subject)
        .text_of("known_since", registered.known_since)
        .text_of("valid_until", registered.rights.not_after);
    show.facts(&facts)?;
    Ok(Code::Ok)
}

/// End tokens: one with all that was narrowed from it, or all of a principal
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault token revoke TOKEN-ID --reason 'tablet lost' \\
    --token officer.token --purpose operations
  chartvault token revoke --of dr.osei --reason 'left the house' \\
    --token officer.token --purpose operations

Token ids are shown by: chartvault token ls, chartvault token inspect. It holds at once, in open sessions as well.")]
pub struct Revoke {
    /// The id of the token, or of one of its blocks
    #[arg(value_name = "TOKEN-ID", required_unless_present_any = ["of", "of_issuer"])]
    id: Option<RevocationId>,
    /// All tokens of this principal, granted until now
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    of: Option<String>,
    /// All tokens of this issuer, for good
    #[arg(long, value_name = "ISSUER-ID", conflicts_with_all = ["id", "of"])]
    of_issuer: Option<IssuerId>,
    /// Why; it stands in the log. 1 to 256 bytes, and no patient's name
    #[arg(long)]
    reason: String,
    /// Only say what would be revoked
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn revoke(common: &Common, args: &Revoke, show: Show) -> Outcome {
    let what = match (args.id, &args.of, args.of_issuer) {
        (Some(id), _, _) => What::Block(id),
        (None, Some(name), _) => What::Principal(PrincipalId::of(name)),
        (None, None, Some(issuer)) => What::Issuer(issuer),
        (None, None, None) => return Err(Failure::usage("say which token to revoke, or --of whom")),
    };
    let (vault, session) = enter(common, &args.credential, &args.session, show)?;
    let at = match args.dry_run {
        true => None,
        false => Some(session.grants().revoke(what, &args.reason)?.at),
    };
    vault.close()?;
    let facts = Facts::new().text_of("revoked", what).maybe("at", at).with("dry_run", args.dry_run);
    show.facts(&facts)?;
    Ok(Code::Ok)
}

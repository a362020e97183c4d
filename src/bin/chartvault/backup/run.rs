//! `backup run`: a backup to each of the places named.

use chartvault::{BackupRecipient, BackupReport};
use clap::Args;
use serde_json::json;

use super::place::{self, Place};
use crate::args::Common;
use crate::door::{find, open};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::CredentialArgs;
use crate::show::{Facts, Show, warn};
use crate::ticker::Ticker;

/// Back up the vault
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault backup run --to /mnt/disk/backups --packs /mnt/safe/packs --create
  chartvault backup run --to /mnt/disk/backups --to s3://clinic-backups/main --packs /mnt/safe/packs
  chartvault backup run --to /mnt/disk/backups --packs /mnt/safe/packs --seal-to age1…

The first backup to a place copies everything; each later one what was written since. Key packs (--packs) are needed to \
restore, and are meant to lie elsewhere: whoever has a backup without one has nothing that opens. Exit code 3: some of the \
places failed.")]
pub struct Run {
    /// A folder, or s3://bucket/prefix (gs://, az://), to back up to; can be repeated
    #[arg(long, value_name = "PLACE", required = true)]
    to: Vec<String>,
    /// Where key packs are kept: one place for all backups of a vault; copy it as a whole to have two
    #[arg(long, value_name = "PLACE", required_unless_present = "without_packs")]
    packs: Option<String>,
    /// Make no key pack: the one that was made last has to do
    #[arg(long, conflicts_with = "packs", hide_short_help = true)]
    without_packs: bool,
    /// Make the folders, where they are new; what is above them has to be there
    #[arg(long)]
    create: bool,
    /// Seal the objects to this age recipient as well; can be repeated
    #[arg(long, value_name = "RECIPIENT")]
    seal_to: Vec<String>,
    /// Copy everything once more
    #[arg(long)]
    from_the_beginning: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

/// Recipients out of arguments.
pub fn recipients(given: &[String]) -> Outcome<Vec<BackupRecipient>> {
    let parse = |text: &String| text.parse().map_err(|error| Failure::usage(format_args!("{text}: {error}")));
    given.iter().map(parse).collect()
}

pub fn run(common: &Common, args: &Run, show: Show) -> Outcome {
    let recipients = recipients(&args.seal_to)?;
    if args.dry_run {
        let locked = find(common)?;
        let facts = Facts::new()
            .with("dry_run", true)
            .text_of("vault", locked.id()?)
            .with("to", args.to.clone())
            .maybe("packs", args.packs.as_ref());
        show.facts(&facts)?;
        return Ok(Code::Ok);
    }
    args.to.iter().for_each(|to| place::warn_of_packs_beside(to, args.packs.as_deref(), show));
    let for_what = if args.create { place::To::Create } else { place::To::Write };
    let packs = args.packs.as_deref().map(|packs| place::open(packs, for_what)).transpose()?;
    let places: Vec<(&String, Outcome<Place>)> = args.to.iter().map(|to| (to, place::open(to, for_what))).collect();
    let (vault, _) = open(common, &args.credential, show)?;
    let (mut made, mut failed) = (0_usize, Vec::new());
    for (name, place) in places {
        let done = place.and_then(|place| {
            let mut ticker = Ticker::new(show);
            let backup = recipients.iter().cloned().fold(vault.backup(&*place), chartvault::Backup::seal_to);
            let backup = packs.as_deref().into_iter().fold(backup, chartvault::Backup::packs_to);
            let backup = if args.from_the_beginning { backup.from_the_beginning() } else { backup };
            backup.run_with(&mut |progress| ticker.tick(progress)).map_err(place::told)
        });
        match done {
            Ok(report) => {
                made += 1;
                tell(&report, args.packs.as_deref(), show)?;
            }
            Err(failure) => failed.push((name, failure)),
        }
    }
    vault.close()?;
    let first = args.to.first().map_or("PLACE", String::as_str);
    match (made, failed.len()) {
        (_, 0) => {
            show.note(&format!(
                "\nSee that it is good: chartvault backup verify --to {first}\nRehearse a restore: chartvault backup drill --to \
                 {first} --packs {}",
                args.packs.as_deref().unwrap_or("PLACE")
            ))?;
            Ok(Code::Ok)
        }
        (0, 1) => failed.pop().map_or(Ok(Code::Error), |(_, failure)| Err(failure)),
        (_, some) => {
            for (name, failure) in &failed {
                warn(show, &format!("{name}: {}", failure.message()));
            }
            let code = if made > 0 { Code::Partly } else { Code::Error };
            Err(Failure::new(code, format_args!("{some} of {} places have no new backup", args.to.len()))
                .hint("see to what stands above, and run it again"))
        }
    }
}

fn tell(report: &BackupReport, packs: Option<&str>, show: Show) -> Outcome<()> {
    if show.json {
        return show.line(&json!({
            "target": report.target,
            "manifest": report.manifest,
            "from_the_beginning": report.from_the_beginning,
            "objects": report.objects,
            "journal_bytes": report.journal_bytes,
            "stored_bytes": report.stored_bytes,
            "log_entries": report.entries,
            "pack": report.pack,
            "new_pack": report.new_pack,
            "packs": packs,
            "older_packs": report.older_packs,
            "needed_packs": report.needed_packs,
        }));
    }
    show.facts(
        &Facts::new()
            .text_of("target", &report.target)
            .with("manifest", report.manifest)
            .with("from_the_beginning", report.from_the_beginning)
            .with("objects", report.objects)
            .with("bytes", report.stored_bytes)
            .with("log_entries", report.entries)
            .maybe("pack", report.pack)
            .with("new_pack", report.new_pack)
            .maybe("packs", packs),
    )?;
    if let (true, Some(packs), Some(number)) = (report.new_pack, packs, report.pack.filter(|number| *number > 1)) {
        show.note(&format!(
            "Key pack {number} is at {packs} alone: wherever else key packs are kept, they open this backup no more"
        ))?;
    }
    if !report.older_packs.is_empty() {
        let older = listed(&report.older_packs);
        warn(
            show,
            &format!("older key packs could not be removed: {older}; they open what was erased or taken away since"),
        );
    }
    if !report.needed_packs.is_empty() {
        let needed = listed(&report.needed_packs);
        warn(
            show,
            &format!("key packs {needed} stay until there are newer backups at other places; back up to those as well"),
        );
    }
    Ok(())
}

fn listed(packs: &[u64]) -> String {
    packs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

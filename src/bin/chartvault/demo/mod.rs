//! `demo`: a drill for staff on a vault that is thrown away. Everything is done in earnest; nothing that is shown was
//! written beforehand but the questions, and what to do.

mod answers;
mod bit;
mod curious;
mod fire;
mod folder;
mod guide;
mod house;
mod laptop;
mod passphrase;
mod phished;

use std::fmt::Display;
use std::path::PathBuf;

use chartvault::{Error, KdfParameters};
use clap::Args;
use serde_json::json;

use self::folder::Folder;
use self::guide::Guide;
use self::house::{COST, House};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::show::Show;

/// A guided drill for staff, on a vault that is thrown away
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault demo                  with a question in each scene; type the number of an answer
  chartvault demo --yes            runs through, and takes the right answers
  chartvault demo --keep drill     keeps the vault afterwards, with what opens it, to practise on

No other vault is touched. People and charts are invented. With --json: an object a scene, and one that sums up.")]
pub struct Demo {
    /// Take the right answers without asking
    #[arg(long)]
    yes: bool,
    /// Work in this directory, which is new or empty, and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// One thing that can happen, played through.
struct Scene {
    name: &'static str,
    title: &'static str,
    play: fn(&mut House, &mut Guide) -> Outcome<()>,
}

const SCENES: &[Scene] = &[
    Scene { name: "phished-token", title: "A pass is phished", play: phished::play },
    Scene { name: "curious-colleague", title: "A colleague is curious", play: curious::play },
    Scene { name: "stolen-laptop", title: "A laptop is stolen", play: laptop::play },
    Scene { name: "flipped-bit", title: "The disk changes one bit", play: bit::play },
    Scene { name: "lost-passphrase", title: "The passphrase is forgotten", play: passphrase::play },
    Scene { name: "fire", title: "The surgery burns", play: fire::play },
];

const READ_ON: [(&str, &str); 6] = [
    ("docs/access.md", "who may do what, emergencies, reviews"),
    ("docs/monitoring.md", "flags, and the weekly review"),
    ("docs/keys.md", "passphrases, recovery keys, a stolen disk, a colleague who leaves"),
    ("docs/backup.md", "backups, where to keep what, and restoring"),
    ("docs/repair.md", "what to do about a damaged disk"),
    ("docs/audit.md", "what the log proves, and what it does not"),
];

pub fn run(args: &Demo, show: Show) -> Outcome {
    // A folder has to be removed.
    interrupt::stops();
    let folder = Folder::make(args.keep.as_deref())?;
    let mut guide = Guide::new(show, args.yes);
    welcome(&guide, &folder)?;
    let mut house = House::build(folder.path())?;
    for (number, scene) in (1..).zip(SCENES) {
        interrupt::check("the drill is over, and its folder is removed unless --keep was said")?;
        guide.begin(number, SCENES.len(), scene.name, scene.title)?;
        (scene.play)(&mut house, &mut guide)?;
        guide.end()?;
    }
    if folder.is_kept() {
        house.leave_keys()?;
    }
    // No file of the vault is open any more.
    drop(house);
    sum_up(&guide, show, &folder)?;
    if !folder.is_kept() {
        folder.remove()?;
        show.note("\nThe drill's folder is removed. Nothing of it stays.")?;
    }
    Ok(Code::Ok)
}

fn welcome(guide: &Guide, folder: &Folder) -> Outcome<()> {
    guide.tell(
        "Welcome. This is a drill, like a fire drill: a small practice with invented patients is set up on this machine, \
         and things go wrong in it. You see what the vault does by itself, where it writes that down, and what is left for \
         people to do. You cannot break anything, and no other vault is touched.",
    )?;
    guide.tell(&format!(
        "Three words first. The VAULT is the folder in which all charts lie encrypted. A TOKEN is a pass: a short text that \
         says who may do what, for which purpose, until when. The LOG is the vault's diary: every access stands in it, and \
         each entry is chained to the one before. The drill's folder is {}.",
        folder.path().display()
    ))?;
    guide.tell(&format!(
        "To save your time, passphrases are cheaper to check here than in a vault of your own: {}, in the place of {}.",
        KdfParameters::from(COST),
        KdfParameters::recommended()
    ))
}

fn sum_up(guide: &Guide, show: Show, folder: &Folder) -> Outcome<()> {
    let score = guide.score;
    let kept = folder.is_kept().then(|| folder.path().display().to_string());
    if show.json {
        let read_on: Vec<_> = READ_ON.iter().map(|(page, _)| *page).collect();
        return show.line(&json!({ "summary": {
            "scenes": SCENES.len(),
            "questions": score.asked,
            "right": score.at_once,
            "right_at_second_try": score.second_try,
            "read_on": read_on,
            "kept": kept,
        }}));
    }
    guide.tell(&format!(
        "That was it: {} scenes. Of {} questions you answered {} right at once, and {} at the second try.",
        SCENES.len(),
        score.asked,
        score.at_once,
        score.second_try
    ))?;
    show.note("\nWhere to read on:")?;
    READ_ON.iter().try_for_each(|(page, about)| show.note(&format!("  {page:<20} {about}")))?;
    let Some(kept) = kept else { return Ok(()) };
    guide.tell(&format!(
        "The drill's vault stays in {kept}, with passphrase.txt, recovery.txt and officer.token, which open it. Change into \
         that folder and try the commands, with --vault clinic.vault --passphrase-file passphrase.txt. The copies beside it \
         open with passphrase-of-copies.txt. What a command would do may be done already, and a slot's number may stand \
         for something else by now: look first, with chartvault key ls. Delete the folder when you are done."
    ))
}

/// An error of a part of the library that has its own.
fn failed(error: impl Display) -> Failure {
    Failure::new(Code::Error, error)
}

/// An error unless it is so: a drill that shows something else than it says is worse than none.
fn must(so: bool, what: &str) -> Outcome<()> {
    if so { Ok(()) } else { Err(otherwise(what)) }
}

/// What has to be refused: how it was.
fn refused<T>(tried: Result<T, Error>, what: &str) -> Outcome<Error> {
    tried.err().ok_or_else(|| otherwise(what))
}

fn otherwise(what: &str) -> Failure {
    Failure::new(Code::Error, format_args!("the drill did not go as it has to: {what}"))
        .hint("this is a fault of the program, or of this machine's disk or memory; please report it")
}

//! An audit log that an outsider checks: `cargo run --release --example audit [-- DIRECTORY]`.
//!
//! A vault of three days, an anchor outside it, a bundle that is checked without the vault, ten forged ones that are not
//! believed, an older copy of the vault that is found out, and the week on one page. With a directory, the bundle, the pinned
//! key and the page are left there, for `chartvault-verify`. Exits with failure unless everything turns out as it has to.

#[path = "../clinic/show.rs"]
#[allow(dead_code)] // the clinic's example uses the rest
mod show;

mod house;
mod outsider;
mod thief;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use show::{heading, note};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let left = std::env::args_os().nth(1).map(PathBuf::from);
    match run(left.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThis run did not go as it has to: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(left: Option<&Path>) -> Outcome<()> {
    let temporary = tempfile::tempdir()?;
    let dir = match left {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            dir
        }
        None => temporary.path(),
    };

    heading("A house opens, and somebody outside pins the key of its log");
    let house = house::open(temporary.path())?;

    heading("Three days, each with a signing key of its own");
    house.three_days()?;

    heading("The log looks at itself: three verdicts");
    house.verdicts()?;

    heading("A bundle for an auditor who has neither the vault nor its keys");
    let bundle = outsider::export(&house, dir)?;
    outsider::check(&house, &bundle)?;

    heading("Ten edited bundles");
    outsider::ten_edits(&house, &bundle)?;

    heading("The week on one page");
    house.page(dir)?;

    heading("A thief puts back yesterday's copy");
    thief::puts_back_an_older_copy(&house, temporary.path())?;

    if left.is_some() {
        note("To check the bundle again, without this program:");
        show::say("cargo run -p chartvault-verify -- DIRECTORY/log.bundle --key \"$(cat DIRECTORY/pinned.key)\"");
    }
    note("Everything turned out as it has to.");
    Ok(())
}

/// An error unless it is so.
fn must(so: bool, what: &str) -> Outcome<()> {
    if so { Ok(()) } else { Err(what.into()) }
}

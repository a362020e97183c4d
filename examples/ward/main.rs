//! A day on a ward: `cargo run --release --example ward`.
//!
//! Roles, people who sign in with a second factor, a handover by narrowing a token, an emergency, a curious colleague, a lost
//! tablet, and the evening's review; told as it happens, with what the log has of it. Leaves nothing behind, and exits with
//! failure unless everything turns out as it has to.

#[path = "../clinic/show.rs"]
#[allow(dead_code)] // the clinic's example uses the rest
mod show;

mod clock;
mod day;
mod evening;
mod morning;
mod people;

use std::error::Error;
use std::process::ExitCode;

use show::{heading, note};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThis run did not go as it has to: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let temporary = tempfile::tempdir()?;

    heading("06:00  The house is put in order");
    let mut ward = morning::open_the_house(temporary.path())?;

    heading("07:00  The nurse signs in, with a code of her telephone");
    let nurse = morning::sign_in(&mut ward)?;

    heading("10:00  A handover for one patient and an hour");
    day::handover(&ward)?;

    heading("13:00  A colleague is curious");
    day::snoop(&ward)?;

    heading("15:00  An emergency");
    day::emergency(&ward, &nurse)?;

    heading("17:00  A tablet is lost");
    day::lost_tablet(&ward)?;

    heading("20:00  The privacy officer's evening");
    evening::review(&ward)?;
    note("Everything turned out as it has to.");
    Ok(())
}

/// An error unless it is so.
fn must(so: bool, what: &str) -> Outcome<()> {
    if so { Ok(()) } else { Err(what.into()) }
}

//! What the audit log costs: its tree beside the chain alone, verification beside SHA-256 over the same bytes, one core and two,
//! and questions to a long log.
//!
//! `cargo bench --bench audit --features test-util`; `-- --entries 20000` for a look (1,000,000 if not said), `-- --dir DIR` for
//! another disk, `-- --rounds 3`. Each figure is the median of the rounds. A vault of 1,000 charts; each entry is of a read, by
//! one of 32 people.

mod ask;
mod clinic;
mod grow;
mod prove;

use clinic::Clinic;

fn main() {
    let (mut entries, mut rounds, mut dir) = (1_000_000, 5, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--entries" => entries = words.next().and_then(|n| n.parse().ok()).expect("--entries wants a number"),
            "--rounds" => rounds = words.next().and_then(|n| n.parse().ok()).expect("--rounds wants a number"),
            "--dir" => dir = words.next(),
            _ => {}
        }
    }
    println!("appending: reads whose entries wait for up to a second, by one caller");
    grow::tree_and_chain(dir.as_deref(), rounds);

    let clinic = Clinic::new(dir.as_deref());
    clinic.read_until(entries);
    println!("\nverifying {} entries", clinic.entries());
    prove::all(&clinic, rounds);

    let ms = ask::whole_index(&clinic);
    let clinic = clinic.reopened();
    println!("\nasking a log of {} entries", clinic.entries());
    say("all of its index, where none was there", ms, "ms");
    ask::all(&clinic, rounds);
}

/// The one in the middle.
pub(crate) fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

pub(crate) fn say(name: &str, value: f64, unit: &str) {
    println!("  {name:<58} {value:>12.3} {unit}");
}

//! The same work through chartvault and through what one would build instead; prints tables in Markdown.
//! `cargo run --release`, `-- --quick` for a look, `-- --help` for the rest.

mod clinic;
mod docs;
mod entry;
mod figures;
mod floor;
mod json;
mod options;
mod peers;
mod report;
mod stand;
mod storeroom;
mod svg;
mod together;
mod window;
mod works;

use std::process::ExitCode;

use figures::{Figures, Place, Row};
use options::Options;
use stand::Stand;

fn main() -> ExitCode {
    let options = match Options::from_command_line() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    if options.list {
        peers::ALL
            .iter()
            .chain(&peers::STORED_ONLY)
            .for_each(|peer| println!("{}: {}: {}", peer.name, peer.label, peer.settings));
        return ExitCode::SUCCESS;
    }
    if let Some(name) =
        options.peers.iter().find(|name| peers::ALL.iter().chain(&peers::STORED_ONLY).all(|peer| peer.name != **name))
    {
        eprintln!("there is no peer {name}; --list shows those there are");
        return ExitCode::FAILURE;
    }
    let figures = measure(&options);
    print!("{}", report::markdown(&figures));
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", json::json(&figures))).unwrap();
    }
    if options.docs {
        docs::write(&figures);
    }
    ExitCode::SUCCESS
}

/// Everything that was asked for. Runs are interleaved: each round runs each operation on each peer, one after the other.
fn measure(options: &Options) -> Figures {
    static PEERS: [clinic::Peer; 8] = peers::ALL;
    static STORED_ONLY: [clinic::Peer; 3] = peers::STORED_ONLY;
    static WORKS: [works::Work; 10] = works::ALL;
    let asked = |peer: &&clinic::Peer| {
        options.peers.is_empty() || peer.name == peers::BASE || options.peers.iter().any(|name| name == peer.name)
    };
    let peers: Vec<_> = PEERS.iter().filter(asked).collect();
    let place = Place::of(options);
    let works: Vec<_> = WORKS.iter().filter(|work| work.name.contains(&options.only)).collect();
    let mut rows: Vec<_> = works.iter().map(|work| Row { work, rates: vec![Vec::new(); peers.len()] }).collect();
    let (mut floor, mut ciphers) = (None, Vec::new());
    if !rows.is_empty() {
        let ours = PEERS.iter().find(|peer| peer.name == peers::OURS).unwrap();
        let bytes = floor::bytes_of_a_put(ours, &options.dir);
        let (rates, floor) = (Vec::new(), &mut floor);
        let (_, rates) = floor.insert((bytes, rates));
        let stands: Vec<_> = peers.iter().map(|peer| Stand::new(peer, &options.dir)).collect();
        for round in 1..=options.rounds {
            rates.push(floor::append_and_sync(&options.dir, bytes, options.time));
            for row in &mut rows {
                eprintln!("round {round} of {}: {}", options.rounds, row.work.name);
                for (stand, rates) in stands.iter().zip(&mut row.rates) {
                    rates.push(stand.run(row.work, options.time, options.import));
                }
            }
        }
        stands.into_iter().for_each(Stand::close);
        ciphers.extend(floor::ciphers(options.time));
    }
    let stored = if ["size", "open"].iter().any(|name| name.contains(&options.only)) {
        let store = |peer: &'static clinic::Peer| {
            eprintln!("{} records: {}", options.records, peer.label);
            storeroom::store(peer, &options.dir, options.records)
        };
        // Limits of what the trees hold change the size: whoever asks for openings alone does not wait for them.
        let more = STORED_ONLY.iter().filter(asked).filter(|_| "size".contains(&options.only));
        peers.iter().copied().chain(more).map(store).collect()
    } else {
        Vec::new()
    };
    Figures { peers, rows, stored, floor, ciphers, place }
}

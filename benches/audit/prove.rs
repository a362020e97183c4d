//! Verification, beside SHA-256 over the same bytes.

use std::fs::{self, File};
use std::io::BufWriter;
use std::time::Instant;

use chartvault::Scope;
use chartvault_verify::bundle::{BundleCheck, Trust};
use chartvault_verify::chain::Chain;
use chartvault_verify::merkle::Range;
use sha2::{Digest, Sha256};

use super::clinic::Clinic;
use super::{median, say};

pub(crate) fn all(clinic: &Clinic, rounds: usize) {
    let (bytes, pinned) = bundle(clinic);
    let entries = entries_in(&bytes);
    let size: usize = entries.iter().map(|entry| entry.len()).sum();
    let (mib, count) = (size as f64 / (1 << 20) as f64, entries.len() as f64);
    say("bytes an entry", size as f64 / count, "");

    let (mut bare, mut chained, mut ratios, mut bundled) =
        (Vec::new(), Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    let (mut gains, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let hashing = seconds(|| {
            let mut hash = Sha256::new();
            entries.iter().for_each(|entry| hash.update(entry));
            std::hint::black_box(hash.finalize());
        });
        let chaining = seconds(|| chain_and_tree(&entries));
        bare.push(mib / hashing);
        chained.push(mib / chaining);
        ratios.push(hashing / chaining);
        let trust = Trust::keys([pinned.parse().unwrap()]);
        let check = |threads: usize| {
            seconds(|| assert!(BundleCheck::new(&trust).threads(threads).run(&bytes[..]).unwrap().integrity.is_sound()))
        };
        let (one, two) = (check(1), check(2));
        bundled.iter_mut().zip([one, two]).for_each(|(rates, took)| rates.push(mib / took));
        gains.push(one / two);
        beside.push(hashing / two);
    }
    say("SHA-256 over the entries", median(bare), "MiB/s");
    say("their chain and tree, one core", median(chained), "MiB/s");
    say("the second as a multiple of the first (wanted: 0.7)", median(ratios), "");
    let [one, two] = bundled;
    say("the bundle: chain, tree and the hash of the file, one thread", median(one), "MiB/s");
    say("the same, two threads", median(two), "MiB/s");
    say("two threads as a multiple of one", median(gains), "");
    say("two threads as a multiple of SHA-256 on one core", median(beside), "");
    drop(entries);
    drop(bytes);

    for (name, scope) in [("chain and tree, out of the vault", Scope::Chain), ("with each entry opened", Scope::All)] {
        let rate = |threads: usize| {
            let audit = clinic.people[0].audit().unwrap();
            let mut found = 0;
            let took = seconds(|| found = audit.verify(scope).threads(threads).run().unwrap().entries);
            found as f64 / took
        };
        let (mut one, mut two, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (single, double) = (rate(1), rate(2));
            one.push(single);
            two.push(double);
            ratios.push(double / single);
        }
        say(&format!("{name}, one thread"), median(one), "entries/s");
        say(&format!("{name}, two threads"), median(two), "entries/s");
        say("the second as a multiple of the first (wanted: 1.7)", median(ratios), "");
    }
}

/// All entries, as an outsider gets them, and the key to pin.
fn bundle(clinic: &Clinic) -> (Vec<u8>, String) {
    let path = clinic.file("log.bundle");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    let entries = clinic.entries();
    clinic.people[0].audit().unwrap().bundle(0..entries).write(&mut file).unwrap();
    drop(file);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    (bytes, clinic.vault.log_vkey().unwrap())
}

/// The entries of a bundle: items `type u8 ‖ len u32 ‖ value` behind 24 bytes; entries are those of type 6.
fn entries_in(bundle: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut entries) = (&bundle[24..], Vec::new());
    while let [sort, a, b, c, d, more @ ..] = rest {
        let (value, next) = more.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        if *sort == 6 {
            entries.push(value);
        }
        rest = next;
    }
    entries
}

fn chain_and_tree(entries: &[&[u8]]) {
    let vault = entries[0][6..22].try_into().unwrap();
    let (mut chain, mut tree) = (Chain::new(vault, 0), Range::empty(0));
    for entry in entries {
        tree.push(chain.follow(entry).unwrap().1);
    }
    std::hint::black_box(tree.root().unwrap());
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

//! What the tree and its tiles cost where entries are appended.

use std::time::Instant;

use chartvault::test_util::without_log_tree;

use super::clinic::Clinic;
use super::{median, say};

/// Reads that are measured at once.
const READS: usize = 50_000;

/// Two vaults, one whose log is a chain alone, in turn; what is compared stands side by side.
pub(crate) fn tree_and_chain(dir: Option<&str>, rounds: usize) {
    let (with, without) = (Clinic::new(dir), Clinic::new(dir));
    without_log_tree(&without.vault).unwrap();
    let (mut chain, mut tree, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    read(&with);
    read(&without);
    for _ in 0..rounds {
        let (alone, both) = (read(&without), read(&with));
        chain.push(alone);
        tree.push(both);
        ratios.push(both / alone);
    }
    say("chain alone", median(chain), "us an entry");
    say("chain, tree and tiles", median(tree), "us an entry");
    say("the second as a multiple of the first (wanted: at most 1.15)", median(ratios), "");
}

/// Microseconds that a read takes, its entry durable in the end.
fn read(clinic: &Clinic) -> f64 {
    clinic.let_reads_wait();
    let start = Instant::now();
    clinic.read(READS);
    clinic.wait_no_more();
    start.elapsed().as_secs_f64() * 1e6 / READS as f64
}

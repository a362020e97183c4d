//! The bundle that is kept in chartvault's repository: every later version of this crate takes it.

use std::fs;
use std::path::Path;

use chartvault_verify::bundle::{Trust, verify_bundle};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/log");

#[test]
fn the_golden_bundle_is_sound_and_newer_than_the_checkpoint_of_the_first_day() {
    let file = |name: &str| Path::new(GOLDEN).join(name);
    if !file("log.bundle").is_file() {
        // The crate by itself, outside the repository.
        println!("{GOLDEN} is not there: skipped");
        return;
    }
    let text = |name: &str| fs::read_to_string(file(name)).unwrap();
    let trust = Trust::keys([text("pinned.key").trim().parse().unwrap()]).and_checkpoint(text("kept.note"));
    let report = verify_bundle(fs::File::open(file("log.bundle")).unwrap(), &trust).unwrap();
    assert!(report.integrity.is_sound() && report.completeness.is_sound() && report.freshness.is_sound(), "{report}");
    assert_eq!((report.first, report.entries, report.disclosed.len()), (250, 12, 1));
}

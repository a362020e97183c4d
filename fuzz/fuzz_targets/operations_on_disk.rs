//! Random days on the real storage, with segments so small that they roll; see `operations/mod.rs`.
#![no_main]

#[path = "operations/mod.rs"]
mod operations;

use chartvault::Options;
use chartvault::test_util::TestVault;

libfuzzer_sys::fuzz_target!(|day: operations::Day| {
    let dir = std::env::temp_dir().join(format!("chartvault-fuzz-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let small = Options::new().segment_bytes(64 << 10, 64 << 10).cache_bytes(1 << 20);
    operations::run(&day, TestVault::new().in_dir(&dir).options(small));
    let _ = std::fs::remove_dir_all(&dir);
});

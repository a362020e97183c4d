//! Random days in a vault in memory; see `operations/mod.rs`.
#![no_main]

#[path = "operations/mod.rs"]
mod operations;

use chartvault::test_util::TestVault;

libfuzzer_sys::fuzz_target!(|day: operations::Day| operations::run(&day, TestVault::new()));

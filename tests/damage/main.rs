//! Crashes, full disks, strange and damaged files: what is found, mended, and saved.

#[path = "../support/mod.rs"]
mod support;

mod check;
mod compaction;
mod full_disk;
mod kill;
mod opening;
mod salvage;
mod salvage_forged;
mod strange_files;

//! Tortures chartvault: kills it, cuts its power, lets its disk fail, fill up and rot, and judges what is left by what
//! was acknowledged. `docs/durability.md` of the repository says how to run it and what came of it.
//!
//! A vault is worked with by a process of its own ([`workload`]) that says each thing before it begins and after it was
//! answered. What it said is the [`ledger`]. A way of hurting it ([`kill`] and so on) leaves a directory; the [`judge`]
//! opens that and compares it with the ledger. A new operation of the library becomes a [`ledger::Deed`], a step in
//! [`acts`], and what the [`judge`] expects of it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![warn(unreachable_pub)]

pub mod acts;
pub mod bench;
mod bugs;
pub mod checked;
mod clock_jumps;
pub mod command;
pub mod compaction;
pub mod contention;
pub mod court;
pub mod disk;
pub mod erasure;
pub mod errors;
mod exhibit;
pub mod expected;
pub mod ext4;
mod full_disk;
pub mod judge;
pub mod keys;
pub mod kill;
mod killer;
pub mod ledger;
pub mod listen;
mod log;
pub mod plan;
pub mod power;
pub mod report;
pub mod rng;
pub mod rot;
pub mod rotation;
pub mod salvaged;
pub mod scene;
pub mod tracer;
pub mod value;
pub mod workload;

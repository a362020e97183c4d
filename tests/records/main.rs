//! Records: put, read, listed, exported, by many at once, of every version.

#[path = "../support/mod.rs"]
mod support;

mod cached_reads;
mod charts;
mod concurrency;
mod everyday;
mod export;
mod limits;
mod model;
mod nonblocking;
mod page_limits;
mod races;
mod real_data;
mod record_types;
mod upgrade;
mod windowed_reads;

//! A new data key, and everything sealed under it, while a physician reads and writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::{Kind, Passphrase, Progress, PutOptions, Session, Task, Vault};

use crate::house::House;
use crate::show::{bar, count, item};
use crate::{Outcome, expect};

/// What the physician saw.
struct Work {
    reads: usize,
    /// How long each put took.
    puts: Vec<Duration>,
}

pub fn run(house: &House, vault: &Vault, passphrase: &Passphrase) -> Outcome<()> {
    let (session, before) = (house.session(vault)?, vault.rotation()?);
    let (bar, ended, started) = (bar(0), AtomicBool::new(false), Instant::now());
    let mut resealed = Duration::ZERO;
    let mut progress = |Progress { task, done, total, .. }: Progress| {
        if task == Task::ResealRecords {
            bar.set_length(total.unwrap_or(done));
            bar.set_position(done);
            resealed = started.elapsed();
        }
    };
    let (rotated, work) = thread::scope(|scope| {
        let physician = scope.spawn(|| work(house, &session, &ended));
        let rotated = vault.rotate_data_key(passphrase, &mut progress);
        ended.store(true, Ordering::Relaxed);
        (rotated, physician.join())
    });
    bar.finish_and_clear();
    let (rotated, mut work) = (rotated?, work.map_err(|_| "the physician's thread panicked")??);
    work.puts.sort();
    item("done", &rotated);
    let rate = rotated.resealed as f64 / resealed.as_secs_f64();
    item("speed", format!("{} records/s, the key's own cost included", count(rate as u64)));
    item("meanwhile", format!("{} records read and compared, {} put", count(work.reads), count(work.puts.len())));
    if let Some(median) = work.puts.get(work.puts.len() / 2) {
        item("a put took", format!("{} µs (median)", median.as_micros()));
    }
    let after = vault.rotation()?;
    item("data key", format!("epoch {} sealed before, {} seals now", before.data_epoch, after.data_epoch));
    expect(after.data_epochs == [after.data_epoch], "the old data key is gone")?;
    expect(rotated.unreadable == 0, "every record was sealed anew")?;
    expect(work.reads > 0, "the physician could read meanwhile")?;
    for (record, value) in &house.records {
        expect(session.get_verbatim(*record)?.value == *value, "every record reads as before")?;
    }
    item("afterwards", format!("{} records read and compared", count(house.records.len())));
    Ok(session.close()?)
}

/// Reads the sample's records and puts notes, until the rotation has ended, and once at least.
fn work(house: &House, session: &Session, ended: &AtomicBool) -> Outcome<Work> {
    let (kind, mut work) = (Kind::new("Communication")?, Work { reads: 0, puts: Vec::new() });
    for (record, value) in house.records.iter().cycle() {
        expect(session.get_verbatim(*record)?.value == *value, "a record reads as it was put, at any time")?;
        work.reads += 1;
        let started = Instant::now();
        session.put_verbatim(record.patient(), &kind, b"seen", PutOptions::new())?;
        work.puts.push(started.elapsed());
        if ended.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(work)
}

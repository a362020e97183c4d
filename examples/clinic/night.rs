//! Last act: the original is untouched. It refuses a wrong passphrase, opens with the right one, and its log is whole.

use std::time::{Duration, Instant};

use chartvault::{AuditEvent, AuditFilter, Error, Passphrase, Scope, UnlockError, Vault};

use crate::Outcome;
use crate::show::{bar, count, item};
use crate::staff::Clinic;

pub struct Morning {
    pub entries: u64,
    pub verified_in: Duration,
}

pub fn run(clinic: &Clinic) -> Outcome<Morning> {
    let locked = Vault::open(&clinic.path)?;
    match locked.unlock(&Passphrase::new("seven herons over a quiet harbor")) {
        Err(Error::Unlock(error @ UnlockError::WrongCredential)) => item("wrong passphrase", error),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("a wrong passphrase opened the vault".into()),
    }
    let started = Instant::now();
    let vault = locked.unlock(&clinic.passphrase)?;
    item("right passphrase", format!("opened in {:.2} s", started.elapsed().as_secs_f64()));
    item("the vault was", vault.opening());
    if !vault.opening().clean {
        return Err("the vault was closed, and does not know it".into());
    }

    let auditor = clinic.auditor(&vault)?;
    let attempts = auditor.audit()?.query(AuditFilter::new().event(AuditEvent::UnlockFailed)).page()?.entries;
    let attempts: u32 = attempts.iter().filter_map(|entry| entry.count).sum();
    item("failed unlocks logged", attempts);
    if attempts != 1 {
        return Err("the log does not say that one unlock failed".into());
    }

    let (bar, started) = (bar(0), Instant::now());
    let mut progress = |progress: chartvault::Progress| {
        bar.set_length(progress.total.unwrap_or(0));
        bar.set_position(progress.done);
    };
    let verified = auditor.audit()?.verify(Scope::All).on_progress(&mut progress).run()?;
    let verified_in = started.elapsed();
    bar.finish_and_clear();
    item("log", format!("{} entries verified, chained and opened", count(verified.entries)));
    vault.close()?;
    Ok(Morning { entries: verified.entries, verified_in })
}

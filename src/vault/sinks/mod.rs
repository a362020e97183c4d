//! Sinks of the log: which there are, and the threads that bring it to them.

mod courier;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Options, Vault, operate};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::Stripe;
use crate::error::Error;
use crate::keyring::Credential;
use crate::policy::{PolicyRow, SinkRow};
use crate::sink::{AuditSink, SinkFault, SinkPolicy, SinkState, checked_name};
use crate::unlocked::{Gate, Required, Unlocked};
use courier::Courier;

/// How long closing a vault waits for what sinks have under way.
const CLOSING: Duration = Duration::from_secs(5);

/// A sink, for as many openings of the vault as there are.
pub(super) type SharedSink = Arc<Mutex<Box<dyn AuditSink>>>;

/// A sink that a vault is to be opened with.
#[derive(Clone)]
pub(super) struct GivenSink {
    pub(super) sink: SharedSink,
    pub(super) policy: SinkPolicy,
}

/// The sinks at work. Ends them when dropped.
#[derive(Default)]
pub(super) struct Sinks(Mutex<BTreeMap<String, Courier>>);

impl Sinks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Courier>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all, and waits for those that do not hang.
    pub(super) fn stop(&self) {
        let ending = std::mem::take(&mut *self.lock());
        ending.values().for_each(Courier::tell_to_stop);
        let until = Instant::now() + CLOSING;
        ending.values().for_each(|courier| courier.wait_until(until));
    }

    /// Ends all as when the process is killed.
    #[cfg(feature = "test-util")]
    pub(super) fn abandon(&self) {
        self.lock().values().for_each(Courier::abandon);
        self.stop();
    }

    fn start(&self, gate: &Gate, given: &GivenSink, row: &SinkRow) -> Result<(), Error> {
        let required = match given.policy {
            SinkPolicy::BestEffort => None,
            SinkPolicy::Required { behind, patience } => Some(Required { behind, patience }),
        };
        gate.demand().ask(&row.name, required, row.next);
        let courier = Courier::start(gate, &given.sink, row, given.policy);
        let path = || row.name.clone().into();
        let courier =
            courier.map_err(|source| Error::Io { doing: "starting the thread of the sink", path: path(), source })?;
        self.lock().insert(row.name.clone(), courier);
        Ok(())
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Vault {
    /// Starts the sinks that the vault was opened with.
    pub(super) fn start_sinks(&self, unlocked: &Unlocked, options: &Options) -> Result<(), Error> {
        for (name, given) in &options.sinks {
            let row = match unlocked.policy.sink(name) {
                Some(row) if row.policy == Some(given.policy) => row,
                _ => {
                    let draft = attached(name, given.policy, Outcome::Allowed);
                    keep_row(unlocked, vec![draft], || Ok(Some(attach(unlocked, name, given.policy)?)))?;
                    unlocked.policy.sink(name).ok_or_else(|| SinkFault::Unknown { name: name.clone() })?
                }
            };
            self.0.sinks.start(&self.0.gate, given, &row)?;
        }
        Ok(())
    }

    /// Attaches a sink to the log: it gets every entry from now on, or from where a sink of that name left off, also one that
    /// runs and whose place it takes. Asks for a credential of the vault, because the log leaves it that way. An entry says so.
    /// The vault remembers name, place and policy: one that is required has to be given at every later opening
    /// ([`Options::sink`]).
    ///
    /// # Errors
    /// [`SinkFault::Name`] for a name that is not 1 to 64 bytes, [`Error::Unlock`] when the credential does not open the vault,
    /// [`Error::Io`] when its thread cannot be started, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn attach_sink<'c>(
        &self,
        name: &str,
        sink: Box<dyn AuditSink>,
        policy: SinkPolicy,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let name = checked_name(name)?;
        let unlocked = self.0.gate.enter_whatever_lags()?;
        let before = self.0.sinks.lock().get(name).map(|courier| courier.shared.next.load(Ordering::SeqCst));
        self.change(credential.into(), attached(name, policy, Outcome::Allowed), |unlocked| {
            match (attach(unlocked, name, policy)?, before) {
                (PolicyRow::Sink(row), Some(next)) => Ok(PolicyRow::Sink(SinkRow { next: next.max(row.next), ..row })),
                (row, _) => Ok(row),
            }
        })?;
        self.end_one(name);
        let row = unlocked.policy.sink(name).ok_or_else(|| SinkFault::Unknown { name: name.to_owned() })?;
        self.0.sinks.start(&self.0.gate, &GivenSink { sink: Arc::new(Mutex::new(sink)), policy }, &row)
    }

    /// Detaches a sink, required or not, running or not. The vault remembers its place, and goes on there if one of that name is
    /// attached again. Asks for a credential of the vault; an entry says so.
    ///
    /// # Errors
    /// [`SinkFault::Unknown`] where the vault has no such sink, [`Error::Unlock`] when the credential does not open the vault,
    /// [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn detach_sink<'c>(&self, name: &str, credential: impl Into<Credential<'c>>) -> Result<(), Error> {
        let next = self.0.sinks.lock().get(name).map(|courier| courier.shared.next.load(Ordering::SeqCst));
        self.change(credential.into(), detached(name), |unlocked| detach(unlocked, name, next))?;
        self.end_one(name);
        self.0.gate.demand().ask(name, None, 0);
        Ok(())
    }

    /// The sinks of the log, by name, and how far each is.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn sinks(&self) -> Result<Vec<SinkState>, Error> {
        let unlocked = self.0.gate.enter_whatever_lags()?;
        let entries = unlocked.committer.growth().entries();
        let couriers = self.0.sinks.lock();
        let state = |row: SinkRow| {
            let shared = couriers.get(&row.name).map(|courier| &courier.shared);
            let next = shared.map_or(row.next, |shared| shared.next.load(Ordering::SeqCst));
            let failing =
                shared.and_then(|shared| shared.failing.lock().unwrap_or_else(PoisonError::into_inner).clone());
            let (behind, attached) = (entries.saturating_sub(next), shared.is_some());
            Some(SinkState { name: row.name, policy: row.policy?, next, behind, attached, failing })
        };
        Ok(unlocked.policy.sinks().into_iter().filter_map(state).collect())
    }

    fn end_one(&self, name: &str) {
        let ending = self.0.sinks.lock().remove(name);
        if let Some(courier) = ending {
            courier.tell_to_stop();
            courier.wait_until(Instant::now() + CLOSING);
        }
    }

    /// As [`Vault::administer`], for when sinks let nobody in.
    fn change(
        &self,
        credential: Credential<'_>,
        draft: Draft,
        row: impl FnOnce(&Unlocked) -> Result<PolicyRow, Error>,
    ) -> Result<(), Error> {
        operate(draft.fields.event, || {
            let unlocked = self.0.gate.enter_whatever_lags()?;
            self.confirm_and_keep(&unlocked, credential, draft, row)
        })
    }
}

/// Refuses to go on without a sink that the vault requires.
pub(super) fn check_given(unlocked: &Unlocked, options: &Options, without: &[&str]) -> Result<(), SinkFault> {
    let required =
        unlocked.policy.sinks().into_iter().filter(|row| matches!(row.policy, Some(SinkPolicy::Required { .. })));
    match required.map(|row| row.name).find(|name| !options.sinks.contains_key(name) && !without.contains(&&**name)) {
        Some(name) => Err(SinkFault::Missing { name }),
        None => Ok(()),
    }
}

/// Detaches sinks while the vault is unlocked.
pub(super) fn detach_while_unlocking(unlocked: &Unlocked, without: &[&str]) -> Result<(), Error> {
    for name in without {
        keep_row(unlocked, vec![detached(name)], || detach(unlocked, name, None).map(Some))?;
    }
    Ok(())
}

fn attached(name: &str, policy: SinkPolicy, outcome: Outcome) -> Draft {
    let mut draft = Draft::new(AuditEvent::SinkAttached, outcome);
    draft.fields.detail = Some(format!("{name}: {policy}"));
    draft
}

fn detached(name: &str) -> Draft {
    let mut draft = Draft::new(AuditEvent::SinkDetached, Outcome::Allowed);
    draft.fields.detail = Some(name.chars().take(64).collect());
    draft
}

fn attach(unlocked: &Unlocked, name: &str, policy: SinkPolicy) -> Result<PolicyRow, Error> {
    let next = unlocked.policy.sink(name).map_or_else(|| unlocked.committer.growth().entries(), |row| row.next);
    let first = unlocked.committer.storage().first_entry();
    if next < first {
        return Err(Error::LogBeginsAfter { from: next, first });
    }
    let (name, since, policy) = (name.to_owned(), unlocked.now()?, Some(policy));
    Ok(PolicyRow::Sink(SinkRow { name, next, since, policy }))
}

fn detach(unlocked: &Unlocked, name: &str, next: Option<u64>) -> Result<PolicyRow, Error> {
    let row = unlocked.policy.sink(name).filter(|row| row.policy.is_some());
    let row = row.ok_or_else(|| SinkFault::Unknown { name: name.to_owned() })?;
    let next = next.map_or(row.next, |next| next.max(row.next));
    Ok(PolicyRow::Sink(SinkRow { next, since: unlocked.now()?, policy: None, ..row }))
}

/// Makes a row durable with its entry, if it is still to be, and takes it in force.
fn keep_row(
    unlocked: &Unlocked,
    drafts: Vec<Draft>,
    row: impl FnOnce() -> Result<Option<PolicyRow>, Error>,
) -> Result<(), Error> {
    let _held = unlocked.stripes.write(&[Stripe::Policy]);
    let Some(row) = row()? else { return Ok(()) };
    unlocked.commit(vec![unlocked.policy_row(&row)?], drafts)?;
    unlocked.policy.apply(row);
    Ok(())
}

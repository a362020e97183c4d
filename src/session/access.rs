//! How every operation goes: decide, work, log, answer. Nothing leaves this file, and refusal.rs, without an entry.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::sensitive::Sensitive;
use super::{Session, emergency};
use crate::audit::{AuditEvent, Draft, DraftSubject, LogPruned, Outcome};
use crate::clock::Timestamp;
use crate::committer::{Row, Stripe};
use crate::error::Error;
use crate::ids::{KindId, PatientId};
use crate::observe::{Told, Watch};
use crate::policy::PolicyRow;
use crate::record::Kind;
use crate::terms::Action;
use crate::token::{Denial, DenyReason, Reach, Request, SignInDemand};
use crate::unlocked::{ByKind, Chart, Standing, Unlocked};

/// What an operation is about to do.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) event: AuditEvent,
    pub(super) action: Action,
    pub(super) kind: Reach<KindId>,
    pub(super) patient: Reach<PatientId>,
}

/// An operation that was let in: the decision was yes, the entry is still owed.
pub(super) struct Op<'s> {
    pub(super) session: &'s Session,
    pub(super) unlocked: Arc<Unlocked>,
    pub(super) now: Timestamp,
    /// What the vault's rules left to the token when the operation began.
    pub(super) standing: Arc<Standing>,
    pub(super) sensitive: Sensitive,
    pub(super) access: Access,
    /// What it was about when it last asked: what a refusal is about.
    pub(super) asked: Cell<Access>,
    /// What was refused last.
    pub(super) refused: Cell<Option<Request>>,
    pub(super) watch: Watch,
}

/// What an operation did, to be made durable together with its entry.
pub(super) struct Done<T> {
    pub(super) value: T,
    pub(super) rows: Vec<Row>,
    /// Kinds among the rows that the vault did not know before.
    pub(super) kinds: Vec<Kind>,
    /// The newest numbers of charts and kinds, these rows included.
    pub(super) numbers: ByKind,
    pub(super) subjects: Vec<DraftSubject>,
    /// Records withheld because they are more confidential than the token allows, and similar remarks.
    pub(super) detail: Option<String>,
    /// The answer says nothing, because a rule refuses more: which, for the log.
    pub(super) denied: Option<DenyReason>,
    /// How many things were touched that have no subject of their own.
    pub(super) count: Option<u32>,
    /// Policy rows among the rows, in force once they are queued.
    pub(super) applies: Vec<PolicyRow>,
    /// What goes from the log with it.
    pub(super) prunes: Option<LogPruned>,
    /// Where it goes on without a patient who was erased meanwhile: takes what was read of them out of the value, and gives
    /// what `count` is then.
    pub(super) leave_out: Option<fn(&mut T, PatientId) -> Option<u32>>,
}

impl<T> Done<T> {
    /// Something was read.
    pub(super) fn read(value: T, subjects: Vec<DraftSubject>) -> Self {
        let (rows, kinds, numbers, applies) = (Vec::new(), Vec::new(), ByKind::new(), Vec::new());
        Self {
            value,
            rows,
            kinds,
            numbers,
            subjects,
            detail: None,
            denied: None,
            count: None,
            applies,
            prunes: None,
            leave_out: None,
        }
    }

    /// Something is to be written.
    pub(super) fn write(value: T, rows: Vec<Row>, subjects: Vec<DraftSubject>) -> Self {
        Self { rows, ..Self::read(value, subjects) }
    }
}

/// Why an operation that was let in did not succeed.
pub(super) enum Refused {
    /// The token does not allow what it turned out to be about.
    Denied(Denial),
    /// A chart is not to be opened, and not even to be there.
    Hidden(Denial, Arc<Chart>),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What must not change while an operation works, until its place in the queue is fixed.
pub(super) enum Hold<'a> {
    Nothing,
    /// A chart, so that nobody sees half a batch.
    Read(Stripe),
    /// What a writer checks before it writes.
    Write(&'a [Stripe]),
}

/// Whether entries of this event may wait where the vault chose so.
const fn is_read(event: AuditEvent) -> bool {
    use AuditEvent::{ChartRead, HistoryRead, RecordRead, RecordsListed};
    matches!(event, RecordRead | RecordsListed | ChartRead | HistoryRead)
}

impl Session {
    /// Lets an operation in, or logs why not.
    pub(super) fn begin(&self, access: Access) -> Result<Op<'_>, Error> {
        self.begin_if(access, |op| op.decide(access.kind, access.patient, None))
    }

    /// Lets somebody in who is about to break the glass for a patient, or logs why not.
    pub(super) fn begin_emergency(&self, patient: PatientId) -> Result<Op<'_>, Error> {
        self.begin_if(emergency::access(patient), |op| op.decide_emergency(patient, None))
    }

    fn begin_if(&self, access: Access, decide: impl FnOnce(&Op<'_>) -> Result<(), Denial>) -> Result<Op<'_>, Error> {
        let watch = Watch::start(access.event.word(), access.action.word());
        let unlocked = self.0.gate.enter().map_err(|error| watch.refused(error))?;
        let now = match unlocked.now() {
            Ok(now) => now,
            Err(error) => {
                return Err(watch.refused(self.log_failure(&unlocked, access, Outcome::Denied, error, Vec::new())));
            }
        };
        let (standing, refused) = match self.0.standing.now(&unlocked, self.0.token.verified()) {
            Ok(standing) => (standing, None),
            Err(denial) => (Arc::default(), Some(denial)),
        };
        if let Err(error) = self.stay_alive(&unlocked, &standing, now) {
            return Err(watch.refused(self.log_failure(&unlocked, access, Outcome::Denied, error, Vec::new())));
        }
        if let (Action::Create | Action::Amend | Action::Void | Action::Erase, Some((salvaged_at, _))) =
            (access.action, unlocked.policy.doubt())
        {
            let error = Error::DoubtfulReadOnly { salvaged_at };
            return Err(watch.refused(self.log_failure(&unlocked, access, Outcome::Denied, error, Vec::new())));
        }
        let op = Op {
            session: self,
            unlocked,
            now,
            standing,
            sensitive: Sensitive::default(),
            access,
            asked: Cell::new(access),
            refused: Cell::new(None),
            watch,
        };
        let allowed = refused.map_or_else(|| decide(&op), Err);
        match allowed.and_then(|()| op.unlocked.one_more_use(&self.0.limits).map(drop)) {
            Ok(()) => Ok(op),
            Err(denial) => Err(op.log_denial(denial)),
        }
    }

    /// Automatic log-off, and the proof of life that postpones it; and whether its principal signed in lately, where the token
    /// wants that.
    pub(super) fn stay_alive(&self, unlocked: &Unlocked, standing: &Standing, now: Timestamp) -> Result<(), Error> {
        let mut life = self.life();
        if let Some(why) = life.ended {
            return Err(Error::SessionEnded { why });
        }
        let Some(why) = self.0.too_long(&life, standing, now) else {
            life.last_used = life.last_used.max(now);
            return match self.0.sign_in {
                Some(demand) if life.signed_in.meets(demand, now).is_err() => {
                    let SignInDemand { level, oldest } = demand;
                    Err(Error::StepUpNeeded { level, oldest: Duration::from_secs(oldest.into()) })
                }
                _ => Ok(()),
            };
        };
        drop(life);
        self.end(why)?;
        let mut draft = self.draft(AuditEvent::SessionExpired, Outcome::Denied);
        draft.fields.detail = Some(why.to_owned());
        unlocked.commit(Vec::new(), vec![draft])?;
        Err(Error::SessionEnded { why })
    }

    /// An entry about an operation.
    pub(super) fn draft_of(&self, access: Access, outcome: Outcome) -> Draft {
        let mut draft = self.draft(access.event, outcome);
        draft.fields.action = Some(access.action);
        if let Reach::One(kind) = access.kind {
            draft.fields.kind = Some(kind);
        }
        draft
    }
}

impl Op<'_> {
    /// What it is about to do.
    pub(super) const fn access(&self) -> Access {
        self.access
    }

    /// Whether it reads what those at work read again.
    pub(super) const fn is_of_the_day(&self) -> bool {
        use AuditEvent::{ChartRead, RecordRead, RecordsListed};
        matches!(self.access.event, RecordRead | RecordsListed | ChartRead)
    }

    /// The stripe of a patient's chart, whether there is one or not.
    pub(super) fn stripe(&self, patient: PatientId) -> Stripe {
        Stripe::chart(&self.unlocked.keyring().patient_tag(patient))
    }

    /// Work of an operation that was let in before it holds anything, because it takes long. Where it fails, that is logged.
    pub(super) fn prepare<T>(self, work: impl FnOnce(&Unlocked) -> Result<T, Error>) -> Result<(Self, T), Error> {
        match work(&self.unlocked) {
            Ok(prepared) => Ok((self, prepared)),
            Err(error) => Err(self.refuse(Outcome::Failed, error)),
        }
    }

    /// Does the work, logs how it went, and answers only then; for a read, "logs" means what the vault chose it to mean.
    pub(super) fn run<T>(
        self,
        hold: Hold<'_>,
        work: impl FnOnce(&Self) -> Result<Done<T>, Refused>,
    ) -> Result<T, Error> {
        let result = self.work_and_log(hold, work);
        self.watch.end(&result);
        result
    }

    fn work_and_log<T>(
        &self,
        hold: Hold<'_>,
        work: impl FnOnce(&Self) -> Result<Done<T>, Refused>,
    ) -> Result<T, Error> {
        let committer = &self.unlocked.committer;
        let queued = {
            let stripes = &self.unlocked.stripes;
            let (_reading, _writing) = match hold {
                Hold::Nothing => (None, None),
                Hold::Read(stripe) => (stripes.read(stripe), None),
                Hold::Write(several) => (None, Some(stripes.write(several))),
            };
            let done = catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|panic| self.log_panic(panic));
            let limits = &self.session.0.limits;
            let _counting = (!limits.is_empty()).then(|| self.unlocked.counting());
            done.and_then(|done| self.unless_erased(done)).and_then(|done| self.count_use(done)).map(|done| {
                self.watch.touched(done.subjects.iter().map(|subject| subject.records.len()).sum());
                let outcome = if done.denied.is_some() { Outcome::Denied } else { Outcome::Allowed };
                let mut draft = self.session.draft_of(self.access, outcome);
                draft.fields.reason = done.denied.map(DenyReason::code);
                draft.fields.detail = done.detail;
                draft.fields.count = done.count;
                draft.fields.consent = self.sensitive.answers();
                draft.subjects = done.subjects;
                let queued = if let Some(pruned) = done.prunes {
                    committer.queue_cut(done.rows, draft.pruning(pruned), pruned.end)
                } else if is_read(self.access.event) && done.rows.is_empty() {
                    committer.queue_read(draft)
                } else {
                    committer.queue(done.rows, vec![draft])
                };
                if queued.is_ok() {
                    // Before the chart is let go: whoever sees its rows from now on can name their kinds.
                    self.unlocked.learn(done.kinds);
                    self.unlocked.numbers.keep(done.numbers);
                    done.applies.into_iter().for_each(|row| self.unlocked.policy.apply(row));
                }
                (done.value, queued)
            })
        };
        match queued {
            Ok((value, Ok(queued))) => {
                committer.wait(queued)?;
                Ok(value)
            }
            Ok((_, Err(failed))) => Err(self.write_failure(self.access, Outcome::Failed, failed.into())),
            Err(Refused::Denied(denial)) => Err(self.log_denial(denial)),
            Err(Refused::Failed(error)) => {
                let error = self.instead_of(error);
                let outcome = if error.is_denial() { Outcome::Denied } else { Outcome::Failed };
                Err(self.write_failure(self.asked.get(), outcome, error))
            }
            Err(Refused::Hidden(denial, chart)) => Err(match self.instead_of(Error::NoSuchPatient(chart.patient)) {
                error @ Error::NoSuchPatient(_) => self.write_hidden(denial, error),
                error => self.write_failure(self.asked.get(), Outcome::Failed, error),
            }),
        }
    }

    /// Counts this use of the token, if the token has not been used up meanwhile.
    fn count_use<T>(&self, mut done: Done<T>) -> Result<Done<T>, Refused> {
        let uses = self.unlocked.one_more_use(&self.session.0.limits).map_err(Refused::Denied)?;
        for row in uses {
            done.rows.push(self.unlocked.policy_row(&row)?);
            done.applies.push(row);
        }
        Ok(done)
    }

    /// What was read of a patient who was erased meanwhile is not given out: whoever reads without holding the chart may have
    /// begun before.
    fn unless_erased<T>(&self, mut done: Done<T>) -> Result<Done<T>, Refused> {
        if !self.unlocked.policy.has_erasures() {
            return Ok(done);
        }
        let erased = |subject: &DraftSubject| self.unlocked.check_not_erased(subject.patient, &subject.patient_tag);
        let Some(leave_out) = done.leave_out else {
            for subject in &done.subjects {
                erased(subject).inspect_err(|_| self.ask(Reach::Filtered, Reach::One(subject.patient)))?;
            }
            return Ok(done);
        };
        for gone in done.subjects.extract_if(.., |subject| erased(subject).is_err()) {
            done.count = leave_out(&mut done.value, gone.patient);
        }
        Ok(done)
    }
}

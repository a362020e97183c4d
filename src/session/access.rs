//! How every operation goes: decide, work, log, answer. Nothing leaves this file without an entry.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::sensitive::Sensitive;
use super::{Session, emergency};
use crate::audit::{AuditConsent, AuditEvent, Draft, DraftSubject, Outcome};
use crate::clock::Timestamp;
use crate::committer::{Row, Stripe};
use crate::crypto::random;
use crate::error::Error;
use crate::ids::{KindId, PatientId, Ticket};
use crate::observe::{Told, Watch};
use crate::policy::PolicyRow;
use crate::record::Kind;
use crate::terms::{Action, Confidentiality, Purpose};
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
    access: Access,
    /// What it was about when it last asked: what a refusal is about.
    asked: Cell<Access>,
    /// What was refused last.
    refused: Cell<Option<Request>>,
    watch: Watch,
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

    /// Logs an operation that did not happen, and gives back the error to answer with: the original one, or that not
    /// even the log could be written.
    fn log_failure(
        &self,
        unlocked: &Unlocked,
        access: Access,
        outcome: Outcome,
        error: Error,
        consent: Vec<AuditConsent>,
    ) -> Error {
        let mut draft = self.refusal(unlocked, access, outcome);
        draft.fields.consent = consent;
        draft.fields.detail = Some(error.word().to_owned());
        if let Error::StepUpNeeded { .. } = error {
            draft.fields.reason = Some(DenyReason::SignIn.code());
        }
        match unlocked.commit(Vec::new(), vec![draft]) {
            Ok(()) => error,
            Err(unlogged) => unlogged,
        }
    }
}

impl Op<'_> {
    /// Asks the token, and the rules of the vault.
    pub(super) fn decide(
        &self,
        kind: Reach<KindId>,
        patient: Reach<PatientId>,
        confidentiality: Option<Confidentiality>,
    ) -> Result<(), Denial> {
        self.ask(kind, patient);
        let request = self.request(kind, patient, confidentiality);
        let decision = self.session.0.token.decide(&request).and_then(|()| self.standing.allows(&request));
        decision.inspect_err(|_| self.refused.set(Some(request)))
    }

    /// Everything that refuses what was denied.
    fn refusals(&self, denial: Denial) -> Vec<(u8, u16)> {
        let mut refusals = vec![denial];
        if let Some(request) = self.refused.get() {
            let rest = self.session.0.token.refusals(&request).into_iter().chain(self.standing.allows(&request).err());
            rest.filter(|other| *other != denial).for_each(|other| refusals.push(other));
        }
        refusals.sort_by_key(|denial| denial.block);
        refusals.into_iter().map(|denial| (denial.block, denial.reason.code())).collect()
    }

    /// Asks whether the glass may be broken for a patient, whose chart is so confidential: whether any of the emergency's
    /// actions would be allowed then.
    pub(super) fn decide_emergency(
        &self,
        patient: PatientId,
        confidentiality: Option<Confidentiality>,
    ) -> Result<(), Denial> {
        let request = |action: Action| Request {
            action,
            kind: Reach::Filtered,
            patient: Reach::One(patient),
            purpose: Purpose::BreakGlass,
            confidentiality,
            now: self.now,
            emergency: Some(patient),
        };
        let decide = |action: &Action| {
            let request = request(*action);
            self.session.0.token.decide(&request).and_then(|()| self.standing.allows(&request))
        };
        let mut answers = Action::ALL.iter().map(decide);
        let first = answers.next().unwrap_or(Ok(()));
        if first.is_ok() || answers.any(|answer| answer.is_ok()) { Ok(()) } else { first }
    }

    pub(super) fn request(
        &self,
        kind: Reach<KindId>,
        patient: Reach<PatientId>,
        confidentiality: Option<Confidentiality>,
    ) -> Request {
        let (action, purpose) = (self.access.action, self.session.0.purpose);
        let emergency = self.session.0.emergency.map(|emergency| emergency.patient);
        Request { action, kind, patient, purpose, confidentiality, now: self.now, emergency }
    }

    /// What it is about to do.
    pub(super) const fn access(&self) -> Access {
        self.access
    }

    /// Whether the token and the rules allow more than they were asked for so far; nothing is noted.
    pub(super) fn would_allow(&self, kind: Reach<KindId>, patient: Reach<PatientId>) -> bool {
        let request = self.request(kind, patient, None);
        self.session.0.token.decide(&request).and_then(|()| self.standing.allows(&request)).is_ok()
    }

    /// Notes what the operation turns to.
    fn ask(&self, kind: Reach<KindId>, patient: Reach<PatientId>) {
        let mut asked = self.asked.get();
        if matches!(kind, Reach::One(_)) {
            asked.kind = kind;
        }
        if matches!(patient, Reach::One(_)) {
            asked.patient = patient;
            if !matches!(kind, Reach::One(_)) {
                // A kind of the chart before says nothing about this one.
                asked.kind = self.access.kind;
            }
        }
        self.asked.set(asked);
    }

    /// Asks the token about a record that has been opened but not given out.
    pub(super) fn may_see(
        &self,
        kind: KindId,
        patient: PatientId,
        confidentiality: Confidentiality,
    ) -> Result<(), Denial> {
        self.decide(Reach::One(kind), Reach::One(patient), Some(confidentiality))
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
                let queued = if is_read(self.access.event) && done.rows.is_empty() {
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

    /// Of a patient who was erased meanwhile, rows may be missing: that is why.
    fn instead_of(&self, error: Error) -> Error {
        match self.asked.get().patient {
            Reach::One(patient) => {
                // Whoever erases shows the rows gone before the ledger says so, and has the chart until both are done.
                let _settled = self.unlocked.stripes.read(self.stripe(patient));
                self.unlocked.erased(patient).map_or(error, |at| Error::Erased { patient, at })
            }
            _ => error,
        }
    }

    /// Logs that an operation that was let in is refused after all; gives the error to answer with.
    pub(super) fn refuse(self, outcome: Outcome, error: Error) -> Error {
        self.watch.refused(self.write_failure(self.access, outcome, error))
    }

    fn write_failure(&self, access: Access, outcome: Outcome, error: Error) -> Error {
        self.session.log_failure(&self.unlocked, access, outcome, error, self.sensitive.answers())
    }

    /// Logs that a record's type, or whatever else of the host's ran within, panicked over what it was shown; goes on
    /// unwinding.
    fn log_panic(&self, panic: Box<dyn Any + Send>) -> ! {
        let mut draft = self.session.refusal(&self.unlocked, self.asked.get(), Outcome::Failed);
        draft.fields.consent = self.sensitive.answers();
        draft.fields.detail = Some("panicked".to_owned());
        // If it cannot be written the vault stops; the answer is the panic either way.
        let _ = self.unlocked.commit(Vec::new(), vec![draft]);
        resume_unwind(panic)
    }

    pub(super) fn log_denial(&self, denial: Denial) -> Error {
        self.watch.refused(self.write_denial(denial))
    }

    fn write_denial(&self, denial: Denial) -> Error {
        let ticket = match random::array() {
            Ok(bytes) => Ticket::from_bytes(bytes),
            Err(error) => return error.into(),
        };
        let mut draft = self.session.refusal(&self.unlocked, self.asked.get(), Outcome::Denied);
        draft.fields.reason = Some(denial.reason.code());
        draft.fields.ticket = Some(ticket);
        draft.fields.detail = Some(format!("block {}", denial.block));
        draft.fields.refusals = self.refusals(denial);
        draft.fields.consent = self.sensitive.answers();
        match self.unlocked.commit(Vec::new(), vec![draft]) {
            Ok(()) => Error::Denied { ticket },
            Err(unlogged) => unlogged,
        }
    }

    /// Logs that a chart was not to be opened; the answer is that of a patient who is not there, without a ticket, which
    /// that one has not.
    fn write_hidden(&self, denial: Denial, error: Error) -> Error {
        let mut draft = self.session.refusal(&self.unlocked, self.asked.get(), Outcome::Denied);
        draft.fields.reason = Some(denial.reason.code());
        draft.fields.consent = self.sensitive.answers();
        match self.unlocked.commit(Vec::new(), vec![draft]) {
            Ok(()) => error,
            Err(unlogged) => unlogged,
        }
    }
}

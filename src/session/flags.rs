//! Flags that monitoring raised, and those who look into them.

use super::Session;
use super::access::{Access, Done, Hold, Op, Refused};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::{FlagId, PatientId, PrincipalId};
use crate::monitor::{FlagError, FlagVerdict, MonitorRule};
use crate::policy::{FlagClosed, FlagRow, MAX_FLAG_NOTE, PolicyRow};
use crate::terms::Action;
use crate::token::Reach;

/// Flags that one page can hold.
const PAGE: usize = 1_000;

/// The flags that monitoring raised; see [`Session::flags`].
#[derive(Clone, Copy, Debug)]
pub struct Flags<'s> {
    pub(super) session: &'s Session,
}

/// Something that a rule found ([`Vault::set_monitoring`](crate::Vault::set_monitoring)), and what came of it. It is no
/// finding of misuse.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flag {
    /// Its id.
    pub id: FlagId,
    /// Which rule.
    pub rule: MonitorRule,
    /// Whom it is about; `None` where nobody is known.
    pub actor: Option<PrincipalId>,
    /// Whether it is about one patient's chart.
    pub about_patient: bool,
    /// Whose chart; `None` where it is about no single one, where the patient was erased since, and to whom the token or a
    /// label of the chart does not let in.
    pub patient: Option<PatientId>,
    /// The time of the entry with which it was raised.
    pub at: Timestamp,
    /// When the rules found it.
    pub raised: Timestamp,
    /// The numbers of the entries that it rests on, at most 32.
    pub entries: Vec<u64>,
    /// Why.
    pub why: String,
    /// What speaks against it; empty where nothing is known.
    pub against: String,
    /// Who is to look into it, and since when.
    pub assigned: Option<(PrincipalId, Timestamp)>,
    /// What came of it, once it was closed.
    pub closed: Option<FlagClosed>,
    /// Until when it should have been closed.
    pub due: Timestamp,
    /// When the log was told that it is overdue.
    pub escalated: Option<Timestamp>,
}

/// Which flags are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlagState {
    /// All.
    Any,
    /// Those not closed yet.
    Open,
    /// Those not closed in time.
    Overdue,
    /// Those closed.
    Closed,
}

impl Session {
    /// The flags that monitoring raised, to be looked into by somebody else than those whom they are about. All calls need
    /// the review action.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// for flag in session.flags().list(FlagState::Open, None)? {
    ///     println!("{} {}: {} (entries {:?})", flag.rule, flag.at, flag.why, flag.entries);
    ///     session.flags().close(flag.id, FlagVerdict::Explained, "was called to help out")?;
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub const fn flags(&self) -> Flags<'_> {
        Flags { session: self }
    }
}

impl Flags<'_> {
    /// The first thousand flags of a state behind `after`, in the order in which they were raised.
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn list(&self, state: FlagState, after: Option<&Flag>) -> Result<Vec<Flag>, Error> {
        let op = self.session.begin(access(AuditEvent::FlagsListed))?;
        op.run(Hold::Nothing, |op| {
            let policy = &op.unlocked.policy;
            let within = op.time_to_close();
            let wanted = |row: &FlagRow| match state {
                FlagState::Any => true,
                FlagState::Open => row.closed.is_none(),
                FlagState::Overdue => row.closed.is_none() && row.raised.saturating_add(within) <= op.now,
                FlagState::Closed => row.closed.is_some(),
            };
            let rows = policy.flags(after.map(|flag| (flag.raised, flag.id)), PAGE, wanted);
            let flags: Vec<Flag> = rows.into_iter().map(|row| op.told_flag(row)).collect();
            let count = u32::try_from(flags.len()).ok();
            Ok(Done { count, ..Done::read(flags, Vec::new()) })
        })
    }

    /// One flag.
    ///
    /// # Errors
    /// [`FlagError::NoSuchFlag`], and what [`Session`] lists.
    pub fn get(&self, id: FlagId) -> Result<Flag, Error> {
        let op = self.session.begin(access(AuditEvent::FlagsListed))?;
        op.run(Hold::Nothing, |op| {
            let row = op.unlocked.policy.flag(id).ok_or(FlagError::NoSuchFlag { flag: id }).map_err(Error::from)?;
            Ok(Done { detail: Some(id.to_string()), ..Done::read(op.told_flag(row), Vec::new()) })
        })
    }

    /// Gives an open flag to a principal to look into, instead of whomever it was given to before.
    ///
    /// # Errors
    /// [`FlagError::NoSuchFlag`], [`FlagError::Closed`], [`FlagError::OwnFlag`] where it is about either of them, and what
    /// [`Session`] lists.
    pub fn assign(&self, id: FlagId, to: PrincipalId) -> Result<Flag, Error> {
        let (by, said) = (self.session.principal(), format!("{id} to {to}"));
        self.change(id, AuditEvent::FlagAssigned, said, |row, now| {
            if row.actor == Some(to) || row.actor == Some(by) {
                return Err(FlagError::OwnFlag { flag: id }.into());
            }
            row.assigned = Some((to, now));
            Ok(())
        })
    }

    /// Closes a flag with a verdict and a note (1 to 512 bytes that are not all blank; let it name no patient, since the log
    /// stays readable when one is erased). Nobody closes a flag about themselves.
    ///
    /// # Errors
    /// [`FlagError::NoSuchFlag`], [`FlagError::Closed`], [`FlagError::OwnFlag`], [`Error::InvalidText`], and what
    /// [`Session`] lists.
    pub fn close(&self, id: FlagId, verdict: FlagVerdict, note: &str) -> Result<Flag, Error> {
        check_text("note", note, MAX_FLAG_NOTE)?;
        let by = self.session.principal();
        let said = format!("{id} {verdict}: {note}");
        self.change(id, AuditEvent::FlagClosed, said, |row, at| {
            if row.actor == Some(by) {
                return Err(FlagError::OwnFlag { flag: id }.into());
            }
            row.closed = Some(FlagClosed { by, at, verdict, note: note.to_owned() });
            Ok(())
        })
    }

    fn change(
        &self,
        id: FlagId,
        event: AuditEvent,
        said: String,
        change: impl Fn(&mut FlagRow, Timestamp) -> Result<(), Error>,
    ) -> Result<Flag, Error> {
        let op = self.session.begin(access(event))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let found = op.unlocked.policy.flag(id).ok_or(FlagError::NoSuchFlag { flag: id });
            let mut row = found.map_err(Error::from)?;
            if let Some(closed) = &row.closed {
                return Err(Refused::Failed(FlagError::Closed { flag: id, at: closed.at }.into()));
            }
            change(&mut row, op.now)?;
            let flag = op.told_flag(row.clone());
            let row = PolicyRow::Flag(row);
            let rows = vec![op.unlocked.policy_row(&row)?];
            Ok(Done { detail: Some(said), applies: vec![row], ..Done::write(flag, rows, Vec::new()) })
        })
    }
}

impl Op<'_> {
    fn time_to_close(&self) -> std::time::Duration {
        let row = self.unlocked.policy.monitoring();
        row.map_or_else(|| crate::monitor::MonitoringRules::new().time_to_close(), |row| row.rules.time_to_close())
    }

    /// The patient is named to whom the token and the rules would let into that chart. No lock is taken: the policy's may be held.
    fn told_flag(&self, row: FlagRow) -> Flag {
        let FlagRow { id, patient_tag, rule, actor, at, raised, entries, why, against, assigned, closed, escalated } =
            row;
        let patient = patient_tag.and_then(|tag| {
            let level = self.unlocked.policy.chart_label(&tag).confidentiality;
            let named = |patient: &PatientId| self.would_allow(Reach::Filtered, Reach::One(*patient), Some(level));
            // A patient's row that is gone or damaged does not stand in the way of a review.
            self.unlocked.patient_of(&tag).ok().flatten().filter(named)
        });
        let (due, about_patient) = (raised.saturating_add(self.time_to_close()), patient_tag.is_some());
        Flag {
            id,
            rule,
            actor,
            about_patient,
            patient,
            at,
            raised,
            entries,
            why,
            against,
            assigned,
            closed,
            due,
            escalated,
        }
    }
}

/// A text has something to say and fits.
pub(super) fn check_text(what: &'static str, text: &str, limit: usize) -> Result<(), Error> {
    let len = if text.trim().is_empty() { 0 } else { text.len() };
    if (1..=limit).contains(&len) { Ok(()) } else { Err(Error::InvalidText { what, len, least: 1, limit }) }
}

/// About no chart, and so about everybody.
pub(super) const fn access(event: AuditEvent) -> Access {
    Access { event, action: Action::Review, kind: Reach::Whole, patient: Reach::Whole }
}

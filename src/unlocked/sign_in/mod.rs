//! Signing in: the same work and the same answer for whoever does not get in, whatever the reason, and each attempt in the
//! log before it is answered.

mod judge;
mod memory;

use std::sync::Arc;

use super::Unlocked;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::clock::Timestamp;
use crate::committer::{Row, Stripe};
use crate::crypto::kdf;
use crate::crypto::kdf_parameters::KdfParameters;
use crate::crypto::passphrase::PassphraseCost;
use crate::crypto::password::{MAX_PASSWORD, MIN_PASSWORD, NoMemory, Password, Verifier, hold_none};
use crate::error::Error;
use crate::format::keys::Tree;
use crate::ids::PrincipalId;
use crate::policy::{Failures, PolicyRow, PrincipalRow};
use crate::token::{AuthProof, Opened, SignInLevel};
use judge::{Accepted, judge};
use memory::Memory;

/// What sign-ins of one unlocked vault share.
pub(crate) struct SignIns {
    /// Which vault proofs are from, and which opening of it.
    pub(crate) opened: Arc<Opened>,
    /// What passwords cost that are set from now on, and those that cost less once they are used again.
    pub(crate) cost: PassphraseCost,
    memory: Memory,
}

impl SignIns {
    pub(crate) fn new(cost: PassphraseCost) -> Self {
        Self { opened: Arc::default(), cost, memory: Memory::default() }
    }
}

/// What somebody shows who wants to sign in.
pub(crate) struct Attempt<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a Password,
    pub(crate) second: Option<Second<'a>>,
}

/// A second factor, as it was typed.
#[derive(Clone, Copy)]
pub(crate) enum Second<'a> {
    Totp(&'a str),
    RecoveryCode(&'a str),
}

/// How an attempt ended, once the log has it.
enum Verdict {
    In(AuthProof),
    Refused(Error),
}

impl Unlocked {
    /// Lets somebody in who shows what their principal is known by.
    pub(crate) fn sign_in(&self, attempt: &Attempt<'_>) -> Result<AuthProof, Error> {
        let of = kdf::principal_id(attempt.name);
        match self.decide_sign_in(of, attempt) {
            Ok(Verdict::In(proof)) => {
                self.renew_verifier(of, attempt.password);
                Ok(proof)
            }
            Ok(Verdict::Refused(error)) => Err(error),
            Err(error) => {
                let mut draft = self.sign_in_draft(AuditEvent::SignInRefused, of, error.word());
                draft.fields.outcome = Outcome::Failed;
                self.commit(Vec::new(), vec![draft])?;
                Err(error)
            }
        }
    }

    fn decide_sign_in(&self, of: PrincipalId, attempt: &Attempt<'_>) -> Result<Verdict, Error> {
        if let Some(at) = self.policy.failures(of).blocked_until(self.now()?) {
            return self.try_again(of, at);
        }
        let row = self.principal(of)?;
        // Looked up for those who need it not, too.
        let in_place = self.policy.cost_in_place_of(of).unwrap_or(self.sign_ins.cost);
        let verifier = row.as_ref().and_then(|row| row.password.as_ref());
        let holds = {
            let cost = verifier.map_or(in_place, |verifier| verifier.cost);
            let _room = self.sign_ins.memory.room(cost.memory_kib());
            match verifier {
                Some(verifier) => verifier.holds(attempt.password)?,
                None => hold_none(attempt.password, cost).map(|()| false)?,
            }
        };
        let looked_at = verifier.map(|verifier| verifier.salt);
        let held = self.stripes.write(&[Stripe::Policy]);
        let now = self.now()?;
        // Others may have failed under this name meanwhile, or signed in with this code.
        let failures = self.policy.failures(of);
        if let Some(at) = failures.blocked_until(now) {
            drop(held);
            return self.try_again(of, at);
        }
        let row = self.principal(of)?;
        let is_same = row.as_ref().and_then(|row| row.password.as_ref()).map(|verifier| verifier.salt) == looked_at;
        let (draft, rows, applies, verdict) = match judge(row, holds && is_same, attempt.second, now) {
            Ok(Accepted { row, level, by }) => {
                // Else a password alone would make room for more guesses of the code that belongs to it.
                let is_whole = level > SignInLevel::OneFactor || !row.has_second_factor();
                let draft = self.sign_in_draft(AuditEvent::SignedIn, of, &format!("{level}: {by}"));
                let (mut rows, mut applies) = self.principal_rows(row)?;
                if failures.count > 0 && is_whole {
                    rows.extend(self.failures_row(Failures::none(of))?);
                    applies.push(PolicyRow::Failures(Failures::none(of)));
                }
                (draft, rows, applies, Verdict::In(AuthProof::new(&self.sign_ins.opened, of, level, now)))
            }
            Err(why) => {
                let draft = self.sign_in_draft(AuditEvent::SignInRefused, of, why.word());
                let counted = self.one_more_failure(failures, now);
                let rows =
                    counted.iter().map(|failures| self.failures_row(*failures)).collect::<Result<Vec<_>, _>>()?;
                let applies = counted.into_iter().map(PolicyRow::Failures).collect();
                (draft, rows.into_iter().flatten().collect(), applies, Verdict::Refused(Error::SignInRefused))
            }
        };
        let queued = self.committer.queue(rows, vec![draft])?;
        applies.into_iter().for_each(|row| self.policy.apply(row));
        drop(held);
        self.committer.wait(queued)?;
        Ok(verdict)
    }

    /// Refuses without having looked at anything.
    fn try_again(&self, of: PrincipalId, at: Timestamp) -> Result<Verdict, Error> {
        let draft = self.sign_in_draft(AuditEvent::SignInRefused, of, "too many failures before");
        self.commit(Vec::new(), vec![draft])?;
        Ok(Verdict::Refused(Error::TryAgain { at }))
    }

    /// The counts that change with one more failure: the name's, and where there is no more room that of another name that
    /// nobody has.
    fn one_more_failure(&self, before: Failures, now: Timestamp) -> Vec<Failures> {
        let is_new = before.count == 0 && !self.policy.is_enrolled(before.of);
        let forgotten = if is_new { self.policy.failures_to_forget() } else { None };
        let forgotten = forgotten.map(|failures| Failures::none(failures.of));
        forgotten.into_iter().chain([before.one_more(now)]).collect()
    }

    /// A verifier that costs less than it should is made anew while the password is at hand. Apart from the sign-in, so that
    /// nobody can tell from its time whether a password was right. If it fails, the next one does it.
    fn renew_verifier(&self, of: PrincipalId, password: &Password) {
        let wanted = KdfParameters::from(self.sign_ins.cost);
        let is_weak = |row: &PrincipalRow| {
            row.password.as_ref().is_some_and(|verifier| KdfParameters::from(verifier.cost).is_weaker_than(wanted))
        };
        let Some(old) = self.principal(of).ok().flatten().filter(is_weak).and_then(|row| row.password) else { return };
        let Ok(renewed) = self.verifier(password) else { return };
        let draft = account_draft(AuditEvent::PrincipalChanged, of, "password sealed at a higher cost");
        let _ = self.change_principal(of, draft, |row, _| match &row.password {
            Some(verifier) if verifier.salt == old.salt => {
                row.password = Some(renewed);
                Ok(())
            }
            _ => Err(Error::NoSuchPrincipal { principal: of }),
        });
    }

    /// What is kept of a password that is set now, at the cost that passwords have now.
    pub(crate) fn verifier(&self, password: &Password) -> Result<Verifier, Error> {
        let (len, least, limit) = (password.len(), MIN_PASSWORD, MAX_PASSWORD);
        if !(least..=limit).contains(&len) {
            return Err(Error::InvalidText { what: "password", len, least, limit });
        }
        let _room = self.sign_ins.memory.room(self.sign_ins.cost.memory_kib());
        Ok(Verifier::of(password, self.sign_ins.cost)??)
    }

    /// A principal as it is stored. Hold the policy stripe for as long as it has to stay so.
    pub(crate) fn principal(&self, of: PrincipalId) -> Result<Option<PrincipalRow>, Error> {
        const WHAT: &str = "policy row";
        let (table, id) = PolicyRow::place_of_principal(of);
        let keyring = self.keyring();
        let key = keyring.policy_tag(table, &id);
        let Some(value) = self.committer.get(Tree::Policy, &key)? else { return Ok(None) };
        let body = self.open_row(keyring.policy_sealer(), Tree::Policy, &key, &value, WHAT)?;
        match PolicyRow::parse(&body) {
            Ok(PolicyRow::Principal(row)) => Ok(Arc::into_inner(row).filter(|row| row.id() == of)),
            _ => Err(Error::TamperedRow { what: WHAT }),
        }
    }

    /// The row that puts this in place of the principal, and what is in force with it. Hold the policy stripe from here until
    /// it is queued.
    pub(crate) fn principal_rows(&self, row: PrincipalRow) -> Result<(Vec<Row>, Vec<PolicyRow>), Error> {
        let row = PolicyRow::Principal(Arc::new(row));
        Ok((vec![self.policy_row(&row)?], vec![row]))
    }

    /// The row that keeps a count; none is taken away. Hold the policy stripe from here until it is queued.
    pub(crate) fn failures_row(&self, failures: Failures) -> Result<Option<Row>, Error> {
        let row = PolicyRow::Failures(failures);
        if failures.count > 0 {
            return self.policy_row(&row).map(Some);
        }
        let (table, id) = row.place();
        let key = self.keyring().policy_tag(table, &id);
        let replaces = self.committer.get(Tree::Policy, &key)?;
        Ok(replaces.map(|old| Row::removal(Tree::Policy, key, old)))
    }

    /// Changes a principal, with its entry.
    pub(crate) fn change_principal<T>(
        &self,
        of: PrincipalId,
        draft: Draft,
        change: impl FnOnce(&mut PrincipalRow, Timestamp) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (value, queued) = {
            let _held = self.stripes.write(&[Stripe::Policy]);
            let mut row = self.principal(of)?.ok_or(Error::NoSuchPrincipal { principal: of })?;
            let value = change(&mut row, self.now()?)?;
            let (rows, applies) = self.principal_rows(row)?;
            let queued = self.committer.queue(rows, vec![draft])?;
            applies.into_iter().for_each(|row| self.policy.apply(row));
            (value, queued)
        };
        self.committer.wait(queued)?;
        Ok(value)
    }

    /// Of a name that nobody has, the entry says nothing: it may be a password that was typed in the wrong place.
    fn sign_in_draft(&self, event: AuditEvent, of: PrincipalId, detail: &str) -> Draft {
        let outcome = if event == AuditEvent::SignedIn { Outcome::Allowed } else { Outcome::Denied };
        let mut draft = Draft::new(event, outcome);
        draft.fields.actor = Some(of).filter(|of| self.policy.is_enrolled(*of));
        draft.fields.detail = Some(detail.to_owned());
        draft
    }
}

/// An entry about what somebody does with their own account.
pub(crate) fn account_draft(event: AuditEvent, of: PrincipalId, detail: &str) -> Draft {
    let mut draft = Draft::new(event, Outcome::Allowed);
    draft.fields.actor = Some(of);
    draft.fields.detail = Some(detail.to_owned());
    draft
}

impl From<NoMemory> for Error {
    fn from(NoMemory { kib }: NoMemory) -> Self {
        Self::NoMemory { memory_kib: kib }
    }
}

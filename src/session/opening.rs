//! Opening a session: a token, a purpose, and whatever the token demands to be shown beside it.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use super::{Inner, Life, Session};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::crypto::{kdf, random};
use crate::error::Error;
use crate::ids::{FacilityId, SessionId};
use crate::observe;
use crate::terms::Purpose;
use crate::token::{
    Admission, Attestation, AuthProof, Denial, DeviceProof, Possession, Proven, Shown, UnverifiedToken, VerifiedToken,
};
use crate::unlocked::{Gate, Resolved, Unlocked};

/// A session about to be opened with a token and what is shown beside it; see [`Vault::session_with`](crate::Vault::session_with).
#[must_use = "no session is opened before `open`"]
pub struct SessionOpening<'t> {
    gate: Gate,
    token: &'t UnverifiedToken,
    purpose: Purpose,
    shown: Shown,
    facility: Option<FacilityId>,
    sign_in: Option<AuthProof>,
    accept_doubtful: bool,
}

impl<'t> SessionOpening<'t> {
    pub(crate) fn new(gate: Gate, token: &'t UnverifiedToken, purpose: Purpose) -> Self {
        Self { gate, token, purpose, shown: Shown::default(), facility: None, sign_in: None, accept_doubtful: false }
    }

    /// Shows that the holder of a bound token has its key.
    pub fn possession(mut self, proof: Possession) -> Self {
        self.shown.possession = Some(proof);
        self
    }

    /// Shows on which device the session is opened.
    pub fn device(mut self, proof: DeviceProof) -> Self {
        self.shown.device = Some(proof);
        self
    }

    /// What this host and its peer agree on about their connection, such as a TLS exporter (RFC 9266). Proofs made for
    /// another connection are refused then. 32 zero bytes if not called.
    pub const fn host_transcript(mut self, transcript: [u8; 32]) -> Self {
        self.shown.transcript = transcript;
        self
    }

    /// Shows what others attest; at most 32, and each must hold, demanded or not.
    pub fn attestations(mut self, attestations: impl IntoIterator<Item = Attestation>) -> Self {
        self.shown.attestations.extend(attestations);
        self
    }

    /// Shows that the token's subject signed in ([`Vault::sign_in`](crate::Vault::sign_in)). The proof is used up, and must
    /// hold, demanded or not.
    pub fn sign_in(mut self, proof: AuthProof) -> Self {
        self.sign_in = Some(proof);
        self
    }

    /// Says in which facility the session is, by its name: a token can be limited to some. The host vouches for it.
    pub fn facility(mut self, name: &str) -> Self {
        self.facility = Some(kdf::facility_id(name));
        self
    }

    /// Takes a vault as it is that was salvaged and is in doubt ([`Vault::doubt`](crate::Vault::doubt)): the session reads
    /// and exports, and writes no records. What comes from a doubtful place says so ([`Entry::is_doubtful`]); records that
    /// such a place lacks say nothing. The log has what was accepted.
    ///
    /// [`Entry::is_doubtful`]: crate::Entry::is_doubtful
    pub const fn accept_doubtful(mut self) -> Self {
        self.accept_doubtful = true;
        self
    }

    /// Verifies the token and all that was shown, and opens the session; the log has an entry either way. A challenge
    /// that was answered is used up once its answer is looked at, whatever comes of it; not where the token, its purpose
    /// or the number of things shown is refused before that.
    ///
    /// # Errors
    /// [`Error::Token`] with the reason why the token is refused, [`Error::SessionRefused`] when it does not allow the
    /// purpose, [`Error::Proof`] when something it demands was not shown or something shown does not hold,
    /// [`Error::Doubtful`] when the vault was salvaged and that was not accepted, [`Error::ClockRollback`],
    /// [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn open(self) -> Result<Session, Error> {
        observe::operation(AuditEvent::SessionOpened.word(), "none", || self.verify())
    }

    fn verify(mut self) -> Result<Session, Error> {
        let unlocked = self.gate.enter()?;
        let now = match unlocked.now() {
            Ok(now) => now,
            Err(error) => {
                self.refused(&unlocked, AuditEvent::SessionOpened, error.word().to_owned())?;
                return Err(error);
            }
        };
        let token = match unlocked.verify(self.token, now) {
            Ok(token) => token,
            Err(error) => {
                self.refused(&unlocked, AuditEvent::TokenRefused, error.to_string())?;
                return Err(Error::Token(error));
            }
        };
        let id = SessionId::from_bytes(random::array()?);
        let mut draft = draft(AuditEvent::SessionOpened, Outcome::Allowed, &token, id, self.purpose);
        let allowed = token.decide_opening(self.purpose, self.facility).and_then(|()| unlocked.standing(&token));
        let opens = |standing: Resolved| standing.last()?.opens(self.purpose).map(|()| standing);
        let standing = match allowed.and_then(opens) {
            Ok(standing) => standing,
            Err(denial) => return refuse(&unlocked, draft, denial),
        };
        let doubt = unlocked.policy.doubt();
        if let Some((salvaged_at, _)) = doubt.as_ref().filter(|_| !self.accept_doubtful) {
            let error = Error::Doubtful { salvaged_at: *salvaged_at };
            draft.fields.outcome = Outcome::Denied;
            draft.fields.detail = Some(error.word().to_owned());
            unlocked.commit(Vec::new(), vec![draft])?;
            return Err(error);
        }
        let doubt = doubt.map(|(salvaged_at, _)| format!("doubt since the salvage at {salvaged_at} accepted"));
        let facility = self.facility.map(|facility| format!("in {facility}"));
        draft.fields.detail = (doubt.is_some() || facility.is_some())
            .then(|| facility.into_iter().chain(doubt).collect::<Vec<_>>().join("; "));
        let attester = |attester| unlocked.policy.attester(attester);
        let take = |nonce| unlocked.take_challenge(nonce, now);
        let subject = token.subject();
        let shown = self.sign_in.take().map(|proof| proof.look_for(subject, &unlocked.sign_ins.opened, now));
        let admitted = shown.transpose().and_then(|shown| {
            self.shown.sign_in = shown;
            token.admit(&self.shown, Admission { purpose: self.purpose, now }, attester, take)
        });
        match admitted {
            Err(error) => {
                draft.fields.outcome = Outcome::Denied;
                draft.fields.reason = Some(error.code());
                draft.fields.detail = Some(error.to_string());
                unlocked.commit(Vec::new(), vec![draft])?;
                Err(Error::Proof(error))
            }
            Ok((token, proven)) => {
                let signed_in = proven.signed_in;
                say(proven, &mut draft);
                let life = Mutex::new(Life { last_used: now, signed_in, ended: None });
                let sign_in = token.sign_in();
                let (charts, open) = (Mutex::default(), observe::OpenSession::new());
                let (gate, purpose) = (self.gate, self.purpose);
                let limits = token.verified().max_uses().collect();
                let inner = Arc::new(Inner {
                    gate,
                    token,
                    standing,
                    sign_in,
                    limits,
                    emergency: None,
                    purpose,
                    id,
                    opened: now,
                    life,
                    charts,
                    open,
                });
                if let Err(denial) = unlocked.let_live(inner.token.verified().subject(), &inner, now) {
                    return refuse(&unlocked, draft, denial);
                }
                log_opening(&unlocked, &inner, draft, now)?;
                let holder: Weak<Inner> = Arc::downgrade(&inner);
                unlocked.add_holder(holder);
                Ok(Session(inner))
            }
        }
    }

    /// Logs that a token opened no session. What it claims is not repeated: nobody vouches for it.
    fn refused(&self, unlocked: &Unlocked, event: AuditEvent, detail: String) -> Result<(), Error> {
        let mut draft = Draft::new(event, Outcome::Denied);
        draft.fields.purpose = Some(self.purpose);
        draft.fields.detail = Some(detail);
        unlocked.commit(Vec::new(), vec![draft])
    }
}

impl fmt::Debug for SessionOpening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOpening")
            .field("token", self.token)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

/// Logs that a session was opened, and keeps in the same commit which grant opened it and when. A vault in doubt takes no
/// writes.
fn log_opening(unlocked: &Unlocked, inner: &Inner, mut draft: Draft, now: Timestamp) -> Result<(), Error> {
    let token = inner.token.verified();
    if unlocked.policy.doubt().is_some() {
        return unlocked.commit(Vec::new(), vec![draft]);
    }
    let queued = {
        let held = unlocked.stripes.write(&[Stripe::Policy]);
        // Whoever revoked it meanwhile had the policy, and has answered.
        if let Err(denial) = inner.standing.now(unlocked, token) {
            drop(held);
            return refuse(unlocked, draft, denial);
        }
        let mut sighting = unlocked.sighting(token, now)?;
        if sighting.not_kept {
            let said = draft.fields.detail.take().map(|said| format!("{said}; ")).unwrap_or_default();
            draft.fields.detail = Some(format!("{said}no room to keep the grant"));
        }
        let queued = unlocked.committer.queue(std::mem::take(&mut sighting.rows), vec![draft])?;
        unlocked.saw(sighting);
        queued
    };
    Ok(unlocked.committer.wait(queued)?)
}

/// Logs that a token opens no session, and answers why.
fn refuse<T>(unlocked: &Unlocked, mut draft: Draft, denial: Denial) -> Result<T, Error> {
    draft.fields.outcome = Outcome::Denied;
    draft.fields.reason = Some(denial.reason.code());
    unlocked.commit(Vec::new(), vec![draft])?;
    Err(Error::SessionRefused(denial))
}

/// An entry that names a verified token. Of a refused opening it says which token was tried, not who tried.
pub(super) fn draft(
    event: AuditEvent,
    outcome: Outcome,
    token: &VerifiedToken,
    session: SessionId,
    purpose: Purpose,
) -> Draft {
    let mut draft = Draft::new(event, outcome);
    draft.fields.actor = Some(token.subject());
    draft.fields.issuer = Some(token.issuer());
    draft.fields.revocation_ids = token.rids().to_vec();
    draft.fields.session = Some(session);
    draft.fields.purpose = Some(purpose);
    draft
}

/// Names in the log what was shown and held.
fn say(proven: Proven, draft: &mut Draft) {
    draft.fields.possession = proven.possession;
    draft.fields.device = proven.device.map(|device| device.to_string());
    draft.fields.attesters = proven.attesters;
    if let Some(level) = proven.signed_in.highest() {
        let before = draft.fields.detail.take().map(|said| format!("{said}; ")).unwrap_or_default();
        draft.fields.detail = Some(format!("{before}signed in at level {level}"));
    }
}

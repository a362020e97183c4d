//! From a verified token to one that has opened a session: what the token demands beside itself is shown, and holds.
//! Whatever is shown is checked, demanded or not.

use std::collections::BTreeSet;
use std::time::Duration;

use super::MAX_SHOWN;
use super::attestation::Attestation;
use super::decide::{self, Denial, Request};
use super::item::{Item, Wanted};
use super::possession::{Challenge, DeviceProof, Occasion, Possession};
use super::proof_error::ProofError;
use super::sign_in::{SignInDemand, SignInLevel, SignedIn};
use super::verify::{CLOCK_TOLERANCE, VerifiedToken, shortest};
use crate::clock::Timestamp;
use crate::ids::{AttesterId, DeviceId};
use crate::terms::Purpose;

/// What is shown together with a token.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) possession: Option<Possession>,
    pub(crate) device: Option<DeviceProof>,
    pub(crate) attestations: Vec<Attestation>,
    pub(crate) transcript: [u8; 32],
    /// What a proof of this vault says about the subject, which was looked at before.
    pub(crate) sign_in: Option<(SignInLevel, Timestamp)>,
}

/// What of it held, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) possession: bool,
    pub(crate) device: Option<DeviceId>,
    /// Ascending, each once.
    pub(crate) attesters: Vec<AttesterId>,
    pub(crate) signed_in: SignedIn,
}

/// Where and when a token is to be admitted.
#[derive(Clone, Copy)]
pub(crate) struct Admission {
    pub(crate) purpose: Purpose,
    pub(crate) now: Timestamp,
}

/// A token that opened a session, and may be asked for decisions: everything it demanded was shown then.
#[derive(Clone, Debug)]
pub(crate) struct AdmittedToken(VerifiedToken);

impl AdmittedToken {
    /// The token, for its ids and times.
    pub(crate) const fn verified(&self) -> &VerifiedToken {
        &self.0
    }

    /// How long a session may lie idle; `None` where the token does not say.
    pub(crate) fn idle(&self) -> Option<Duration> {
        shortest(
            self.0.items().filter_map(|item| if let Item::Session { idle, .. } = item { Some(*idle) } else { None }),
        )
    }

    /// How long a session may last; `None` where the token does not say.
    pub(crate) fn longest(&self) -> Option<Duration> {
        shortest(
            self.0
                .items()
                .filter_map(|item| if let Item::Session { longest, .. } = item { Some(*longest) } else { None }),
        )
    }

    /// How the subject must have signed in, and not longer ago than what, whenever something is done; `None` where the
    /// token does not say.
    pub(crate) fn sign_in(&self) -> Option<SignInDemand> {
        self.0.sign_in()
    }

    /// For how long the glass may be broken with it; `None` where it gives nothing in an emergency.
    pub(crate) fn emergency(&self) -> Option<Duration> {
        decide::emergency(self.0.blocks())
    }

    /// All that refuses an operation, block by block.
    pub(crate) fn refusals(&self, request: &Request) -> Vec<Denial> {
        self.0.refusals(request)
    }

    /// Decides on one operation; see [`Request`] for what must be asked again for each record.
    pub(crate) fn decide(&self, request: &Request) -> Result<(), Denial> {
        decide::decide(self.0.blocks(), request)
    }
}

impl VerifiedToken {
    /// Admits the token if what it demands is shown and all that is shown holds.
    ///
    /// `attester` gives the public key of a trusted attester. `take` gives the outstanding challenge with this nonce,
    /// and no second time; it is asked at most once.
    pub(crate) fn admit(
        mut self,
        shown: &Shown,
        at: Admission,
        attester: impl Fn(AttesterId) -> Option<[u8; 32]>,
        take: impl FnOnce([u8; 16]) -> Result<Challenge, ProofError>,
    ) -> Result<(AdmittedToken, Proven), ProofError> {
        if shown.attestations.len() > MAX_SHOWN {
            return Err(ProofError::TooManyAttestations { found: shown.attestations.len() });
        }
        let challenge = shown.answered()?.map(take).transpose()?;
        if shown.challenges().any(|answered| Some(answered) != challenge) {
            return Err(ProofError::UnknownChallenge);
        }
        let occasion =
            Occasion { vault: self.vault(), token: self.digest(), purpose: at.purpose, transcript: &shown.transcript };
        let possession = self.check_possession(shown.possession.as_ref(), &occasion)?;
        let device = self.check_device(shown.device.as_ref(), &occasion)?;
        let attesters = self.check_attestations(&shown.attestations, at.now, attester)?;
        let signed_in = SignedIn::of(shown.sign_in, &shown.attestations);
        if let Some(demand) = self.sign_in() {
            signed_in.meets(demand, at.now)?;
        }
        // What they vouched for counts no more than they do.
        self.revocable.attesters.extend(&attesters);
        Ok((AdmittedToken(self), Proven { possession, device, attesters, signed_in }))
    }

    fn sign_in(&self) -> Option<SignInDemand> {
        let said = |item: &Item| if let Item::Mfa { level, oldest } = item { Some((*level, *oldest)) } else { None };
        SignInDemand::of(self.items().filter_map(said))
    }

    fn check_possession(&self, shown: Option<&Possession>, occasion: &Occasion<'_>) -> Result<bool, ProofError> {
        match shown {
            Some(possession) if possession.holds(self.last_public(), occasion) => Ok(true),
            Some(_) => Err(ProofError::PossessionInvalid),
            None if self.is_bound() => Err(ProofError::PossessionMissing),
            None => Ok(false),
        }
    }

    fn check_device(
        &self,
        shown: Option<&DeviceProof>,
        occasion: &Occasion<'_>,
    ) -> Result<Option<DeviceId>, ProofError> {
        let id = shown.map(|proof| proof.device().id());
        for (block, item) in self.placed() {
            let Item::Device(demanded) = item else { continue };
            let demanded = DeviceId::from_bytes(*demanded);
            match id {
                None => return Err(ProofError::DeviceMissing { block, device: demanded }),
                Some(shown) if shown != demanded => return Err(ProofError::OtherDevice { block, demanded, shown }),
                Some(_) => {}
            }
        }
        match shown {
            Some(proof) if !proof.holds(occasion) => Err(ProofError::DeviceInvalid),
            _ => Ok(id),
        }
    }

    fn check_attestations(
        &self,
        shown: &[Attestation],
        now: Timestamp,
        attester: impl Fn(AttesterId) -> Option<[u8; 32]>,
    ) -> Result<Vec<AttesterId>, ProofError> {
        let now = now.as_secs();
        for attestation in shown {
            let key = attester(attestation.attester())
                .ok_or(ProofError::UnknownAttester { attester: attestation.attester() })?;
            self.check_attestation(attestation, now, &key)?;
        }
        for (block, item) in self.placed() {
            let Item::Attestations(wanted) = item else { continue };
            wanted.iter().try_for_each(|wanted| meets(block, wanted, shown, now))?;
        }
        Ok(shown.iter().map(Attestation::attester).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The cheap checks first; that it answers the challenge was checked with the other proofs.
    fn check_attestation(&self, shown: &Attestation, now: u64, key: &[u8; 32]) -> Result<(), ProofError> {
        let (attester, claim) = (shown.attester(), shown.claim());
        if self.rids().last() != Some(&shown.token()) {
            return Err(ProofError::AttestedOtherToken { attester, claim });
        }
        if shown.subject() != self.subject() {
            return Err(ProofError::AttestedOtherSubject { attester, claim });
        }
        if shown.issued_at > now.saturating_add(CLOCK_TOLERANCE) {
            return Err(ProofError::AttestedInTheFuture { attester, claim, issued_at: shown.issued_at() });
        }
        if now >= shown.not_after {
            return Err(ProofError::AttestationExpired { attester, claim, end: shown.not_after() });
        }
        if shown.holds(key, self.vault()) { Ok(()) } else { Err(ProofError::AttestationForged { attester, claim }) }
    }
}

/// Whether one of the attestations, all of which are good, is what a block demands.
fn meets(block: u8, wanted: &Wanted, shown: &[Attestation], now: u64) -> Result<(), ProofError> {
    let (attester, claim, oldest) = (wanted.attester(), wanted.claim(), wanted.oldest);
    let fitting = || shown.iter().filter(|shown| (shown.attester(), shown.claim()) == (attester, claim));
    if fitting().any(|shown| now.saturating_sub(shown.issued_at) <= u64::from(oldest)) {
        return Ok(());
    }
    match fitting().next() {
        Some(_) => Err(ProofError::AttestationTooOld { block, attester, claim, oldest }),
        None => Err(ProofError::AttestationMissing { block, attester, claim }),
    }
}

impl Shown {
    /// The challenges that proofs name in full.
    fn challenges(&self) -> impl Iterator<Item = Challenge> {
        let possession = self.possession.iter().map(|proof| proof.challenge);
        possession.chain(self.device.iter().map(|proof| proof.challenge))
    }

    /// The nonce of the one challenge that everything shown answers, if anything does.
    fn answered(&self) -> Result<Option<[u8; 16]>, ProofError> {
        let sign_ins = self.attestations.iter().filter(|attestation| attestation.claim().is_sign_in());
        let mut nonces = self.challenges().map(|challenge| challenge.nonce()).chain(sign_ins.map(|one| one.nonce));
        let first = nonces.next();
        if nonces.all(|nonce| Some(nonce) == first) { Ok(first) } else { Err(ProofError::ChallengesDiffer) }
    }
}

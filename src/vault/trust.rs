//! Whom a vault trusts to issue tokens and to attest, within which bounds, and how that ends. Each asks for a credential of
//! the vault, because whoever issues tokens decides who reads charts.

use super::Vault;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::error::Error;
use crate::ids::{AttesterId, IssuerId};
use crate::keyring::Credential;
use crate::policy::{MAX_REVOKE_REASON, PolicyRow, Revocation};
use crate::token::{AttesterPublicKey, Ceiling, IssuerPublicKey, MAX_CEILING_KINDS, Revoke};
use crate::unlocked::Unlocked;

impl Vault {
    /// Trusts an issuer: tokens signed with its secret key are accepted from now on. Asks for a credential of the vault,
    /// because whoever issues tokens decides who reads charts.
    ///
    /// # Errors
    /// [`Error::WasRevoked`] for an issuer who was revoked, [`Error::Unlock`] when the credential does not open the vault,
    /// [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn trust_issuer<'c>(
        &self,
        issuer: IssuerPublicKey,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(AuditEvent::IssuerTrusted, Outcome::Allowed);
        draft.fields.issuer = Some(issuer.id());
        self.administer(credential.into(), draft, |unlocked| {
            check_not_revoked(unlocked, Revoke::Issuer(issuer.id()))?;
            Ok(PolicyRow::Issuer { public: *issuer.as_bytes(), trusted_at: unlocked.now()? })
        })
    }

    /// Trusts an attester: attestations signed with its secret key count from now on. Asks for a credential of the vault,
    /// as [`Vault::trust_issuer`] does.
    ///
    /// # Errors
    /// [`Error::AlreadyTrusted`] when an attester of this id is trusted already, [`Error::WasRevoked`] for one who was
    /// revoked, [`Error::Unlock`] when the credential does not open the vault, [`Error::Sealed`],
    /// [`Error::AuditUnavailable`].
    pub fn trust_attester<'c>(
        &self,
        attester: AttesterPublicKey,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(AuditEvent::AttesterTrusted, Outcome::Allowed);
        draft.fields.attesters = vec![attester.id()];
        self.administer(credential.into(), draft, |unlocked| {
            check_not_revoked(unlocked, Revoke::Attester(attester.id()))?;
            if unlocked.policy.attester(attester.id()).is_some() {
                return Err(Error::AlreadyTrusted { attester: attester.id() });
            }
            Ok(PolicyRow::Attester { public: *attester.as_bytes(), trusted_at: unlocked.now()? })
        })
    }

    /// Revokes an issuer, for good: its tokens open nothing and allow nothing any more, in open sessions from their next
    /// call on, and its key is never trusted again. Nothing changes where that was done before. 1 to 256 bytes say why.
    /// Asks for a credential of the vault; a session with the operate action can do it as well
    /// ([`Grants::revoke`](crate::Grants::revoke)).
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let (vault, issuer, key) = (&clinic.vault, &clinic.issuer, &clinic.key);
    /// let session = vault.session(&clinic.token, Purpose::Treatment)?;
    /// vault.distrust_issuer(issuer.public().id(), "the laptop with its key was stolen", key)?;
    /// assert!(matches!(session.register_patient([]), Err(Error::Denied { .. })));
    /// assert!(matches!(vault.trust_issuer(issuer.public(), key), Err(Error::WasRevoked { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, [`Error::Unlock`] when the credential does not open the
    /// vault, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn distrust_issuer<'c>(
        &self,
        issuer: IssuerId,
        reason: &str,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(AuditEvent::IssuerRevoked, Outcome::Allowed);
        draft.fields.issuer = Some(issuer);
        self.distrust(Revoke::Issuer(issuer), reason, draft, credential.into())
    }

    /// Revokes an attester, for good: what it attests counts no more, tokens that demand it open nothing and allow nothing any
    /// more, in open sessions from their next call on, and its key is never trusted again. Otherwise as
    /// [`Vault::distrust_issuer`].
    ///
    /// # Errors
    /// As [`Vault::distrust_issuer`].
    pub fn distrust_attester<'c>(
        &self,
        attester: AttesterId,
        reason: &str,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(AuditEvent::Revoked, Outcome::Allowed);
        draft.fields.attesters = vec![attester];
        self.distrust(Revoke::Attester(attester), reason, draft, credential.into())
    }

    fn distrust(&self, what: Revoke, reason: &str, mut draft: Draft, credential: Credential<'_>) -> Result<(), Error> {
        let len = if reason.trim().is_empty() { 0 } else { reason.len() };
        if !(1..=MAX_REVOKE_REASON).contains(&len) {
            return Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_REVOKE_REASON });
        }
        draft.fields.detail = Some(format!("{what}: {reason}"));
        self.administer(credential, draft, |unlocked| {
            let before = unlocked.policy.revocation(what);
            let now = unlocked.now()?;
            let row = before.map_or_else(|| Revocation::new(what, now, None, reason), |before| (*before).clone());
            Ok(PolicyRow::Revocation(row))
        })
    }

    /// Limits what the tokens of an issuer can allow, whatever they say, in open sessions from their next call on. Takes the
    /// place of what was set before; [`Ceiling::new`] lifts it. Can be said before the issuer is trusted. Asks for a
    /// credential of the vault.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let (vault, issuer, key) = (&clinic.vault, &clinic.issuer, &clinic.key);
    /// let session = vault.session(&clinic.token, Purpose::Treatment)?;
    /// vault.limit_issuer(issuer.public().id(), Ceiling::new().actions([Action::Read]), key)?;
    /// assert!(matches!(session.register_patient([]), Err(Error::Denied { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooMany`] for more than 1,000 kinds, [`Error::Unlock`] when the credential does not open the vault,
    /// [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn limit_issuer<'c>(
        &self,
        issuer: IssuerId,
        ceiling: Ceiling,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let kinds = ceiling.listed_kinds().map_or(0, std::collections::BTreeSet::len);
        if kinds > MAX_CEILING_KINDS {
            return Err(Error::TooMany { what: "kinds of a ceiling", len: kinds, limit: MAX_CEILING_KINDS });
        }
        let mut draft = Draft::new(AuditEvent::IssuerLimited, Outcome::Allowed);
        draft.fields.issuer = Some(issuer);
        draft.fields.detail = Some(ceiling.to_string());
        self.administer(credential.into(), draft, |_| Ok(PolicyRow::Ceiling(issuer, ceiling)))
    }
}

fn check_not_revoked(unlocked: &Unlocked, what: Revoke) -> Result<(), Error> {
    match unlocked.policy.revocation(what) {
        Some(revocation) => Err(Error::WasRevoked { what, at: revocation.at }),
        None => Ok(()),
    }
}

//! Granting: the first block of a token, signed by an issuer.

use std::collections::BTreeMap;

use super::body::{Body, BodyTooLarge};
use super::caveat::Caveat;
use super::chain::Chain;
use super::closed::BoundToken;
use super::holder::Token;
use super::issuer::IssuerKey;
use super::item::{CitedRole, Item};
use super::keys::HolderPublicKey;
use super::limits::{LimitError, Limits, limit_steps};
use super::role::RoleRevision;
use super::wire::Block;
use super::{MAX_BLOCKS, MAX_BODY_LEN, MAX_ROLES};
use crate::clock::{Clock, SystemClock};
use crate::crypto::sign::SigningSeed;
use crate::crypto::{RandomFailed, kdf, random};
use crate::ids::{PrincipalId, RoleId, VaultId};
use crate::record::Kind;
use crate::terms::Confidentiality;

/// Why a grant is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Something that every grant must say is missing. Wide grants are said aloud: `all_patients`, `all_kinds`.
    #[error("the grant does not say `{caveat}`; every grant must")]
    Missing {
        /// What is missing.
        caveat: Caveat,
    },
    /// Something that no block can say.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The block would be too large.
    #[error("the grant takes {found} bytes; a block can take {MAX_BODY_LEN}; list fewer patients or kinds")]
    TooLarge {
        /// Bytes it takes.
        found: usize,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

impl From<BodyTooLarge> for GrantError {
    fn from(BodyTooLarge { found }: BodyTooLarge) -> Self {
        Self::TooLarge { found }
    }
}

/// Rights, to be signed by an issuer. Nothing is allowed that is not said; patients, kinds, actions, purposes and the
/// validity must be said. Records up to normal confidentiality are allowed unless
/// [`sensitivity`](Grant::sensitivity) says otherwise, and the token can be narrowed seven times unless
/// [`max_depth`](Grant::max_depth) does.
///
/// ```
/// use std::time::Duration;
/// use chartvault::{Action, Grant, IssuerKey, PatientId, Purpose, VaultId};
///
/// let issuer = IssuerKey::generate()?;
/// let vault = VaultId::from_bytes([7; 16]); // of a real vault: `vault.id()`
/// let token = Grant::to("dr.osei").all_patients().kind_named("allergy").kind_named("note")
///     .actions([Action::Read, Action::List, Action::Create]).purpose(Purpose::Treatment)
///     .valid_for(Duration::from_secs(12 * 3600)).sign(&issuer, vault)?;
///
/// let patient = PatientId::from_bytes([9; 16]);
/// let narrow = token.attenuate().patient(patient).actions([Action::Read]).finish()?;
/// let text = narrow.expose_text(); // starts with `cvt1_`; hand it on like a password
/// # assert!(text.starts_with("cvt1_"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is granted until `sign`"]
pub struct Grant {
    subject: Option<PrincipalId>,
    limits: Limits,
    roles: BTreeMap<RoleId, u32>,
}

impl Grant {
    /// A grant to the principal of this name. Names are compared byte by byte.
    pub fn to(name: &str) -> Self {
        Self::to_subject((!name.is_empty()).then(|| kdf::principal_id(name)))
    }

    /// A grant to a principal whose id is known.
    pub fn to_principal(principal: PrincipalId) -> Self {
        Self::to_subject(Some(principal))
    }

    fn to_subject(subject: Option<PrincipalId>) -> Self {
        let limits = Limits {
            sensitivity: Some(Confidentiality::default()),
            max_depth: Some(MAX_BLOCKS - 1),
            ..Limits::default()
        };
        Self { subject, limits, roles: BTreeMap::new() }
    }

    /// Allows the charts of all patients, and the facility's chart, which belongs to none.
    pub const fn all_patients(mut self) -> Self {
        self.limits.patients.set_all();
        self
    }

    /// Allows all kinds of record.
    pub const fn all_kinds(mut self) -> Self {
        self.limits.kinds.set_all();
        self
    }

    /// Cites a role, and allows what it allows: its actions, kinds and purposes are added, and records up to its ceiling are
    /// allowed. At most 8. An operation has to be allowed by one of the roles alone, so that two roles never add up to more
    /// than either; and the grant counts as long as each role stands at the revision that it cites. Steps that are said
    /// afterwards add to the items of the grant, but a role never allows more than it lists.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let (session, vault, issuer) = (clinic.session(), &clinic.vault, &clinic.issuer);
    /// let auditor = Role::clinical().into_iter().find(|role| role.name() == "auditor").unwrap();
    /// let auditor = session.roles().define(&auditor)?;
    /// let token = Grant::to("a.lund").role(&auditor).all_patients()
    ///     .valid_for(std::time::Duration::from_secs(30 * 86_400)).sign(issuer, vault.id())?;
    /// # assert!(vault.session(&token, Purpose::Legal).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn role(mut self, role: &RoleRevision) -> Self {
        let RoleRevision { role, revision, .. } = role;
        self = self.actions(role.listed_actions()).purposes(role.listed_purposes());
        self.limits.kinds.add_or_all(role.listed_kinds().map(|kinds| kinds.iter().map(Kind::id)));
        let ceiling = if self.roles.is_empty() {
            role.ceiling()
        } else {
            self.limits.sensitivity.max(Some(role.ceiling())).unwrap_or_default()
        };
        self.limits.sensitivity = Some(ceiling);
        self.cite(role.id(), *revision)
    }

    /// Cites a role by its id and revision alone; what the grant allows has to be said besides, and the role bounds it.
    pub fn cite(mut self, role: RoleId, revision: u32) -> Self {
        self.roles.insert(role, revision);
        self
    }

    limit_steps!();

    /// Signs the grant for one vault.
    ///
    /// # Errors
    /// [`GrantError`]: something is missing, contradictory or too much, or there were no random bytes. Nothing is
    /// signed then.
    pub fn sign(&self, issuer: &IssuerKey, vault: VaultId) -> Result<Token, GrantError> {
        self.sign_with(issuer, vault, random::array()?, SigningSeed::generate()?)
    }

    /// [`Grant::sign`] with given random values.
    pub(super) fn sign_with(
        &self,
        issuer: &IssuerKey,
        vault: VaultId,
        nonce: [u8; 16],
        holder: SigningSeed,
    ) -> Result<Token, GrantError> {
        let block = self.block(issuer, vault, nonce, holder.public())?;
        Ok(Token::new(vault, issuer.public().id(), vec![block], holder))
    }

    /// Binds the token to a key whose secret stays with its holder. Say it last.
    pub const fn bound_to(self, holder: HolderPublicKey) -> BoundGrant {
        BoundGrant { grant: self, holder }
    }

    fn block(
        &self,
        issuer: &IssuerKey,
        vault: VaultId,
        nonce: [u8; 16],
        next_public: [u8; 32],
    ) -> Result<Block, GrantError> {
        let now = self.limits.issued_at.unwrap_or_else(|| SystemClock.now());
        let mut items = self.limits.clone().into_items(now, (u32::MAX, u32::MAX))?;
        items.extend(self.subject.map(Item::Subject));
        match self.roles.len() {
            0 => {}
            found if found > MAX_ROLES => {
                return Err(LimitError::TooMany { caveat: Caveat::Roles, found, most: MAX_ROLES }.into());
            }
            _ => items.push(Item::Roles(
                self.roles.iter().map(|(id, revision)| CitedRole { id: *id, revision: *revision }).collect(),
            )),
        }
        for caveat in Caveat::MANDATORY {
            if items.iter().all(|item| item.caveat() != caveat) {
                return Err(GrantError::Missing { caveat });
            }
        }
        let body = Body::new(0, nonce, now.as_secs(), items)?;
        let signature = issuer.sign(&Chain::start(vault, issuer.public().id()).message(&body, &next_public));
        Ok(Block { body, next_public, signature })
    }
}

/// A grant whose token will be bound to its holder; see [`Grant::bound_to`].
#[derive(Clone, Debug)]
#[must_use = "nothing is granted until `sign`"]
pub struct BoundGrant {
    grant: Grant,
    holder: HolderPublicKey,
}

impl BoundGrant {
    /// Signs the grant for one vault.
    ///
    /// # Errors
    /// As [`Grant::sign`].
    pub fn sign(&self, issuer: &IssuerKey, vault: VaultId) -> Result<BoundToken, GrantError> {
        let block = self.grant.block(issuer, vault, random::array()?, *self.holder.as_bytes())?;
        Ok(BoundToken::new(vault, issuer.public().id(), vec![block]))
    }
}

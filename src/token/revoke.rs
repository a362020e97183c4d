//! What can be revoked, and what of a token that meets.

use std::fmt;

use super::body::Body;
use super::holder::{earliest_end, instant};
use super::item::Item;
use crate::clock::Timestamp;
use crate::ids::{AttesterId, IssuerId, PrincipalId, RevocationId, RoleId};

/// What is to be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Revoke {
    /// A block, for good: its token, and all that were narrowed from it.
    Block(RevocationId),
    /// All tokens granted to a principal until then. Issuers' clocks may be ahead, so that those issued within 120
    /// seconds after the revocation are revoked as well; later ones count.
    Principal(PrincipalId),
    /// All tokens whose grant cites a role, at whatever revision, issued until then as for a principal.
    Role(RoleId),
    /// An issuer, for good: all its tokens, and its key is never trusted again.
    Issuer(IssuerId),
    /// An attester, for good: what it attests counts no more, tokens that demand it open nothing, and its key is never
    /// trusted again.
    Attester(AttesterId),
}

impl Revoke {
    /// The number that stands for what sort of thing it is.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Block(_) => 1,
            Self::Principal(_) => 2,
            Self::Role(_) => 3,
            Self::Issuer(_) => 4,
            Self::Attester(_) => 5,
        }
    }

    pub(crate) const fn id(&self) -> &[u8; 16] {
        match self {
            Self::Block(id) => id.as_bytes(),
            Self::Principal(id) => id.as_bytes(),
            Self::Role(id) => id.as_bytes(),
            Self::Issuer(id) => id.as_bytes(),
            Self::Attester(id) => id.as_bytes(),
        }
    }

    pub(crate) const fn from_parts(code: u8, id: [u8; 16]) -> Option<Self> {
        Some(match code {
            1 => Self::Block(RevocationId::from_bytes(id)),
            2 => Self::Principal(PrincipalId::from_bytes(id)),
            3 => Self::Role(RoleId::from_bytes(id)),
            4 => Self::Issuer(IssuerId::from_bytes(id)),
            5 => Self::Attester(AttesterId::from_bytes(id)),
            _ => return None,
        })
    }

    /// Whether what is issued later is revoked as well.
    pub(crate) const fn is_for_good(self) -> bool {
        !matches!(self, Self::Principal(_) | Self::Role(_))
    }
}

impl fmt::Display for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(id) => id.fmt(f),
            Self::Principal(id) => id.fmt(f),
            Self::Role(id) => id.fmt(f),
            Self::Issuer(id) => id.fmt(f),
            Self::Attester(id) => id.fmt(f),
        }
    }
}

/// By what a token can be revoked, and how long it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocable {
    pub(crate) issuer: IssuerId,
    pub(crate) subject: PrincipalId,
    /// Each block's, the grant's first.
    pub(crate) rids: Vec<RevocationId>,
    pub(crate) roles: Vec<RoleId>,
    /// Those whose attestations it demands.
    pub(crate) attesters: Vec<AttesterId>,
    /// When the grant was issued, as its issuer says.
    pub(crate) issued_at: Timestamp,
    /// The first instant at which the token is not valid any more.
    pub(crate) not_after: Timestamp,
    /// The same of its grant alone, by which issuers are limited.
    pub(crate) granted_until: Timestamp,
}

impl Revocable {
    pub(super) fn of(issuer: IssuerId, rids: &[RevocationId], blocks: &[Body]) -> Self {
        let grant = blocks.first();
        let mut made = Self {
            issuer,
            subject: PrincipalId::from_bytes([0; 16]),
            rids: rids.to_vec(),
            roles: Vec::new(),
            attesters: Vec::new(),
            issued_at: instant(grant.map_or(0, Body::issued_at)),
            not_after: instant(earliest_end(blocks.iter().flat_map(Body::items))),
            granted_until: instant(grant.map_or(0, |grant| earliest_end(grant.items().iter()))),
        };
        for item in blocks.iter().flat_map(Body::items) {
            match item {
                Item::Subject(subject) => made.subject = *subject,
                Item::Roles(cited) => made.roles.extend(cited.iter().map(|role| role.id)),
                Item::Attestations(wanted) => made.attesters.extend(wanted.iter().map(|wanted| wanted.attester())),
                _ => {}
            }
        }
        made
    }

    /// The token's own id: that of its last block.
    pub(crate) fn id(&self) -> RevocationId {
        self.rids.last().copied().unwrap_or(RevocationId::from_bytes([0; 16]))
    }

    /// Everything whose revocation revokes it.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Revoke> {
        let blocks = self.rids.iter().map(|rid| Revoke::Block(*rid));
        let roles = self.roles.iter().map(|role| Revoke::Role(*role));
        let attesters = self.attesters.iter().map(|attester| Revoke::Attester(*attester));
        let one_each = [Revoke::Issuer(self.issuer), Revoke::Principal(self.subject)];
        blocks.chain(one_each).chain(roles).chain(attesters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_revoked_comes_back_from_its_code_and_id() {
        for code in 0..=u8::MAX {
            let what = Revoke::from_parts(code, [7; 16]);
            assert_eq!(what.map(Revoke::code), (1..=5).contains(&code).then_some(code));
            assert!(what.is_none_or(|what| what.id() == &[7; 16]));
        }
        let said = Revoke::Attester(AttesterId::from_bytes([7; 16])).to_string();
        assert_eq!(said, format!("attester-{}", "07".repeat(16)));
    }
}

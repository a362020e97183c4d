//! What can be said about a key slot without opening it.

use super::shares::ShareSetId;
use crate::clock::Timestamp;
use crate::crypto::kdf_parameters::KdfParameters;
use crate::format::slot::{Partner, Slot, SlotKind, SlotParams};

/// A key slot, as its vault lists it. Holds no secret; all of it but the last use stands in the header for everybody to
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotInfo {
    /// Its number, which no other slot of the vault has now. A slot made later may get the number of one that is gone.
    pub number: u8,
    /// What opens it.
    pub kind: SlotKind,
    /// What it is called, at most 64 bytes; may be empty.
    pub label: String,
    /// When it got its credential, by the clock of the machine that did it.
    pub created: Timestamp,
    /// When it last unlocked the vault; `None` if it never did, and in a list that was made without unlocking.
    pub last_used: Option<Timestamp>,
    /// How a passphrase becomes its key; `None` for other kinds.
    pub kdf: Option<KdfParameters>,
    /// The name of the provider that has its key; `None` for other kinds.
    pub provider: Option<String>,
    /// The shares that give its key; `None` for other kinds.
    pub shares: Option<ShareGroup>,
    /// The two credentials that open it together; empty for other kinds.
    pub partners: Vec<SlotPartner>,
}

/// One of the two credentials of a slot that needs both.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotPartner {
    /// What it is called; may be empty.
    pub label: String,
    /// What it is.
    pub kind: SlotKind,
    /// How its passphrase becomes a key, if it is one.
    pub kdf: Option<KdfParameters>,
}

/// How the key of a slot is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShareGroup {
    /// Tells its shares from those of other keys.
    pub set: ShareSetId,
    /// How many shares give the key.
    pub needed: u8,
    /// How many were made.
    pub of: u8,
}

impl SlotInfo {
    pub(crate) fn of(slot: &Slot, last_used: Option<Timestamp>) -> Self {
        Self {
            number: slot.number,
            kind: slot.kind(),
            label: slot.label.clone(),
            created: slot.created,
            last_used,
            kdf: kdf_of(&slot.params),
            provider: provider_of(&slot.params),
            shares: shares_of(&slot.params),
            partners: partners_of(&slot.params),
        }
    }
}

fn kdf_of(params: &SlotParams) -> Option<KdfParameters> {
    match params {
        SlotParams::Argon2id { cost, .. } => Some(KdfParameters::Argon2id(*cost)),
        SlotParams::Pbkdf2 { iterations, .. } => Some(KdfParameters::Pbkdf2(*iterations)),
        _ => None,
    }
}

fn provider_of(params: &SlotParams) -> Option<String> {
    match params {
        SlotParams::Provider { name, .. } => Some(name.clone()),
        _ => None,
    }
}

const fn shares_of(params: &SlotParams) -> Option<ShareGroup> {
    match params {
        SlotParams::SharedKey { set, needed, of } => {
            Some(ShareGroup { set: ShareSetId::from_bytes(*set), needed: *needed, of: *of })
        }
        _ => None,
    }
}

fn partners_of(params: &SlotParams) -> Vec<SlotPartner> {
    let SlotParams::TwoPersons(partners) = params else { return Vec::new() };
    let partner = |partner: &Partner| SlotPartner {
        label: partner.label.clone(),
        kind: partner.params.kind(),
        kdf: kdf_of(&partner.params),
    };
    partners.iter().map(partner).collect()
}

//! A key that several people hold together: any so many of their shares give it back, and fewer tell nothing about it.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::grouped::{GROUP_LEN, Mistyped, bytes_of, groups_of, text_of};
use crate::bytes::{Put, Reader, Truncated};
use crate::crypto::hash::equal;
use crate::crypto::{RandomFailed, kdf, random, shamir};
use crate::format::slot::{MAX_SHARES, SHARE_SET_LEN, is_sound_threshold};
use crate::secret::{Secret, SecretBytes};

/// `set ‖ needed ‖ of ‖ number ‖ value ‖ check`.
const LEN: usize = SHARE_SET_LEN + 3 + 32 + 2;
const GROUPS: usize = groups_of(LEN);

/// Tells the shares of one key from those of all others. No secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShareSetId([u8; SHARE_SET_LEN]);

impl ShareSetId {
    pub(crate) const fn from_bytes(bytes: [u8; SHARE_SET_LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; SHARE_SET_LEN] {
        &self.0
    }
}

impl fmt::Display for ShareSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One of several parts of a [`SharedKey`], for one person to keep; of itself it tells nothing about the key.
pub struct Share {
    set: ShareSetId,
    needed: u8,
    of: u8,
    number: u8,
    value: Secret<32>,
}

impl Share {
    /// The set that it belongs to: shares of different sets give nothing together.
    #[must_use]
    pub const fn set(&self) -> ShareSetId {
        self.set
    }

    /// Which one it is, from 1 to [`Share::of`].
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// How many shares give the key: 2 to 16.
    #[must_use]
    pub const fn needed(&self) -> u8 {
        self.needed
    }

    /// How many were made: at most 16.
    #[must_use]
    pub const fn of(&self) -> u8 {
        self.of
    }

    /// The share as text, to be shown once and written down: fourteen groups of six characters (Crockford's base 32), joined
    /// by hyphens, each with a check of its own. The text is wiped when it is dropped.
    #[must_use]
    pub fn expose_text(&self) -> Zeroizing<String> {
        let mut bytes = self.to_bytes();
        let check = kdf::share_check(&bytes);
        bytes.put(&check);
        text_of(&bytes)
    }

    fn to_bytes(&self) -> SecretBytes {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LEN));
        bytes.put(self.set.as_bytes());
        bytes.put(&[self.needed, self.of, self.number]);
        bytes.put(self.value.expose());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidShare> {
        let (content, check) = bytes.split_last_chunk::<2>().ok_or(InvalidShare::Whole)?;
        if !equal(check, &kdf::share_check(content)) {
            return Err(InvalidShare::Whole);
        }
        let mut reader = Reader::new(content);
        let set = ShareSetId(reader.array()?);
        let (needed, of, number) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let value = Secret::from_slice(reader.rest()).ok_or(InvalidShare::Whole)?;
        if !is_sound_threshold(needed, of) || number == 0 || number > of {
            return Err(InvalidShare::NotAShare);
        }
        Ok(Self { set, needed, of, number, value })
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { set, needed, of, number, .. } = self;
        write!(f, "Share({number} of {of}, {needed} needed, set {set}, redacted)")
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    /// Reads upper and lower case alike, I and L as 1, O as 0, and whatever separates the groups, or nothing.
    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        Self::from_bytes(&bytes_of(text, LEN)?)
    }
}

/// Why a text is no share. Says which group to look at again, and nothing of what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidShare {
    /// There are too few or too many characters.
    #[error("a share has {GROUPS} groups of {GROUP_LEN} characters; {found} characters were given")]
    Length {
        /// Letters and digits found.
        found: usize,
    },
    /// One group is mistyped or stands in the wrong place.
    #[error("group {group} of the share is mistyped; compare it with the paper")]
    Group {
        /// Which group, counted from 1.
        group: usize,
    },
    /// Each group looks right, but together they are no share: more than one is mistyped.
    #[error("the share is mistyped in more than one place; compare every group with the paper")]
    Whole,
    /// It was typed as it stands, but says of itself what no share says: number 0, more than 16, fewer than 2 needed.
    #[error("this is no share of this library; look for the right paper")]
    NotAShare,
}

impl From<Mistyped> for InvalidShare {
    fn from(mistyped: Mistyped) -> Self {
        match mistyped {
            Mistyped::Length { found } => Self::Length { found },
            Mistyped::Group { group } => Self::Group { group },
            Mistyped::Whole => Self::Whole,
        }
    }
}

impl From<Truncated> for InvalidShare {
    fn from(_: Truncated) -> Self {
        Self::Whole
    }
}

/// Why shares give no key, or a key no shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// So many shares cannot be made.
    #[error("{needed} of {of} shares are not possible; at least 2 are needed, and at most {MAX_SHARES} can be made")]
    Threshold {
        /// How many were to be needed.
        needed: u8,
        /// How many were to be made.
        of: u8,
    },
    /// More people have to bring theirs.
    #[error("{found} shares were given and {needed} are needed; ask for more of them")]
    TooFew {
        /// How many were given.
        found: usize,
        /// How many are needed; 2 at least if none was given.
        needed: u8,
    },
    /// Shares of two keys were mixed.
    #[error("share {number} belongs to another set ({found}) than the first one; leave it out")]
    AnotherSet {
        /// Its number.
        number: u8,
        /// Its set.
        found: ShareSetId,
    },
    /// One share was given twice.
    #[error("share {number} was given twice; leave one out")]
    Twice {
        /// Its number.
        number: u8,
    },
    /// More shares were given than are needed, and they do not fit together: one of them was forged.
    #[error("the shares do not fit together, so one of them is wrong; try {needed} of them at a time")]
    Inconsistent {
        /// How many are needed.
        needed: u8,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

/// A 256-bit key that opens a vault and that nobody holds alone: it is split into shares (Shamir 1979), of which any so many
/// give it back.
///
/// ```
/// use chartvault::{NewSlot, RawKey, Share, SharedKey, Vault};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("clinic.vault");
/// # let key = RawKey::generate()?;
/// # let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
/// let (shared, shares) = SharedKey::split(2, 3)?; // any two of three
/// vault.add_slot(NewSlot::of(&shared).label("board"), &key)?;
/// let papers: Vec<String> = shares.iter().map(|share| share.expose_text().to_string()).collect();
/// # vault.close()?;
/// # drop((shared, shares));
/// // another day: two of the papers are typed in
/// let [first, third] = [&papers[0], &papers[2]].map(|paper| paper.parse::<Share>());
/// let shared = SharedKey::combine(&[first?, third?])?;
/// let vault = Vault::open(&path)?.unlock(&shared)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedKey {
    set: ShareSetId,
    needed: u8,
    of: u8,
    key: Secret<32>,
}

impl SharedKey {
    /// Draws a new key and splits it into `of` shares, of which `needed` give it back. It opens a vault once a slot was
    /// made for it.
    ///
    /// # Errors
    /// [`ShareError::Threshold`] unless 2 ≤ `needed` ≤ `of` ≤ 16, [`ShareError::Random`].
    pub fn split(needed: u8, of: u8) -> Result<(Self, Vec<Share>), ShareError> {
        if !is_sound_threshold(needed, of) {
            return Err(ShareError::Threshold { needed, of });
        }
        let whole = Self { set: ShareSetId(random::array()?), needed, of, key: random::secret()? };
        let values = shamir::split(&whole.key, needed, of)?.ok_or(ShareError::Threshold { needed, of })?;
        let share = |(number, value)| Share { set: whole.set, needed, of, number, value };
        let shares = (1..=of).zip(values).map(share).collect();
        Ok((whole, shares))
    }

    /// The key of these shares, in any order. Where more are given than needed, all have to fit together. Whether it is the
    /// right one, the vault tells: shares carry no proof.
    ///
    /// # Errors
    /// [`ShareError::TooFew`], [`ShareError::AnotherSet`], [`ShareError::Twice`], [`ShareError::Inconsistent`].
    pub fn combine<'s>(shares: impl IntoIterator<Item = &'s Share>) -> Result<Self, ShareError> {
        let shares: Vec<&Share> = shares.into_iter().collect();
        let first = *shares.first().ok_or(ShareError::TooFew { found: 0, needed: 2 })?;
        let (set, needed, of) = (first.set, first.needed, first.of);
        let mut points: Vec<(u8, &Secret<32>)> = Vec::with_capacity(shares.len());
        for share in &shares {
            let number = share.number;
            if (share.set, share.needed, share.of) != (set, needed, of) {
                return Err(ShareError::AnotherSet { number, found: share.set });
            }
            if points.iter().any(|(other, _)| *other == number) {
                return Err(ShareError::Twice { number });
            }
            points.push((number, &share.value));
        }
        let few = ShareError::TooFew { found: points.len(), needed };
        let (enough, more) = points.split_at_checked(usize::from(needed)).ok_or(few)?;
        let wrong = ShareError::Inconsistent { needed };
        let key = shamir::combine(enough).ok_or(wrong)?;
        let (_, others) = enough.split_first().ok_or(wrong)?;
        // One more lies on the polynomial of the first ones exactly if it gives the same key in the place of one of them.
        for one in more {
            let again = shamir::combine(&[&[*one], others].concat()).ok_or(wrong)?;
            if !equal(again.expose(), key.expose()) {
                return Err(wrong);
            }
        }
        Ok(Self { set, needed, of, key })
    }

    /// The set of its shares.
    #[must_use]
    pub const fn set(&self) -> ShareSetId {
        self.set
    }

    /// How many shares give it, and how many were made.
    pub(super) const fn threshold(&self) -> (u8, u8) {
        (self.needed, self.of)
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.key.expose()
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedKey({} of {}, set {}, redacted)", self.needed, self.of, self.set)
    }
}

#[cfg(test)]
mod tests;

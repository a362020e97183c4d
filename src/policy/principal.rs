//! A principal: who may sign in, and what it is checked with (docs/format/policy.md, table 10).

use std::fmt;

use super::recovery_code::RECOVERY_CODES;
use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::passphrase::PassphraseCost;
use crate::crypto::password::Verifier;
use crate::crypto::totp::{TOTP_SECRET, TotpSecret};
use crate::crypto::{hash, kdf};
use crate::ids::PrincipalId;
use crate::secret::{Secret, SecretBytes};

/// Bytes of a name, of a name to show, and of a reason.
pub(crate) const MAX_NAME: usize = 128;
pub(crate) const MAX_DISPLAY_NAME: usize = 128;
pub(crate) const MAX_DISABLED_REASON: usize = 256;

const DISPLAY_NAME: u8 = 1;
const SIGNED_IN: u8 = 2;
const DISABLED: u8 = 4;
const PASSWORD: u8 = 8;
const TOTP: u8 = 16;
const PENDING: u8 = 32;
const ALL_FLAGS: u8 = DISPLAY_NAME | SIGNED_IN | DISABLED | PASSWORD | TOTP | PENDING;

const ARGON2ID: u8 = 1;

/// More than any row takes, so that writing one leaves no copies of secrets behind.
pub(super) const ROW_CAPACITY: usize = 1_536;

/// A principal as it is stored. Holds secrets; what decisions need is kept apart from it in memory.
pub(crate) struct PrincipalRow {
    pub(crate) name: String,
    pub(crate) display_name: Option<String>,
    pub(crate) enrolled: Timestamp,
    pub(crate) last_sign_in: Option<Timestamp>,
    pub(crate) disabled: Option<Disabled>,
    pub(crate) password: Option<Verifier>,
    pub(crate) totp: Option<Totp>,
    /// An authenticator that was not confirmed yet, and since when: it counts for nothing.
    pub(crate) pending: Option<(TotpSecret, Timestamp)>,
    /// Hashes of the codes that are left.
    pub(crate) recovery_codes: Vec<[u8; 32]>,
}

/// An authenticator that counts.
pub(crate) struct Totp {
    pub(crate) secret: TotpSecret,
    /// The latest step whose code was used.
    pub(crate) used: u64,
}

/// Since when a principal is disabled, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disabled {
    /// Since when.
    pub since: Timestamp,
    /// Why, 1 to 256 bytes.
    pub reason: String,
}

impl PrincipalRow {
    pub(crate) fn new(name: &str, enrolled: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            display_name: None,
            enrolled,
            last_sign_in: None,
            disabled: None,
            password: None,
            totp: None,
            pending: None,
            recovery_codes: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> PrincipalId {
        kdf::principal_id(&self.name)
    }

    /// Whether there is anything beside the password.
    pub(crate) const fn has_second_factor(&self) -> bool {
        self.totp.is_some() || !self.recovery_codes.is_empty()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(ROW_CAPACITY);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.put_u8(
            flag(self.display_name.is_some(), DISPLAY_NAME)
                | flag(self.last_sign_in.is_some(), SIGNED_IN)
                | flag(self.disabled.is_some(), DISABLED)
                | flag(self.password.is_some(), PASSWORD)
                | flag(self.totp.is_some(), TOTP)
                | flag(self.pending.is_some(), PENDING),
        );
        put_text(out, &self.name);
        if let Some(name) = &self.display_name {
            put_text(out, name);
        }
        out.put_i64(self.enrolled.as_micros());
        if let Some(at) = self.last_sign_in {
            out.put_i64(at.as_micros());
        }
        if let Some(Disabled { since, reason }) = &self.disabled {
            out.put_i64(since.as_micros());
            put_text(out, reason);
        }
        if let Some(Verifier { cost, salt, hash }) = &self.password {
            out.put_u8(ARGON2ID);
            out.put_u32(cost.memory_kib());
            out.put_u32(cost.passes());
            out.put_u32(cost.lanes());
            out.put(salt);
            out.put(hash.expose());
        }
        if let Some(Totp { secret, used }) = &self.totp {
            out.put(secret.expose());
            out.put_u64(*used);
        }
        if let Some((secret, since)) = &self.pending {
            out.put(secret.expose());
            out.put_i64(since.as_micros());
        }
        // Ten at most.
        out.put_u8(u8::try_from(self.recovery_codes.len()).unwrap_or(u8::MAX));
        self.recovery_codes.iter().for_each(|hash| out.put(hash));
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let flags = reader.u8()?;
        if flags & !ALL_FLAGS != 0 {
            return Err(BadRow);
        }
        let has = |bit: u8| flags & bit != 0;
        let name = text(&mut reader, MAX_NAME)?;
        let display_name = has(DISPLAY_NAME).then(|| text(&mut reader, MAX_DISPLAY_NAME)).transpose()?;
        let enrolled = time(&mut reader)?;
        let last_sign_in = has(SIGNED_IN).then(|| time(&mut reader)).transpose()?;
        let disabled = has(DISABLED).then(|| disabled(&mut reader)).transpose()?;
        let password = has(PASSWORD).then(|| verifier(&mut reader)).transpose()?;
        let totp = has(TOTP).then(|| Ok::<_, BadRow>(Totp { secret: secret(&mut reader)?, used: reader.u64()? }));
        let totp = totp.transpose()?;
        let pending = has(PENDING).then(|| Ok::<_, BadRow>((secret(&mut reader)?, time(&mut reader)?))).transpose()?;
        let codes = usize::from(reader.u8()?);
        if codes > RECOVERY_CODES {
            return Err(BadRow);
        }
        let recovery_codes = (0..codes).map(|_| reader.array()).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { name, display_name, enrolled, last_sign_in, disabled, password, totp, pending, recovery_codes })
    }
}

/// Never longer than its limit, which fits.
fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put(text.as_bytes());
}

fn text(reader: &mut Reader<'_>, most: usize) -> Result<String, BadRow> {
    let text = std::str::from_utf8(reader.len16()?).map_err(|_| BadRow)?;
    if text.trim().is_empty() || text.len() > most { Err(BadRow) } else { Ok(text.to_owned()) }
}

fn time(reader: &mut Reader<'_>) -> Result<Timestamp, BadRow> {
    Ok(Timestamp::from_micros(reader.i64()?))
}

fn disabled(reader: &mut Reader<'_>) -> Result<Disabled, BadRow> {
    Ok(Disabled { since: time(reader)?, reason: text(reader, MAX_DISABLED_REASON)? })
}

fn verifier(reader: &mut Reader<'_>) -> Result<Verifier, BadRow> {
    if reader.u8()? != ARGON2ID {
        return Err(BadRow);
    }
    let cost = PassphraseCost::new(reader.u32()?, reader.u32()?, reader.u32()?).map_err(|_| BadRow)?;
    let salt = reader.array()?;
    let hash = Secret::from_slice(reader.take(32)?).ok_or(BadRow)?;
    Ok(Verifier { cost, salt, hash })
}

fn secret(reader: &mut Reader<'_>) -> Result<TotpSecret, BadRow> {
    Secret::from_slice(reader.take(TOTP_SECRET)?).map(TotpSecret::new).ok_or(BadRow)
}

/// Names nobody and shows no secret.
impl fmt::Debug for PrincipalRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalRow").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Compares secrets in time that does not depend on them.
impl PartialEq for PrincipalRow {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |row: &Self| {
            let mut bytes = SecretBytes::default();
            row.encode(&mut bytes);
            bytes
        };
        hash::equal(&bytes(self), &bytes(other))
    }
}

impl Eq for PrincipalRow {}

#[cfg(test)]
pub(super) mod tests;

//! Seals what goes into a backup to its recipients, with age (age-encryption.org/v1). Whoever makes backups needs only their
//! public keys.

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use super::fault::BackupFault;

/// Somebody who can open sealed backups: an age recipient, `age1…`, of the X25519 kind.
///
/// ```
/// use chartvault::{BackupIdentity, BackupRecipient};
/// let identity = BackupIdentity::generate(); // its text is kept where the machine that makes backups is not
/// let recipient: BackupRecipient = identity.recipient().to_string().parse()?;
/// assert_eq!(recipient, identity.recipient());
/// # Ok::<(), chartvault::BackupFault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupRecipient(age::x25519::Recipient);

impl FromStr for BackupRecipient {
    type Err = BackupFault;

    fn from_str(text: &str) -> Result<Self, BackupFault> {
        text.trim().parse().map(Self).map_err(|_| BackupFault::AgeKey { what: "recipient" })
    }
}

impl fmt::Display for BackupRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What opens sealed backups: an age identity, `AGE-SECRET-KEY-1…`. Wiped on drop.
#[derive(Clone)]
pub struct BackupIdentity(age::x25519::Identity);

impl BackupIdentity {
    /// A new one, from the system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// To whom backups are sealed that it opens.
    #[must_use]
    pub fn recipient(&self) -> BackupRecipient {
        BackupRecipient(self.0.to_public())
    }

    /// Its text, to be kept where backups are not: whoever has it opens their outer layer.
    #[must_use]
    pub fn to_secret_text(&self) -> zeroize::Zeroizing<String> {
        use age::secrecy::ExposeSecret;
        zeroize::Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }
}

impl FromStr for BackupIdentity {
    type Err = BackupFault;

    /// Reads a file of identities as age writes them: the first line that is no comment.
    fn from_str(text: &str) -> Result<Self, BackupFault> {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        line.and_then(|line| line.parse().ok()).map(Self).ok_or(BackupFault::AgeKey { what: "identity" })
    }
}

impl fmt::Debug for BackupIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupIdentity(..)")
    }
}

/// Seals bytes to all of these; without any they stay as they are.
pub(crate) fn seal(recipients: &[BackupRecipient], bytes: Vec<u8>) -> Result<Vec<u8>, BackupFault> {
    if recipients.is_empty() {
        return Ok(bytes);
    }
    let all = recipients.iter().map(|recipient| -> &dyn age::Recipient { &recipient.0 });
    let failed = |_| BackupFault::AgeKey { what: "recipient" };
    let encryptor = age::Encryptor::with_recipients(all).map_err(|_| BackupFault::AgeKey { what: "recipient" })?;
    let mut sealed = Vec::with_capacity(bytes.len().saturating_add(4_096));
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(failed)?;
    writer.write_all(&bytes).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(sealed)
}

/// Bytes that do not open, or are more than they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenFailed {
    /// None of the identities is a recipient's.
    NoIdentity,
    /// They were changed.
    Damaged,
}

/// Whether bytes look sealed.
pub(crate) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/")
}

/// Opens what was sealed to one of these; at most `limit` bytes.
pub(crate) fn open(identities: &[BackupIdentity], sealed: &[u8], limit: usize) -> Result<Vec<u8>, OpenFailed> {
    let decryptor = age::Decryptor::new(sealed).map_err(|_| OpenFailed::Damaged)?;
    let all = identities.iter().map(|identity| -> &dyn age::Identity { &identity.0 });
    let reader = decryptor.decrypt(all).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => OpenFailed::NoIdentity,
        _ => OpenFailed::Damaged,
    })?;
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut opened = Vec::with_capacity(limit.min(sealed.len()));
    reader.take(most).read_to_end(&mut opened).map_err(|_| OpenFailed::Damaged)?;
    if opened.len() <= limit { Ok(opened) } else { Err(OpenFailed::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recipient_opens_it_and_nobody_else_does() {
        let [one, two, other] = [BackupIdentity::generate(), BackupIdentity::generate(), BackupIdentity::generate()];
        let bytes = vec![7; 70_000];
        let sealed = seal(&[one.recipient(), two.recipient()], bytes.clone()).unwrap();
        assert!(!sealed.windows(64).any(|window| window == [7; 64]));
        for identity in [one, two] {
            let text = identity.to_secret_text();
            let read: BackupIdentity = format!("# made today\n{}\n", *text).parse().unwrap();
            assert_eq!(open(&[read], &sealed, bytes.len()), Ok(bytes.clone()));
            assert!(!format!("{identity:?}").contains("AGE-SECRET"));
        }
        assert_eq!(open(&[other], &sealed, bytes.len()), Err(OpenFailed::NoIdentity));
    }

    #[test]
    fn what_was_changed_or_is_longer_than_it_may_be_does_not_open() {
        let identity = BackupIdentity::generate();
        let sealed = seal(&[identity.recipient()], vec![7; 100]).unwrap();
        let open = |sealed: &[u8], len| open(std::slice::from_ref(&identity), sealed, len);
        assert!(open(&sealed, 99).is_err() && open(&sealed, 100).is_ok());
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(open(&bad, 100).is_err(), "byte {at}");
            assert!(open(&sealed[..at], 100).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_key_of_age_is_refused() {
        assert!(matches!("age1".parse::<BackupRecipient>(), Err(BackupFault::AgeKey { what: "recipient" })));
        assert!(matches!("# nothing".parse::<BackupIdentity>(), Err(BackupFault::AgeKey { what: "identity" })));
    }
}

//! Argon2id (RFC 9106) with bounds that are checked before any memory is taken.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

use super::kdf::SlotKey;
use super::pbkdf2::{Pbkdf2Iterations, pbkdf2_hmac_sha256};
use crate::secret::{Key, Secret, SecretBytes};

/// Cost of turning a passphrase into a key with Argon2id (RFC 9106).
///
/// Default: 64 MiB of memory, 3 passes, 1 lane: about 0.4 s on a 2020s server core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Parameters outside the bounds. Nothing was computed and no memory taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Argon2id parameters m={memory_kib} KiB, t={passes}, p={lanes} are outside the bounds: memory 19 MiB to 1 GiB \
     (at least 2 passes below 46 MiB), 1 to 16 passes, 1 to 16 lanes, memory times passes at most 4 GiB"
)]
pub struct CostOutOfBounds {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

const MIB: u32 = 1024;

impl PassphraseCost {
    /// The least that is accepted (OWASP's 19 MiB, 2 passes): for tests and very small machines.
    pub const MINIMUM: Self = Self { memory_kib: 19 * MIB, passes: 2, lanes: 1 };

    /// 64 MiB of memory, 3 passes, 1 lane; the default.
    pub(crate) const RECOMMENDED: Self = Self { memory_kib: 64 * MIB, passes: 3, lanes: 1 };

    /// Checks and takes the parameters of RFC 9106: memory in KiB, passes and lanes.
    ///
    /// # Errors
    /// [`CostOutOfBounds`] unless memory is 19 MiB to 1 GiB, passes 1 to 16 (2 below 46 MiB), lanes 1 to 16 and memory
    /// times passes at most 4 GiB.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostOutOfBounds> {
        let least_passes = if memory_kib < 46 * MIB { 2 } else { 1 };
        let sound = memory_kib >= 19 * MIB
            && memory_kib <= 1024 * MIB
            && passes >= least_passes
            && passes <= 16
            && lanes >= 1
            && lanes <= 16
            && memory_kib * passes <= 4 * 1024 * MIB;
        if sound { Ok(Self { memory_kib, passes, lanes }) } else { Err(CostOutOfBounds { memory_kib, passes, lanes }) }
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self::RECOMMENDED
    }
}

/// A passphrase that a person types. Normalised to Unicode NFC, so that it is the same on every keyboard; wiped on
/// drop, never printed.
///
/// ```
/// use chartvault::Passphrase;
/// let pass = Passphrase::new("correct horse battery staple");
/// assert_eq!(format!("{pass:?}"), "Passphrase(redacted)");
/// ```
pub struct Passphrase(SecretBytes);

impl Passphrase {
    /// Takes a passphrase of any length. An empty one is refused where it is used.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(composed(text))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Argon2id(passphrase, salt, m, t, p, 32)`, version 0x13. `None` when memory cannot be had.
    pub(crate) fn derive(&self, cost: PassphraseCost, salt: &[u8; 32]) -> Option<SlotKey> {
        #[cfg(feature = "test-util")]
        super::scarce::take(super::scarce::Resource::PassphraseMemory)?;
        let mut out = Secret::<32>::zeroed();
        argon2id(&self.0, salt, cost, out.expose_mut())?;
        Some(Key::new(out))
    }
}

impl Passphrase {
    /// `PBKDF2-HMAC-SHA-256(passphrase, salt, iterations, 32)`.
    pub(crate) fn derive_pbkdf2(&self, iterations: Pbkdf2Iterations, salt: &[u8; 32]) -> SlotKey {
        let mut out = Secret::<32>::zeroed();
        pbkdf2_hmac_sha256(&self.0, salt, iterations.get(), out.expose_mut());
        Key::new(out)
    }
}

/// What a person typed, in Unicode NFC.
pub(super) fn composed(text: &str) -> SecretBytes {
    // Reserved ahead, so that growing leaves no copies behind: NFC is at most three times as long in UTF-8.
    let mut normal = Zeroizing::new(String::with_capacity(text.len() * 3));
    normal.extend(text.nfc());
    let bytes = normal.as_bytes().to_vec();
    normal.zeroize();
    Zeroizing::new(bytes)
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

pub(super) fn argon2id(password: &[u8], salt: &[u8], cost: PassphraseCost, out: &mut [u8]) -> Option<()> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(out.len())).ok()?;
    let mut blocks: Vec<argon2::Block> = Vec::new();
    blocks.try_reserve_exact(params.block_count()).ok()?;
    blocks.resize(params.block_count(), argon2::Block::default());
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        password,
        salt,
        out,
        &mut blocks,
    );
    blocks.zeroize();
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_exact() {
        let ok = |m, t, p| PassphraseCost::new(m, t, p).is_ok();
        assert!(ok(19 * 1024, 2, 1) && !ok(19 * 1024 - 1, 2, 1) && !ok(19 * 1024, 1, 1));
        assert!(ok(46 * 1024, 1, 1) && !ok(46 * 1024 - 1, 1, 1));
        assert!(ok(1 << 20, 4, 1) && !ok((1 << 20) + 1, 1, 1) && !ok(1 << 20, 5, 1));
        assert!(ok(64 * 1024, 16, 16) && !ok(64 * 1024, 17, 1) && !ok(64 * 1024, 3, 17));
        assert!(!ok(64 * 1024, 0, 1) && !ok(64 * 1024, 3, 0) && !ok(8, 1, 1) && !ok(u32::MAX, 16, 16));
    }

    #[test]
    fn a_composed_and_a_decomposed_umlaut_are_the_same_passphrase() {
        let key = |text| *Passphrase::new(text).derive(PassphraseCost::MINIMUM, &[1; 32]).unwrap().expose();
        assert_eq!(key("M\u{fc}ller"), key("Mu\u{308}ller"));
        assert_ne!(key("M\u{fc}ller"), key("Muller"));
    }
}

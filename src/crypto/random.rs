//! Random bytes from the operating system.

use super::RandomFailed;
use crate::secret::Secret;

/// `N` fresh random bytes.
pub(crate) fn array<const N: usize>() -> Result<[u8; N], RandomFailed> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// `N` fresh random bytes that stay secret.
pub(crate) fn secret<const N: usize>() -> Result<Secret<N>, RandomFailed> {
    let mut secret = Secret::zeroed();
    fill(secret.expose_mut())?;
    Ok(secret)
}

fn fill(bytes: &mut [u8]) -> Result<(), RandomFailed> {
    #[cfg(feature = "test-util")]
    super::scarce::take(super::scarce::Resource::RandomBytes).ok_or(RandomFailed)?;
    #[cfg(feature = "test-util")]
    if let Some(filled) = super::seeded::fill(bytes) {
        return filled;
    }
    getrandom::fill(bytes).map_err(|_| RandomFailed)
}

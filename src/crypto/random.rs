//! Random bytes from the operating system.

use super::RandomFailed;
use crate::secret::Secret;

/// `N` fresh random bytes.
pub(crate) fn array<const N: usize>() -> Result<[u8; N], RandomFailed> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| RandomFailed)?;
    Ok(bytes)
}

/// `N` fresh random bytes that stay secret.
pub(crate) fn secret<const N: usize>() -> Result<Secret<N>, RandomFailed> {
    let mut secret = Secret::zeroed();
    getrandom::fill(secret.expose_mut()).map_err(|_| RandomFailed)?;
    Ok(secret)
}

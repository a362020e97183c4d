//! Random bytes from the operating system.

use super::RandomFailed;
use crate::secret::Secret;

/// `N` fresh random bytes.
pub(crate) fn array<const N: usize>() -> Result<[u8; N], RandomFailed> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// One array of random bytes, and a number of others.
pub(crate) type RandomArrays = ([u8; 32], Vec<[u8; 32]>);

/// One array of 32 fresh random bytes and `more` others, all out of one call to the operating system.
pub(crate) fn arrays(more: usize) -> Result<RandomArrays, RandomFailed> {
    let mut all = vec![[0; 32]; more.saturating_add(1)];
    fill(all.as_flattened_mut())?;
    let first = all.pop().ok_or(RandomFailed)?;
    Ok((first, all))
}

/// `N` fresh random bytes that stay secret.
pub(crate) fn secret<const N: usize>() -> Result<Secret<N>, RandomFailed> {
    let mut secret = Secret::zeroed();
    fill(secret.expose_mut())?;
    Ok(secret)
}

fn fill(bytes: &mut [u8]) -> Result<(), RandomFailed> {
    #[cfg(test)]
    super::counted::one("random");
    #[cfg(feature = "test-util")]
    super::scarce::take(super::scarce::Resource::RandomBytes).ok_or(RandomFailed)?;
    #[cfg(feature = "test-util")]
    if let Some(filled) = super::seeded::fill(bytes) {
        return filled;
    }
    getrandom::fill(bytes).map_err(|_| RandomFailed)
}

//! Locks by chart: writers of one chart take turns from precondition to queue, and a reader never sees half a batch.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Charts that share the first byte of their tag share a stripe, and so do identifiers that share theirs.
const PER_KIND: usize = 256;

/// What a stripe guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stripe {
    /// A chart, by the first byte of its patient tag.
    Chart(u8),
    /// An identifier, by the first byte of its tag.
    Identifier(u8),
    /// All policy rows.
    Policy,
}

impl Stripe {
    pub(crate) const fn chart(patient_tag: &[u8; 16]) -> Self {
        Self::Chart(patient_tag[0])
    }

    pub(crate) const fn identifier(tag: &[u8; 16]) -> Self {
        Self::Identifier(tag[0])
    }

    fn index(self) -> usize {
        match self {
            Self::Chart(byte) => usize::from(byte),
            Self::Identifier(byte) => PER_KIND + usize::from(byte),
            Self::Policy => 2 * PER_KIND,
        }
    }
}

/// Held while what it guards must not change under its holder.
pub(crate) type Held<'a> = Vec<RwLockWriteGuard<'a, ()>>;

/// All the stripes.
pub(crate) struct Stripes(Vec<RwLock<()>>);

impl Stripes {
    pub(crate) fn new() -> Self {
        Self(std::iter::repeat_with(RwLock::default).take(2 * PER_KIND + 1).collect())
    }

    /// Locks several stripes for writing, always in the same order, so that two batches cannot wait for each other.
    pub(crate) fn write(&self, stripes: &[Stripe]) -> Held<'_> {
        let mut stripes = stripes.to_vec();
        stripes.sort_unstable();
        stripes.dedup();
        let locks = stripes.iter().filter_map(|stripe| self.0.get(stripe.index()));
        // The guarded value is `()`: a panic elsewhere leaves nothing half done in it.
        locks.map(|lock| lock.write().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// Waits until all who write charts now have queued what they write.
    pub(crate) fn outlast_writers(&self) {
        (0..=u8::MAX).for_each(|byte| drop(self.write(&[Stripe::Chart(byte)])));
    }

    /// Locks one stripe for reading.
    pub(crate) fn read(&self, stripe: Stripe) -> Option<RwLockReadGuard<'_, ()>> {
        let lock = self.0.get(stripe.index())?;
        Some(lock.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripe_named_twice_is_taken_once() {
        let stripes = Stripes::new();
        let held = stripes.write(&[Stripe::Policy, Stripe::Chart(3), Stripe::Chart(3), Stripe::Identifier(3)]);
        assert_eq!(held.len(), 3);
        assert!(stripes.read(Stripe::Chart(4)).is_some());
    }
}

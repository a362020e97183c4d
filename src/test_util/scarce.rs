//! A machine that has run out of something.

use std::marker::PhantomData;

pub use crate::crypto::scarce::Resource;

use crate::crypto::scarce::Left;

/// As long as it is held, the present thread gets no more of a [`Resource`]. Dropping it, also in a panic, puts back what
/// was before. Neither `Send` nor `Sync`.
#[derive(Debug)]
#[must_use = "there is enough again once it is dropped"]
pub struct Without {
    resource: Resource,
    before: Left,
    /// What is left belongs to this thread.
    _thread: PhantomData<*const ()>,
}

/// Lets the present thread run out of a resource until the guard is dropped, whether the bytes would have come from the
/// operating system or from [`seeded`](super::seeded()).
///
/// ```
/// use chartvault::Error;
/// use chartvault::test_util::{Resource, TestVault, without};
///
/// let clinic = TestVault::new().build()?;
/// let dry = without(Resource::RandomBytes).after(1); // one more
/// clinic.vault().challenge()?;
/// assert!(matches!(clinic.vault().challenge(), Err(Error::Random(_))));
/// drop(dry);
/// clinic.vault().challenge()?;
/// # Ok::<(), Error>(())
/// ```
pub fn without(resource: Resource) -> Without {
    let before = Left::now();
    let mut left = before;
    *left.of(resource) = Some(0);
    Left::swap(left);
    Without { resource, before, _thread: PhantomData }
}

impl Without {
    /// It can be had so many times first.
    pub fn after(self, times: u32) -> Self {
        let mut left = Left::now();
        *left.of(self.resource) = Some(times);
        Left::swap(left);
        self
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        Left::swap(self.before);
    }
}

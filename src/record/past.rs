//! Earlier versions of a type, and the steps from them to the newest. Taken on reading, one after the other; stored bytes
//! stay as they are (docs/records.md).

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::Record;
use super::codec::{DecodeError, Stored, read};
use super::types::Declared;

/// Says that a record type has no version before it; never a value. The derive's answer where no `previous` is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPrevious {}

/// Why a value of one version cannot become one of the next, in the words of the `TryFrom` that refused. They go to
/// whoever asked for the record and never into the log; what they say of the patient is up to that `TryFrom`.
///
/// ```
/// # use chartvault::UpgradeReason;
/// fn is_a_number_missing(reason: &UpgradeReason) -> bool {
///     reason.get_ref().is::<std::num::ParseIntError>()
/// }
/// ```
#[derive(Clone)]
pub struct UpgradeReason(Arc<dyn StdError + Send + Sync>);

impl UpgradeReason {
    /// The very error that the `TryFrom` gave; a text is one, too.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for UpgradeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The same words as `Display`: a derived `Debug` of the error would often show the value.
impl fmt::Debug for UpgradeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpgradeReason({})", self.0)
    }
}

impl StdError for UpgradeReason {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// Equal words.
impl PartialEq for UpgradeReason {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for UpgradeReason {}

/// One step: every `From` is one, and every `TryFrom` whose error is a text or an error.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made of its previous version `{P}`",
    label = "no way from this version to `{Self}`",
    note = "write `impl From<{P}> for {Self}`, or `impl TryFrom<{P}> for {Self}` where some values have no successor",
    note = "the `Error` of such a `TryFrom` is a `String`, a `&'static str`, or an error that is `Send + Sync`"
)]
pub trait UpgradeFrom<P>: Sized {
    #[doc(hidden)]
    fn upgrade_from(previous: P) -> Result<Self, Box<dyn StdError + Send + Sync>>;
}

#[diagnostic::do_not_recommend]
impl<P, T> UpgradeFrom<P> for T
where
    T: TryFrom<P>,
    T::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn upgrade_from(previous: P) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Self::try_from(previous).map_err(Into::into)
    }
}

/// What lies before a version of a type. Only the derive makes one.
#[doc(hidden)]
#[derive(Debug)]
pub struct Past<T> {
    /// Reads bytes of an older version.
    pub(super) read: fn(&Stored<'_>) -> Result<T, DecodeError>,
    /// Names all older versions.
    pub(super) declare: fn(&mut Vec<Declared>),
}

impl<T: Record> Past<T> {
    /// The chain begins with `T`.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            read: |stored| {
                let (kind, found, oldest) = (T::KIND, stored.version, T::VERSION);
                Err(DecodeError::OlderRecord { kind, found, oldest })
            },
            declare: |_| (),
        }
    }

    /// The chain goes on with `T::Previous`.
    #[must_use]
    pub const fn previous() -> Self
    where
        T: UpgradeFrom<T::Previous>,
        T::Previous: Record,
    {
        Self { read: step, declare: |all| declare::<T::Previous>(all) }
    }
}

/// Reads bytes of an older version as the version before `T`, and takes the step to `T`.
fn step<T>(stored: &Stored<'_>) -> Result<T, DecodeError>
where
    T: Record + UpgradeFrom<T::Previous>,
    T::Previous: Record,
{
    let previous: T::Previous = read(stored)?;
    T::upgrade_from(previous).map_err(|reason| DecodeError::Upgrade {
        kind: T::KIND,
        stored: stored.version,
        from: T::Previous::VERSION,
        to: T::VERSION,
        reason: UpgradeReason(reason.into()),
    })
}

/// All versions that `T` can be read from, newest first.
pub(super) fn declare<T: Record>(all: &mut Vec<Declared>) {
    all.push(Declared::of::<T>());
    (T::PAST.declare)(all);
}

/// Whether two kinds are one, while compiling.
#[doc(hidden)]
#[must_use]
pub const fn same_kind(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        match (one, other) {
            ([], []) => return true,
            ([a, rest @ ..], [b, others @ ..]) if *a == *b => (one, other) = (rest, others),
            _ => return false,
        }
    }
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;

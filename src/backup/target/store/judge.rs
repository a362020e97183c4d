//! What an error of a store means.

use object_store::Error;

use super::http::Went;
use crate::backup::target::TargetError;

/// Characters of an answer that are told.
const MOST_TOLD: usize = 400;
/// Answers that name a bucket that is not there, which would look like an object that is not.
const NO_BUCKET: [&str; 4] =
    ["NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "specified bucket does not exist"];
/// Answers that name a store that is full.
const FULL: [&str; 4] = ["StorageFull", "QuotaExceeded", "InsufficientCapacity", "storage quota"];

/// Answers under another status that name something that passes; the last one is inside an answer of Azure to several requests.
const PASSING: [&str; 2] = ["RequestTimeout", "(code: 5"];

/// Whether an object was not written because one is there.
pub(super) const fn is_taken(error: &Error) -> bool {
    matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. })
}

/// Whether trying again now may help.
pub(super) const fn may_help(error: &TargetError) -> bool {
    matches!(error, TargetError::Unreachable { retry: true, .. })
}

/// The error of a target for that of a store, which was last answered so.
pub(super) fn judge(name: &str, error: &Error, last: Went) -> TargetError {
    let why = told(error);
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    let status = last.status().unwrap_or(0);
    if status == 507 || status != 0 && says(&FULL) {
        return TargetError::Full;
    }
    if is_lock(&why) {
        return TargetError::Refused { name: name.to_owned(), why };
    }
    match error {
        Error::NotFound { .. } if !says(&NO_BUCKET) => TargetError::Absent { name: name.to_owned() },
        _ if matches!(status, 401 | 403) => TargetError::Refused { name: name.to_owned(), why },
        _ => {
            let retry = last.is_lost() || matches!(status, 408 | 409 | 425 | 429 | 500..) || says(&PASSING);
            TargetError::Unreachable { why, retry }
        }
    }
}

/// The store says that it is there, and it is not: somebody is just writing or removing it.
pub(super) fn clash() -> TargetError {
    TargetError::Unreachable { why: "another request for the same object is under way".to_owned(), retry: true }
}

/// What the store lists cannot be gone through.
pub(super) fn disordered() -> TargetError {
    let why = "it does not list its objects in the order of their names, or does not come to an end; another kind of bucket is needed";
    TargetError::Unreachable { why: why.to_owned(), retry: false }
}

/// Azure calls a lock a conflict, which would pass, and puts a status inside another answer. The words are such as no name of a
/// bucket or a prefix has.
fn is_lock(why: &str) -> bool {
    ["BlobImmutableDueToPolicy", "is immutable due to a policy", "(code: 403)"].iter().any(|word| why.contains(word))
}

/// What the store says, on one line.
fn told(error: &Error) -> String {
    error.to_string().chars().take(MOST_TOLD).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

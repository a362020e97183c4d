//! Backups in a bucket: of S3 and what speaks like it, of Google Cloud Storage, of Azure Blob Storage.
//!
//! The crate `object_store` knows how each is asked; `http` asks, on the thread of the caller, and `attempt` asks again.

mod attempt;
mod http;
mod judge;
mod new;
mod wait;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use self::attempt::Attempts;
use self::wait::wait;
use super::{BackupTarget, MARK, MARK_TEXT, StoredObject, TargetError, name};

pub use new::NewStoreTarget;

/// Bytes of the longest object.
const MAX_OBJECT: usize = 20 << 20;
/// Pages of a list without an object on them that are taken for one behind another; then the store is not believed any more.
const MOST_EMPTY: u32 = 1000;

/// Keeps backups in a bucket: of S3 and what speaks like it (feature `backup-s3`), of Google Cloud Storage (`backup-gcs`), of
/// Azure Blob Storage (`backup-azure`).
///
/// An object has the name of the target's prefix and its own. It is written only if there is none of this name, which the store
/// sees to; a store that does not is found out before the first object is written. Credentials are those of the store's own
/// environment variables, or are given ([`NewStoreTarget::setting`]). Everything goes over TLS, except to this machine itself.
///
/// What may help is tried again, after pauses that become longer, until [`NewStoreTarget::patience`] is over. A write whose answer
/// was lost may find its own object there: if its bytes are the same, it has succeeded.
///
/// ```no_run
/// # #[cfg(feature = "backup-s3")]
/// # fn main() -> Result<(), chartvault::TargetError> {
/// use chartvault::{BackupTarget, StoreTarget};
///
/// // AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are in the environment, or the machine has a role.
/// let target = StoreTarget::s3("clinic-backups", "ward-3").setting("region", "eu-central-1").open()?;
/// target.list("manifests/", &mut |object| println!("{} has {} bytes", object.name, object.len))?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "backup-s3"))]
/// # fn main() {}
/// ```
pub struct StoreTarget {
    name: String,
    prefix: String,
    store: Box<dyn Store>,
    patience: Duration,
    /// Whether it was seen that the store replaces nothing.
    keeps: AtomicBool,
}

/// What the three stores can.
trait Store: ObjectStore + PaginatedListStore {}

impl<S: ObjectStore + PaginatedListStore> Store for S {}

impl StoreTarget {
    /// In a bucket of S3, under this prefix, which may be empty. Settings (see [`NewStoreTarget::setting`]): `region`, `endpoint`
    /// for what speaks like S3, `access_key_id` and `secret_access_key`, and others.
    #[cfg(feature = "backup-s3")]
    #[cfg_attr(docsrs, doc(cfg(feature = "backup-s3")))]
    pub fn s3(bucket: impl Into<String>, prefix: impl Into<String>) -> NewStoreTarget {
        NewStoreTarget::new(new::Service::S3, bucket.into(), prefix.into())
    }

    /// In a bucket of Google Cloud Storage, under this prefix, which may be empty. Settings (see [`NewStoreTarget::setting`]):
    /// `service_account_path` or `service_account_key`, and others.
    #[cfg(feature = "backup-gcs")]
    #[cfg_attr(docsrs, doc(cfg(feature = "backup-gcs")))]
    pub fn gcs(bucket: impl Into<String>, prefix: impl Into<String>) -> NewStoreTarget {
        NewStoreTarget::new(new::Service::Gcs, bucket.into(), prefix.into())
    }

    /// In a container of Azure Blob Storage, under this prefix, which may be empty. Settings (see [`NewStoreTarget::setting`]):
    /// `account_name`, `access_key`, and others.
    #[cfg(feature = "backup-azure")]
    #[cfg_attr(docsrs, doc(cfg(feature = "backup-azure")))]
    pub fn azure(container: impl Into<String>, prefix: impl Into<String>) -> NewStoreTarget {
        NewStoreTarget::new(new::Service::Azure, container.into(), prefix.into())
    }

    /// What the names in the bucket begin with, before a name or what names begin with.
    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    fn path(&self, name: &str) -> Result<Path, TargetError> {
        Path::parse(self.full(name)).map_err(|_| TargetError::BadName { name: name.to_owned() })
    }

    /// Asks again as long as that may help.
    fn asked<T>(&self, name: &str, ask: impl Fn() -> Result<T, Error>) -> Result<T, TargetError> {
        let mut attempts = Attempts::new(self.patience);
        loop {
            http::forget();
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => judge::judge(name, &error, http::last()),
            };
            if !judge::may_help(&error) || !attempts.again() {
                return Err(error);
            }
        }
    }

    /// Writes an object if there is none, and says whether it was written.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<bool, TargetError> {
        let path = self.path(name)?;
        let payload = PutPayload::from(Bytes::copy_from_slice(bytes));
        let mut attempts = Attempts::new(self.patience);
        // Whether an attempt before this one may have written it, though no answer said so.
        let mut is_unsure = false;
        loop {
            http::forget();
            let error = match wait(self.store.put_opts(&path, payload.clone(), PutMode::Create.into())) {
                Ok(_) => return Ok(true),
                Err(error) => error,
            };
            let last = http::last();
            let told = if judge::is_taken(&error) {
                match self.taken(name, bytes, is_unsure, last)? {
                    Some(is_own) => return Ok(is_own),
                    None => judge::clash(),
                }
            } else {
                judge::judge(name, &error, last)
            };
            is_unsure |= last.may_have_arrived();
            if !judge::may_help(&told) || !attempts.again() {
                return Err(told);
            }
        }
    }

    /// Whether what stands in the place of an object is what an earlier attempt wrote; nothing if there is none after all: some
    /// stores answer the same when another request is under way.
    fn taken(&self, name: &str, bytes: &[u8], is_unsure: bool, last: http::Went) -> Result<Option<bool>, TargetError> {
        if is_unsure {
            return match self.get(name, bytes.len()) {
                Ok(held) => Ok(Some(held == bytes)),
                Err(TargetError::TooLarge { .. }) => Ok(Some(false)),
                Err(TargetError::Absent { .. }) => Ok(None),
                Err(error) => Err(error),
            };
        }
        if last.is_precondition() {
            return Ok(Some(false));
        }
        match self.asked(name, || wait(self.store.head(&self.path_of(name)))) {
            // Whoever may only write has to take the store's word.
            Ok(_) | Err(TargetError::Refused { .. }) => Ok(Some(false)),
            Err(TargetError::Absent { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path_of(&self, name: &str) -> Path {
        Path::from(self.full(name))
    }

    /// An error if the store replaces what is there although it was asked not to, as some did for long. Asked once.
    fn refuse_if_it_replaces(&self) -> Result<(), TargetError> {
        if self.keeps.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Whoever wrote it first, the second time it has to be there.
        let is_new = self.put(MARK, MARK_TEXT.as_bytes())?;
        if is_new && self.put(MARK, b"")? {
            let why =
                "it replaces what is there although it was asked not to; a store with conditional writes is needed";
            return Err(TargetError::Settings { why: why.to_owned() });
        }
        self.keeps.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn page(&self, prefix: &str, token: Option<String>) -> Result<PaginatedListResult, TargetError> {
        let full = self.full(prefix);
        self.asked(&format!("{prefix}*"), || {
            let options = PaginatedListOptions { page_token: token.clone(), ..PaginatedListOptions::default() };
            wait(self.store.list_paginated(Some(&full).filter(|full| !full.is_empty()).map(String::as_str), options))
        })
    }
}

impl BackupTarget for StoreTarget {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        name::check(name)?;
        if bytes.len() > MAX_OBJECT {
            let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Err(TargetError::TooLarge { name: name.to_owned(), len, limit: MAX_OBJECT });
        }
        self.refuse_if_it_replaces()?;
        if self.put(name, bytes)? { Ok(()) } else { Err(TargetError::Exists { name: name.to_owned() }) }
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        name::check(name)?;
        let (path, limit) = (self.path(name)?, limit.min(MAX_OBJECT));
        let got = self.asked(name, || {
            let answer = wait(self.store.get_opts(&path, GetOptions::default()))?;
            let len = answer.meta.size;
            if usize::try_from(len).is_ok_and(|len| len <= limit) {
                let bytes = wait(answer.bytes())?;
                // The end of the connection is not the end of the object.
                if u64::try_from(bytes.len()) == Ok(len) { Ok(Ok(bytes)) } else { Err(http::cut_short()) }
            } else {
                Ok(Err(len))
            }
        })?;
        match got {
            Ok(bytes) => Ok(bytes.into()),
            Err(len) => Err(TargetError::TooLarge { name: name.to_owned(), len, limit }),
        }
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        name::split_prefix(prefix)?;
        let (mut last, mut token, mut empty) = (String::new(), None, 0);
        loop {
            let page = self.page(prefix, token.take())?;
            empty = if page.result.objects.is_empty() { empty + 1 } else { 0 };
            for object in page.result.objects {
                let Some(name) = self.own_name(object.location.as_ref()) else { continue };
                if name <= last.as_str() || empty > MOST_EMPTY {
                    return Err(judge::disordered());
                }
                name.clone_into(&mut last);
                if name::is_name(name) {
                    each(StoredObject { name: name.to_owned(), len: object.size });
                }
            }
            token = page.page_token;
            if token.is_none() {
                return Ok(());
            }
            if empty > MOST_EMPTY {
                return Err(judge::disordered());
            }
        }
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        name::check(name)?;
        let path = self.path(name)?;
        self.asked(name, || wait(self.store.delete(&path)))
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl StoreTarget {
    /// The name of an object without the target's prefix.
    fn own_name<'n>(&self, full: &'n str) -> Option<&'n str> {
        if self.prefix.is_empty() { Some(full) } else { full.strip_prefix(&self.prefix)?.strip_prefix('/') }
    }
}

impl fmt::Debug for StoreTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreTarget").field("name", &self.name).finish_non_exhaustive()
    }
}

//! A target in a bucket, before it is opened.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use object_store::{BackoffConfig, Error, RetryConfig};
use ureq::tls::Certificate;

use super::http::Connector;
use super::{Store, StoreTarget};
use crate::backup::target::TargetError;

/// How long a call goes on trying if nothing else was said.
const PATIENCE: Duration = Duration::from_secs(120);
/// The least: less is no time for a connection.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
/// Characters of the longest prefix.
const MAX_PREFIX: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    #[cfg(feature = "backup-s3")]
    S3,
    #[cfg(feature = "backup-gcs")]
    Gcs,
    #[cfg(feature = "backup-azure")]
    Azure,
}

/// A [`StoreTarget`] before it is opened.
#[must_use = "nothing is opened before `open`"]
pub struct NewStoreTarget {
    service: Service,
    bucket: String,
    prefix: String,
    name: Option<String>,
    /// Secrets may be among them.
    settings: Vec<(String, String)>,
    roots: Option<Vec<u8>>,
    patience: Duration,
}

impl NewStoreTarget {
    pub(super) fn new(service: Service, bucket: String, prefix: String) -> Self {
        Self { service, bucket, prefix, name: None, settings: Vec::new(), roots: None, patience: PATIENCE }
    }

    /// A setting of the store, as its environment variable calls it, in small letters: `access_key_id` for what
    /// `AWS_ACCESS_KEY_ID` would say. The crate `object_store` lists them: `AmazonS3ConfigKey`, `GoogleConfigKey`,
    /// `AzureConfigKey`. What is set here counts more than the environment.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// The certificates, in PEM, of which one has to have signed the store's; for a store with an authority of its own. Mozilla's
    /// list then counts no more.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// So long a call goes on trying, and so long a single request may take; two minutes by default. No attempt begins later, so
    /// that a call has an end after twice the time at most. An object has up to 20 MiB: over a slow line, give more.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What people know it by; such as `s3://bucket/prefix` if this is not called. No secret: it stands in log entries.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Reads the environment, and checks what it was given. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// [`TargetError::Settings`].
    pub fn open(self) -> Result<StoreTarget, TargetError> {
        check_prefix(&self.prefix)?;
        if self.patience < LEAST_PATIENCE {
            return Err(bad(format!("its patience has to be {} ms at least", LEAST_PATIENCE.as_millis())));
        }
        let store = self.store()?;
        let Self { service, bucket, prefix, name, patience, .. } = self;
        let name = name.unwrap_or_else(|| {
            let path = if prefix.is_empty() { bucket } else { format!("{bucket}/{prefix}") };
            format!("{}://{path}", service.scheme())
        });
        Ok(StoreTarget { name, prefix, store, patience, keeps: AtomicBool::new(false) })
    }

    fn connector(&self) -> Result<Connector, TargetError> {
        let roots = match &self.roots {
            None => None,
            Some(pem) => Some(certificates(pem)?),
        };
        Ok(Connector { roots, timeout: self.patience, with_md5: self.service.scheme() == "s3" })
    }

    fn store(&self) -> Result<Box<dyn Store>, TargetError> {
        let connector = self.connector()?;
        match self.service {
            #[cfg(feature = "backup-s3")]
            Service::S3 => {
                use object_store::aws::{AmazonS3Builder, Checksum, S3ConditionalPut};
                // A bucket with object locks takes nothing without a checksum.
                let mut builder = AmazonS3Builder::from_env().with_checksum_algorithm(Checksum::SHA256);
                for (name, value) in &self.settings {
                    builder = builder.with_config(name.parse().map_err(|_| unknown(name))?, value);
                }
                let builder = builder
                    .with_bucket_name(&self.bucket)
                    .with_conditional_put(S3ConditionalPut::ETagMatch)
                    .with_disable_bulk_delete(true)
                    .with_retry(no_retry())
                    .with_http_connector(connector);
                Ok(Box::new(builder.build().map_err(|error| settings(&error))?))
            }
            #[cfg(feature = "backup-gcs")]
            Service::Gcs => {
                let mut builder = object_store::gcp::GoogleCloudStorageBuilder::from_env();
                for (name, value) in &self.settings {
                    builder = builder.with_config(name.parse().map_err(|_| unknown(name))?, value);
                }
                let builder =
                    builder.with_bucket_name(&self.bucket).with_retry(no_retry()).with_http_connector(connector);
                Ok(Box::new(builder.build().map_err(|error| settings(&error))?))
            }
            #[cfg(feature = "backup-azure")]
            Service::Azure => {
                let mut builder = object_store::azure::MicrosoftAzureBuilder::from_env();
                for (name, value) in &self.settings {
                    builder = builder.with_config(name.parse().map_err(|_| unknown(name))?, value);
                }
                let builder =
                    builder.with_container_name(&self.bucket).with_retry(no_retry()).with_http_connector(connector);
                Ok(Box::new(builder.build().map_err(|error| settings(&error))?))
            }
        }
    }
}

impl Service {
    const fn scheme(self) -> &'static str {
        match self {
            #[cfg(feature = "backup-s3")]
            Self::S3 => "s3",
            #[cfg(feature = "backup-gcs")]
            Self::Gcs => "gs",
            #[cfg(feature = "backup-azure")]
            Self::Azure => "az",
        }
    }
}

impl fmt::Debug for NewStoreTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.settings.iter().map(|(name, _)| name).collect();
        f.debug_struct("NewStoreTarget")
            .field("service", &self.service)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("settings", &names)
            .finish_non_exhaustive()
    }
}

/// Asking again is seen to here (`attempt`), where it is known what was asked.
fn no_retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::from_secs(180) }
}

/// Parts that stand in an address as they are.
fn check_prefix(prefix: &str) -> Result<(), TargetError> {
    let is_good = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !part.is_empty() && !matches!(part, "." | "..") && part.bytes().all(plain)
    };
    if prefix.is_empty() || prefix.len() <= MAX_PREFIX && prefix.split('/').all(is_good) {
        return Ok(());
    }
    Err(bad(format!("{prefix:?} is no prefix: give parts of letters, digits, - _ and ., joined by /")))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, TargetError> {
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(bad(format!("its root certificates cannot be read: {error}"))),
        }
    }
    if found.is_empty() {
        Err(bad("there is no certificate among its root certificates".to_owned()))
    } else {
        Ok(found)
    }
}

fn unknown(setting: &str) -> TargetError {
    bad(format!("{setting:?} is no setting of this store"))
}

fn settings(error: &Error) -> TargetError {
    bad(error.to_string())
}

fn bad(why: String) -> TargetError {
    TargetError::Settings { why }
}

//! chartvault keeps patient charts safely: typed records, every value sealed under its own key, every access decided by
//! a capability token, every access written to a hash-chained audit log. One process, one directory, no server.
//!
//! # A record put and read
//!
//! ```
//! use std::time::Duration;
//!
//! use chartvault::{Action, Grant, Identifier, IssuerKey, Passphrase, Purpose, Record, Scope, Shape, Vault};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Record, Serialize, Deserialize)]
//! #[record(kind = "allergy", version = 1)]
//! struct Allergy {
//!     substance: String,
//!     severity: Severity,
//! }
//!
//! #[derive(Shape, Serialize, Deserialize)]
//! enum Severity {
//!     Mild,
//!     Severe,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("clinic.vault");
//! let pass = Passphrase::new("correct horse battery staple");
//! let (vault, recovery) = Vault::create(&path).passphrase(&pass).finish()?; // the recovery key is shown once
//! // another day: let vault = Vault::open(&path)?.unlock(&pass)?;
//!
//! let issuer = IssuerKey::generate()?; // may live on another machine
//! vault.trust_issuer(issuer.public(), &pass)?;
//! let token = Grant::to("dr.osei")
//!     .all_patients()
//!     .kind::<Allergy>()
//!     .actions([Action::Read, Action::List, Action::Create, Action::Amend, Action::Void])
//!     .purpose(Purpose::Treatment)
//!     .valid_for(Duration::from_secs(12 * 60 * 60))
//!     .sign(&issuer, vault.id())?;
//!
//! let session = vault.session(&token, Purpose::Treatment)?;
//! let ama = session.register_patient([Identifier::new("urn:mrn:clinic-a", "12345")?])?;
//! let allergy = Allergy { substance: "penicillin".into(), severity: Severity::Mild };
//! let id = session.put(ama, &allergy)?; // durable and logged when it returns
//! let entry = session.get(id)?; // value, version, author, times
//! let worse = Allergy { severity: Severity::Severe, ..entry.value };
//! session.amend(id, entry.version, &worse)?; // Error::Conflict if someone was faster
//!
//! let narrow = token
//!     .attenuate()
//!     .patient(ama)
//!     .actions([Action::Read])
//!     .valid_for(Duration::from_secs(30 * 60))
//!     .finish()?; // offline, by whoever holds the token
//! let nurse = vault.session(&narrow, Purpose::Treatment)?;
//! assert_eq!(nurse.get(id)?.value.substance, "penicillin");
//! assert!(nurse.put(ama, &worse).is_err()); // denied, and logged
//! vault.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! 1. **An acknowledged write is never lost**, and is never seen without its audit entry: a call that writes returns
//!    after one journal frame with both is synced to disk.
//! 2. **No access without a log entry.** Where the entry cannot be made durable, the access fails. Denials are logged, too.
//!    A vault may choose [`ReadAudit::Windowed`] for bulk work: then a crash can lose the entries of the last reads, at
//!    most as many as the vault chose, and the log says after which entry that may be.
//! 3. **No wrong answer.** A value that was changed, moved, swapped, replayed or cut is a typed [`Error`], never a value.
//! 4. **Nothing readable at rest**: not values, not identifiers, not kinds. What does leak stands in `SECURITY.md`.
//!
//! A host process that holds the unlocked vault can do what it likes. Tokens bind callers, delegates and mistakes, and
//! make every access answerable.
//!
//! # Where to look
//!
//! [`Vault`] creates, opens and closes, changes what opens it ([`Vault::add_slot`], [`Vault::change_credential`]), and erases
//! patients ([`Vault::erase_patient`]); [`Session`] reads and writes, and [`Session::export`] takes out in bulk; [`Grant`]
//! and [`Token`] say who may; [`AuditEntry`] says who did. [`Record`] is derived for the host's own types; [`Kind`] with
//! [`Session::put_verbatim`] keeps bytes such as FHIR JSON as they came. A type that has to change names the one before
//! as `previous`; see [`Record`] and `docs/records.md`. [`LockedVault::salvage`] makes a new vault of all that verifies in a
//! damaged one (`docs/repair.md`). Calls block; the feature `async` has them as futures.
//!
//! Who may do what is looked after with [`Session::roles`], [`Session::principals`] and [`Vault::sign_in`], [`Session::grants`]
//! (registered, unused, revoked), [`Session::reviews`], and [`AccessRules`] for all tokens; [`Vault::session_with`] takes
//! tokens that demand something beside themselves. [`Session::break_glass`] is for emergencies, and [`Session::cases`] for
//! those who review them. [`Session::explain`], [`Session::would_allow`], [`Session::could_access`] and
//! [`Session::risk_report`] answer auditors; [`Vault::security_report`] weighs how the vault is kept, on one page; rules that run over the log raise flags ([`Vault::set_monitoring`],
//! [`Session::flags`], `docs/monitoring.md`), and [`AuditView::summary`] sums up a week as a page; [`UnverifiedToken::inspect`] lists a token's rights. `docs/access.md` shows how a
//! vendor wires it, and `cargo run --release --example ward` a day of it.
//!
//! # Features
//!
//! * `derive` (default): `#[derive(Record)]` and `#[derive(Shape)]`.
//! * `async`: `AsyncVault` and `AsyncSession`, whose calls are futures under any runtime; the work is done by `Workers`,
//!   threads made for blocking. No further dependency.
//! * `tracing`: a span for each operation and events for what happens to a vault, through the `tracing` facade.
//! * `metrics`: counters, gauges and histograms through the `metrics` facade. What both give out, and that none of it is
//!   about anybody, stands in `docs/observability.md`.
//! * `qr`: the enrolment of an authenticator app as a QR code, in SVG or for a terminal ([`TotpEnrolment`]).
//! * `backup`: backups and restores (`Vault::backup`, `Vault::restore`), to a folder or wherever a `BackupTarget` is;
//!   `docs/backup.md`.
//! * `backup-s3`, `backup-gcs`, `backup-azure`: `StoreTarget`, for a bucket of S3 and what speaks like it, of Google Cloud
//!   Storage, of Azure Blob Storage; each brings `backup`.
//! * `witness`: `WitnessAnchor`, a witness elsewhere who cosigns checkpoints of the log, over HTTPS.
//! * `cli`: the command line tool `chartvault`, and nothing in the library; `docs/cli.md`.
//! * `test-util`: a module `test_util` for the tests of programs that use the crate; `docs/testing.md`.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]
// A lock that `while let` or `match` takes is held to its end: others wait, and nothing shows it.
#![cfg_attr(not(test), warn(clippy::significant_drop_in_scrutinee))]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented,
        clippy::dbg_macro,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

// The derives write `::chartvault::…`, in this crate's own tests as well.
extern crate self as chartvault;

mod anchor;
mod audit;
#[cfg(feature = "backup")]
mod backup;
mod bytes;
mod clock;
mod columns;
mod committer;
mod consent;
mod crypto;
mod csv;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod html;
mod ids;
mod json;
mod keyring;
mod log_export;
mod monitor;
#[cfg(feature = "async")]
mod nonblocking;
mod observe;
mod platform;
mod policy;
mod progress;
mod read_audit;
mod record;
mod secret;
mod session;
mod sink;
mod storage;
mod summary;
mod terms;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod test_util;
mod token;
mod unlocked;
mod vault;

pub use anchor::{
    Anchor, AnchorError, AnchorFault, AnchorPolicy, CallbackAnchor, CommandAnchor, FileAnchor, ProofFrom,
};
#[cfg(feature = "witness")]
#[cfg_attr(docsrs, doc(cfg(feature = "witness")))]
pub use anchor::{InvalidWitness, WitnessAnchor};
pub use audit::{
    AuditConsent, AuditEntry, AuditEvent, AuditFault, AuditFilter, AuditRead, AuditRecord, AuditSubject, Checkpoint,
    EntryDefect, FaultKind, InvalidCheckpoint, LogArchive, LogArchiveError, LogProofError, LogPruneError, LogPruned,
    Outcome,
};
#[cfg(feature = "backup")]
#[cfg_attr(docsrs, doc(cfg(feature = "backup")))]
pub use backup::{
    BackupCheck, BackupFault, BackupFinding, BackupFlaw, BackupIdentity, BackupKey, BackupPoint, BackupPruned,
    BackupRecipient, BackupRetention, BackupTarget, BackupVerified, FolderTarget, KeptBackup, PruneBackups,
    StoredObject, TargetError, prune_backups,
};
#[cfg(any(feature = "backup-s3", feature = "backup-gcs", feature = "backup-azure"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "backup-s3", feature = "backup-gcs", feature = "backup-azure"))))]
pub use backup::{NewStoreTarget, StoreTarget};
#[cfg(feature = "derive")]
pub use chartvault_derive::{Record, Shape};
pub use clock::{Clock, SystemClock, Timestamp};
pub use consent::{Consent, ConsentAnswer, ConsentQuestion};
pub use crypto::RandomFailed;
pub use crypto::aead::Suite;
pub use crypto::kdf_parameters::KdfParameters;
pub use crypto::passphrase::{CostOutOfBounds, Passphrase, PassphraseCost};
pub use crypto::password::Password;
pub use crypto::pbkdf2::{IterationsOutOfBounds, Pbkdf2Iterations};
pub use error::Error;
pub use format::ParseError;
pub use format::header::HeaderError;
pub use format::ledger::LedgerError;
pub use format::slot::SlotKind;
pub use ids::{
    AttesterId, CaseId, CompartmentId, DeviceId, FacilityId, FlagId, InvalidId, IssuerId, KindId, LogHoldId, PatientId,
    PrincipalId, RevocationId, RoleId, SessionId, Ticket, VaultId,
};
pub use keyring::{
    CopyFault, Credential, HeaderFileError, IdentifierNotAllowed, InvalidRecoveryKey, InvalidShare, KeyContext,
    KeyFile, KeyFileError, KeyProvider, NewSlot, NewSlotError, ProviderError, RawKey, RecoveryKey, Share, ShareError,
    ShareGroup, ShareSetId, SharedKey, SlotInfo, SlotPartner, TwoPersons, UnlockError,
};
pub use log_export::LogFormat;
pub use monitor::{
    CareAnswer, CareContext, FlagError, FlagQuestion, FlagVerdict, InvalidMonitorState, InvalidZone, Monitor,
    MonitorRule, MonitoringRules, OpeningHours, RaisedFlag, Suppressor, Tally,
};
#[cfg(feature = "async")]
pub use nonblocking::{AsyncLockedVault, AsyncSession, AsyncVault, Call, Workers};
pub use policy::{
    AccessRules, ChartLabel, Compartment, Decided, Disabled, EmergencyReason, Ended, EpochStart, Erasure, FlagClosed,
    LastBackup, LastBackupFailure, LastDrill, LastPack, LastVerification, LegalHold, LogHold, LogRetention,
    LogRetentionTooShort, RecoveryCodes, Retention, RetentionOf, Review, ReviewDecision, Revocation, TotpEnrolment,
    Verdict,
};
pub use progress::{OnProgress, Progress, Task};
pub use read_audit::{ReadAudit, ReadAuditOutOfBounds};
pub use record::{
    DecodeError, EncodeError, Entry, InvalidKind, InvalidLabels, Kind, Labels, MAX_REASON, MAX_VALUE, NoPrevious,
    Record, RecordId, RecordRef, Shape, Shaped, Status, UpgradeReason, VerbatimEntry, Version, WrongKind,
};
pub use session::{
    AccessGap, AccessReport, AccessRisk, AccountOfDisclosures, AccountedDisclosure, AnyEntry, AskedAccess,
    AskedDisclosures, AuditPage, AuditQuery, AuditVerify, AuditView, Batch, Bundled, CaseState, Cases, ChartCursor,
    ChartPage, ChartQuery, ChartRetention, ConsistencyProof, Disclosure, Explanation, Export, ExportStream, GrantPage,
    GrantQuery, GrantState, Grants, Identifier, InclusionProof, IssuerInfo, KindCount, ListCursor, ListQuery,
    LiveGrant, LogBundle, LogExport, LogExported, LogFault, LogKept, LogReport, LogRetentionReport, LogVerdict,
    NewPrincipal, Operation, Page, PatientReach, Principal, PrincipalPage, Principals, PutOptions, ReportPlace,
    ReviewCase, ReviewItem, ReviewItems, ReviewPage, ReviewRound, Reviews, RiskReport, Roles, Ruling, Scope, Session,
    SessionOpening, Subscribe, Subscription, TableFormat, TokenStanding, VerifiedLog,
};
pub use session::{ActiveSuppressor, Flag, FlagState, Flags, MonitorReport};
pub use sink::{
    AuditSink, Delivered, FileSink, LineFormat, SinkError, SinkFault, SinkForm, SinkPolicy, SinkState, SyslogSink,
};
pub use storage::{Severity, StorageError};
pub use summary::{ActorSummary, ChartSummary, DaySummary, EmergencySummary, FlagSummary, Summary, SummaryPage};
pub use terms::{Action, Categories, Category, Confidentiality, InvalidTerm, Purpose};
pub use token::{
    AttenuateError, Attenuation, AttestError, Attestation, AttesterKey, AttesterPublicKey, AuthProof, BlockRights,
    BoundAttenuation, BoundGrant, BoundToken, Caveat, Ceiling, Challenge, Claim, Denial, DenyReason, DeviceKey,
    DeviceProof, DevicePublicKey, EffectiveRights, EmergencyRights, Grant, GrantError, HolderKey, HolderPublicKey,
    InvalidIssuerKey, InvalidProof, InvalidPublicKey, InvalidRole, IssuerKey, IssuerPublicKey, LimitError, Listed,
    NewAttestation, Possession, ProofError, ProofKind, Revoke, Rights, Role, RoleRevision, SealedToken, SignInLevel,
    Statement, Token, TokenError, UnverifiedToken,
};
pub use vault::{
    AnchorFinding, AnchorState, BackupStatus, CheckReport, CheckScope, Compaction, Doubt, ErasureLedger, ErasureLevel,
    ErasureOrder, ErasureReport, Evidence, Finding, FindingPlace, Health, JournalWound, KdfUpgrade, KeyAge, KeyReport,
    KeyRisk, KeySort, LastDone, LockedVault, LogKey, LogKeys, MemoryGuard, MemoryProtection, MissingReads, NewVault,
    Opening, Options, OwnAccount, Reason, Replayed, RootRotation, Rotated, Rotation, SalvageReport, SalvagedRecords,
    SecurityFinding, SecurityReport, SignIn, TargetStatus, Unlocking, Vault, WaivedAdvisory, Weight,
};
#[cfg(feature = "backup")]
#[cfg_attr(docsrs, doc(cfg(feature = "backup")))]
pub use vault::{
    Backup, BackupReport, BackupThread, ContinuousBackup, Drill, DrillReport, Followed, FollowedState, Restore,
    RestorePoint, Restored, VaultPrune,
};

/// The examples of docs/records.md.
#[cfg(all(doctest, feature = "derive"))]
#[doc = include_str!("../docs/records.md")]
mod records_page {}

/// What the derives' code names. Not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::record::Derived;
    pub use crate::record::past::{Past, UpgradeFrom, same_kind};
    pub use crate::record::shape::{Fields, enumeration, structure};
}

/// The examples of the page run as tests.
#[cfg(all(doctest, feature = "test-util"))]
#[doc = include_str!("../docs/testing.md")]
mod testing_page {}

/// The examples of docs/following.md.
#[cfg(all(doctest, feature = "derive"))]
#[doc = include_str!("../docs/following.md")]
mod following_page {}

/// The examples of docs/backup.md.
#[cfg(all(doctest, feature = "backup"))]
#[doc = include_str!("../docs/backup.md")]
mod backup_page {}

/// The examples of docs/repair.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/repair.md")]
mod repair_page {}

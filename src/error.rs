//! Floor 5: the one public error. Small errors of lower floors are wrapped, not repeated.

mod parts;
mod told;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::anchor::AnchorFault;
use crate::audit::{AuditFault, LogArchiveError, LogProofError, LogPruneError};
#[cfg(feature = "backup")]
use crate::backup::BackupFault;
use crate::clock::Timestamp;
use crate::crypto::RandomFailed;
use crate::format::ledger::LedgerError;
use crate::ids::{AttesterId, CaseId, KindId, LogHoldId, PatientId, PrincipalId, RevocationId, Ticket};
use crate::keyring::{HeaderFileError, IdentifierNotAllowed, NewSlotError, UnlockError};
use crate::monitor::FlagError;
use crate::read_audit::ReadAuditOutOfBounds;
use crate::record::{DecodeError, EncodeError, Kind, RecordRef, Version};
use crate::sink::SinkFault;
use crate::storage::StorageError;
use crate::token::{Denial, InvalidRole, ProofError, Revoke, TokenError};
use parts::{of, revision_of};

/// Whatever a vault or a session may answer instead of a result. Every message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token does not allow this. Deliberately coarse, so that nobody learns what exists; the log has the reason.
    #[error("access denied; someone with the audit action can look up {ticket}")]
    Denied {
        /// Finds the log entry that says why.
        ticket: Ticket,
    },
    /// The token opens no session here.
    #[error("the token was refused: {0}")]
    Token(#[source] TokenError),
    /// The token is good, but not for this purpose of use, or it demands what this version cannot check.
    #[error("the token opens no session: {0}; ask for a grant that allows it")]
    SessionRefused(Denial),
    /// The token is good, but what it demands beside itself was not shown, or does not hold.
    #[error("the token opens no session: {0}")]
    Proof(#[from] ProofError),
    /// The vault was salvaged, and parts of it may be older than they were or lack records. No session was opened.
    #[error(
        "this vault was salvaged at {salvaged_at}, and parts of it may be older than they were, or missing; to read and \
         export it all the same, open the session with accept_doubtful"
    )]
    Doubtful {
        /// When it was salvaged.
        salvaged_at: Timestamp,
    },
    /// The vault was salvaged and is in doubt, so that it takes no writes: the number of a record that was lost would be
    /// given to another one. Nothing was written.
    #[error(
        "this vault was salvaged at {salvaged_at} and parts of it are in doubt, so it takes no writes; export it, and go \
         on in a new vault"
    )]
    DoubtfulReadOnly {
        /// When it was salvaged.
        salvaged_at: Timestamp,
    },
    /// Too many challenges were given out within a minute and not answered.
    #[error("{limit} challenges are outstanding already; answer one, or wait a minute")]
    TooManyChallenges {
        /// How many can be outstanding.
        limit: usize,
    },
    /// An attester of this id is trusted already.
    #[error("this vault trusts {attester} already; there is nothing to do")]
    AlreadyTrusted {
        /// The attester.
        attester: AttesterId,
    },
    /// The session ended by itself; open a new one.
    #[error("the session has ended: {why}; open a new one")]
    SessionEnded {
        /// Idle too long, open too long, or closed.
        why: &'static str,
    },
    /// The clock went back more than two minutes behind the newest log entry.
    #[error("the system clock says {now}, but the log has seen {newest}; set the clock right")]
    ClockRollback {
        /// What the clock says.
        now: Timestamp,
        /// The time of the newest entry.
        newest: Timestamp,
    },
    /// The vault was closed.
    #[error("the vault is sealed; open and unlock it again")]
    Sealed,
    /// Another process, or another handle in this one, has the vault open.
    #[error("the vault in {path:?} is in use; close it there first")]
    InUse {
        /// The vault's directory.
        path: PathBuf,
    },
    /// Something is in the directory where a vault was to be created: another vault, or a creation that was interrupted.
    #[error("{path:?} is not empty; open the vault in it, or create one elsewhere")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// There is no vault, or its header cannot be read or written.
    #[error(transparent)]
    Header(#[from] HeaderFileError),
    /// No slot opens, the header is damaged, or it was tampered with.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// A key slot cannot be made.
    #[error(transparent)]
    Slot(#[from] NewSlotError),
    /// The vault has no key slot of this number.
    #[error("this vault has no key slot {slot}; list its slots to see which there are")]
    NoSuchSlot {
        /// The number that was asked for.
        slot: u8,
    },
    /// Without this slot nothing would open the vault by itself. Nothing was changed.
    #[error("key slot {slot} is the last that opens the vault by itself; add another one before you remove it")]
    LastSlot {
        /// The slot.
        slot: u8,
    },
    /// Another call is rotating keys of this vault. Nothing was changed.
    #[error("another call is rotating keys of this vault; wait until it has ended")]
    RotationUnderWay,
    /// The credential opens no slot by itself, but one of its kind belongs to a slot that takes two. Whether it is that one
    /// cannot be told: what one person brings is never judged alone.
    #[error(
        "the credential opens nothing by itself: it is wrong, or half of key slot {slot} ({label:?}), which takes two together, \
         so bring that of {} as well",
        .partners.join(" or ")
    )]
    NeedsPartner {
        /// The slot, the first of several if there are.
        slot: u8,
        /// What it is called.
        label: String,
        /// What the credential that is missing is called; both, where they are of one kind.
        partners: Vec<String>,
    },
    /// A vault needs a passphrase or a raw key when it is created.
    #[error("no credential was given; give a passphrase or a raw key when creating a vault")]
    NoCredential,

    /// The cursor comes from another list or chart. Nothing was read.
    #[error("the cursor comes from another list or chart; go on where its page came from")]
    CursorOfAnother,
    /// The window for entries of reads is outside its bounds.
    #[error(transparent)]
    ReadAudit(#[from] ReadAuditOutOfBounds),

    /// No such patient in this vault.
    #[error("there is no {0} in this vault; check the id, or find the patient by an identifier")]
    NoSuchPatient(PatientId),
    /// No such record.
    #[error("there is no {0}; list the chart to see what there is")]
    NoSuchRecord(RecordRef),
    /// The record has no such version.
    #[error("{record} has no version {version}; its history shows those it has")]
    NoSuchVersion {
        /// The record.
        record: RecordRef,
        /// The version asked for.
        version: Version,
    },
    /// Somebody was faster: read the record again and decide anew.
    #[error("{record} is at version {found}, not {expected}; read it again and decide anew")]
    Conflict {
        /// The record.
        record: RecordRef,
        /// The version the change was based on.
        expected: Version,
        /// The newest version.
        found: Version,
    },
    /// The record is void; it takes no further versions.
    #[error("{0} was entered in error and takes no further versions; put a new record")]
    Voided(RecordRef),
    /// The identifier leads to a patient already.
    #[error("an identifier of the system {system:?} with this value is taken; find the patient by it")]
    IdentifierTaken {
        /// The identifier's system; the value is not repeated here.
        system: String,
    },
    /// A legal hold stands on the chart, or on a record of it. Nothing was erased.
    #[error("{} is under legal hold since {since} and cannot be erased; have the hold lifted first", of(.patient, .record))]
    LegalHold {
        /// The patient.
        patient: PatientId,
        /// The record that is held; `None` where it is the whole chart.
        record: Option<RecordRef>,
        /// When the hold was placed.
        since: Timestamp,
    },
    /// The chart, or a record of it, has to be kept until later. Nothing was erased.
    #[error("{} has to be kept until {until} and cannot be erased before; erase it then", of(.patient, .record))]
    Retained {
        /// The patient.
        patient: PatientId,
        /// The record that has to be kept; `None` where it is the whole chart.
        record: Option<RecordRef>,
        /// Until when.
        until: Timestamp,
    },
    /// The patient was erased: nothing of the chart can be read any more, and nothing added.
    #[error("{patient} was erased at {at}; register the person anew if they are a patient again")]
    Erased {
        /// The patient.
        patient: PatientId,
        /// When.
        at: Timestamp,
    },
    /// The facility's chart is nobody's, and stays.
    #[error("the chart of the facility belongs to no patient and is not erased; void its records instead")]
    FacilityChart,
    /// A patient was erased, and the old wrap key had to stay: it still opens copies of the secret that were made before.
    #[error(
        "the patient was erased, but {unreadable} other patients' keys do not open, so that the wrap key could not be \
        changed; check the vault, and finish its erasures"
    )]
    ErasureUnfinished {
        /// Patients' keys that do not open.
        unreadable: u64,
    },
    /// The session is one of another vault. Nothing was done.
    #[error("the session was opened in another vault; open one in this vault")]
    OtherVault,
    /// An erasure ledger cannot be taken in. Nothing was done.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A system or value is blank or too long.
    #[error(transparent)]
    Identifier(#[from] IdentifierNotAllowed),
    /// A reason, label or other text is empty or too long.
    #[error("the {what} has {len} bytes; it may have {least} to {limit}")]
    InvalidText {
        /// Which text.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The shortest allowed.
        least: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// More than one call may ask for.
    #[error("{what}: {len} were given; at most {limit} are possible in one call: make several")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many were given.
        len: usize,
        /// How many are possible.
        limit: usize,
    },

    /// The value cannot be stored.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The stored bytes are whole, but are not what this type can read.
    #[error("{record} version {version}: {source}")]
    Decode {
        /// The record.
        record: RecordRef,
        /// The version of the record.
        version: Version,
        /// Why not.
        source: DecodeError,
    },
    /// A stored value was changed, moved, swapped or cut: it does not open in its place. No value was returned.
    #[error("{record} version {version} does not open: its stored bytes were changed or moved; restore from a backup")]
    Tampered {
        /// The record.
        record: RecordRef,
        /// The version.
        version: Version,
    },
    /// What must be there is not: a record or version in the middle was removed.
    #[error("{what} of {patient} is missing from the store (kind {kind:?}, number {number}); restore from a backup")]
    Missing {
        /// The patient.
        patient: PatientId,
        /// The kind, where it is known.
        kind: Option<KindId>,
        /// The number or version that must be there.
        number: u64,
        /// A record, a version, or a patient's key.
        what: &'static str,
    },
    /// A row that belongs to no record (a patient's key, an identifier, a policy row) does not open in its place.
    #[error("a stored {what} does not open: its bytes were changed or moved; restore from a backup")]
    TamperedRow {
        /// Which row.
        what: &'static str,
    },

    /// The log could not take the entry, so the access failed and nothing was returned.
    #[error("the audit log cannot be written ({cause}), so nothing was done; close the vault and open it again")]
    AuditUnavailable {
        /// The first failure.
        cause: Arc<str>,
    },
    /// The log was changed, cut, or does not open.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// Nothing of the change was written.
    #[error("nothing was committed: {0}")]
    NotCommitted(#[source] Arc<StorageError>),
    /// The change may or may not be there after reopening: writing or syncing failed half-way.
    #[error("whether the change was committed is unknown ({0}); close the vault, open it again and look")]
    OutcomeUnknown(#[source] Arc<StorageError>),
    /// More than one commit can take. Nothing was written.
    #[error("the commit takes {len} bytes; at most {limit} are possible: split it")]
    CommitTooLarge {
        /// Its bytes.
        len: usize,
        /// Bytes possible.
        limit: usize,
    },
    /// The journal or the trees.
    #[error(transparent)]
    Storage(StorageError),
    /// A file of the vault outside journal and trees.
    #[error("{doing} {path:?} failed; check the disk and the permissions")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomFailed),
    /// A role that cannot be.
    #[error(transparent)]
    Role(#[from] InvalidRole),
    /// The vault has no role of this name, or no such revision of it.
    #[error("this vault has no role {name:?}{}; list its roles to see which there are", revision_of(*.revision))]
    NoSuchRole {
        /// The name.
        name: String,
        /// The revision that was asked for; `None` where the role is not there at all.
        revision: Option<u32>,
    },
    /// No denial in the log has this ticket.
    #[error("no denial in this log has {ticket}; check it, or query the log for denials")]
    NoSuchTicket {
        /// The ticket that was asked for.
        ticket: Ticket,
    },
    /// There is no such emergency.
    #[error("this vault has no {case}; list the cases to see which there are")]
    NoSuchCase {
        /// The case that was asked for.
        case: CaseId,
    },
    /// The emergency was reviewed already. Nothing was changed.
    #[error("{case} was closed at {at}; there is nothing to do")]
    CaseClosed {
        /// The case.
        case: CaseId,
        /// When it was closed.
        at: Timestamp,
    },
    /// Nobody reviews an emergency of their own. Nothing was changed.
    #[error("{case} is of the same person; somebody else has to review it")]
    OwnCase {
        /// The case.
        case: CaseId,
    },
    /// The vault has a compartment of this name. Nothing was changed.
    #[error("there is a compartment {name:?} already, and kinds neither join one nor leave it; give another name")]
    CompartmentExists {
        /// The name.
        name: String,
    },
    /// A kind that was to be put into a compartment has records already, or is in another. Nothing was changed.
    #[error(
        "records of kind {kind} were put before, or it is in a compartment; only a kind that has no record yet can be \
         put into one: use a new kind"
    )]
    KindInUse {
        /// The kind.
        kind: Kind,
    },
    /// Nobody was signed in. Deliberately coarse, so that nobody learns which names there are; the log has the reason.
    #[error("name, password or code is wrong, or the account is disabled; try again, or ask an administrator")]
    SignInRefused,
    /// Signing in failed too often under this name. Nothing was looked at.
    #[error("signing in failed too often under this name; try again at {at}")]
    TryAgain {
        /// From when on the name is let in again.
        at: Timestamp,
    },
    /// The session's token wants that one signs in again now and then, and it is time. Nothing was done; the session goes on
    /// once a new proof is shown.
    #[error(
        "the token demands signing in at level {level} within the last {} s; sign in again and step the session up",
        .oldest.as_secs()
    )]
    StepUpNeeded {
        /// The level that it demands; see [`SignInLevel`](crate::SignInLevel).
        level: u8,
        /// How long ago it may be at most.
        oldest: Duration,
    },
    /// Nobody of this name is enrolled.
    #[error("{principal} is not enrolled in this vault; list its principals to see who is")]
    NoSuchPrincipal {
        /// The id of the name.
        principal: PrincipalId,
    },
    /// Somebody of this name is enrolled already.
    #[error("{principal} is enrolled already; change the account, or choose another name")]
    AlreadyEnrolled {
        /// The id of the name.
        principal: PrincipalId,
    },
    /// The code of an authenticator that is to be confirmed does not fit.
    #[error(
        "the code does not fit the authenticator that is to be confirmed; check the clock of its device and try the next code"
    )]
    WrongCode,
    /// There is no authenticator to be confirmed, or it was begun more than a day ago.
    #[error("there is no authenticator to be confirmed; begin its enrolment anew")]
    NothingToConfirm,
    /// The memory that a password's derivation takes could not be had.
    #[error(
        "deriving a key from the password takes {memory_kib} KiB of memory, which are not there; free some and try again"
    )]
    NoMemory {
        /// How much it takes.
        memory_kib: u32,
    },
    /// It was revoked for good: it is never trusted again. Nothing was changed.
    #[error("{what} was revoked at {at}, for good; make another key and have that trusted")]
    WasRevoked {
        /// What.
        what: Revoke,
        /// When.
        at: Timestamp,
    },
    /// The vault knows no such grant, or the review does not list it.
    #[error("there is no grant {grant} here; list the grants, or what the review lists, to see which there are")]
    NoSuchGrant {
        /// Its id.
        grant: RevocationId,
    },
    /// There is no such review of grants.
    #[error("this vault has no review {review}; list the reviews to see which there are")]
    NoSuchReview {
        /// Its number.
        review: u32,
    },
    /// The review was closed. Nothing was changed.
    #[error("review {review} was closed at {at}; decide in one that is open, or revoke the grant")]
    ReviewClosed {
        /// Its number.
        review: u32,
        /// When it was closed.
        at: Timestamp,
    },
    /// Grants of the review were not decided over. It stays open.
    #[error("{left} grants of review {review} are not decided over; decide over them, then close it")]
    ReviewUnfinished {
        /// Its number.
        review: u32,
        /// How many.
        left: usize,
    },
    /// Nobody decides over a grant of their own. Nothing was changed.
    #[error("{grant} is a grant of the same person; somebody else has to decide over it")]
    OwnGrant {
        /// Its id.
        grant: RevocationId,
    },
    /// The grant came to an end, so that there is nothing to decide. Nothing was changed.
    #[error("{grant} has ended ({how}), so that there is nothing to decide; the review counts it as settled")]
    GrantEnded {
        /// Its id.
        grant: RevocationId,
        /// Whether it expired or was revoked.
        how: &'static str,
    },
    /// The grant cannot take the place of the other. Nothing was changed.
    #[error("{grant} cannot take the place of the other grant: {why}; register one that can")]
    NoReplacement {
        /// Its id.
        grant: RevocationId,
        /// Why not.
        why: &'static str,
    },
    /// An anchor holds a checkpoint of more entries than the log has: it was cut, or the vault was brought back to an earlier
    /// state. Nothing was written.
    #[error(
        "anchor {anchor} holds a checkpoint of {anchored} entries, and the log has {found}: it was cut, or the vault was \
         brought back to an earlier state. Examine the vault, and keep it as it is"
    )]
    RolledBack {
        /// The anchor.
        anchor: String,
        /// Entries of the checkpoint.
        anchored: u64,
        /// Entries of the log.
        found: u64,
    },
    /// An anchor holds another log: both were one until they were changed apart, or this one was rewritten. Nothing was
    /// written.
    #[error(
        "anchor {anchor} holds a checkpoint of another log of {anchored} entries: this one was rewritten, or a copy of the vault \
         went on. Examine the vault, and keep both as they are"
    )]
    Forked {
        /// The anchor.
        anchor: String,
        /// Entries of the checkpoint.
        anchored: u64,
    },
    /// An anchor cannot be compared with.
    #[error(transparent)]
    Anchor(AnchorFault),
    /// What was to be written out could not be.
    #[error("the list could not be written ({0}); see to where it goes, and write it again")]
    Output(#[source] io::Error),
    /// A flag of monitoring, or a suppressor, is not as it was asked for.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// A proof about the log, or the root of its Merkle tree, cannot be given.
    #[error(transparent)]
    LogProof(#[from] LogProofError),
    /// A sink of the log, or the lack of one, is in the way.
    #[error(transparent)]
    Sink(#[from] SinkFault),
    /// Somebody who followed the log was further than the log is.
    #[error(
        "the log has {entries} entries and was to be followed from {from}; if it had more once, an older copy of the vault \
         was put in its place: restore the newer one, or follow from the start"
    )]
    LogEndsBefore {
        /// From which number.
        from: u64,
        /// How many entries there are.
        entries: u64,
    },
    /// Entries of the log were not archived, or the archive is not what the log says.
    #[error("the archive of the log: {0}")]
    LogArchive(#[from] LogArchiveError),
    /// No such hold stands on the log. Nothing was changed.
    #[error("{hold} does not stand on the log; ask for the retention of the log, which lists those that do")]
    NoSuchLogHold {
        /// Its id.
        hold: LogHoldId,
    },
    /// Entries that were asked for were pruned from the log.
    #[error(
        "the log begins with entry {first}, and was asked for from {from}; those before were pruned: see their archive"
    )]
    LogBeginsAfter {
        /// From which number.
        from: u64,
        /// The first entry of the log.
        first: u64,
    },
    /// Nothing was removed from the log.
    #[error("the log was not pruned: {0}")]
    LogPrune(#[from] LogPruneError),
    /// The directory holds what a restore brought back so far, and is no vault yet.
    #[error("a restore into {path:?} was not finished; run it again, with the same source and the same point")]
    RestoreUnfinished {
        /// The directory.
        path: PathBuf,
    },
    /// A backup could not be made, verified or restored.
    #[cfg(feature = "backup")]
    #[error(transparent)]
    Backup(#[from] BackupFault),
}

//! What an entry is about: the event and how it ended.

use std::fmt;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $word:literal;)*) => {
        /// What happened. Stored as a number of 16 bits; numbers that this version does not know are kept.
        ///
        /// ```
        /// use chartvault::AuditEvent;
        /// assert_eq!(AuditEvent::RecordRead.to_string(), "record-read");
        /// assert_eq!(AuditEvent::from_code(41), AuditEvent::RecordRead);
        /// assert_eq!(AuditEvent::from_code(9_999), AuditEvent::Other(9_999));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum AuditEvent {
            $($(#[$doc])* $name,)*
            /// Written by a newer version.
            Other(u16),
        }

        impl AuditEvent {
            /// Every event that this version writes, ascending by code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number that stands for it.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// The event of a number; [`AuditEvent::Other`] where this version knows none.
            #[must_use]
            pub const fn from_code(code: u16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    other => Self::Other(other),
                }
            }

            /// Its word; one for all that this version does not know.
            pub(crate) const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Other(_) => "other",
                }
            }
        }

        impl fmt::Display for AuditEvent {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Other(code) => write!(f, "event-{code}"),
                    known => f.write_str(known.word()),
                }
            }
        }
    };
}

events! {
    /// The vault was created; always the first entry.
    VaultCreated = 1, "vault-created";
    /// The vault was unlocked.
    VaultOpened = 2, "vault-opened";
    /// The vault was closed.
    VaultClosed = 3, "vault-closed";
    /// Attempts to unlock failed since the last entry; `count` says how many. Counted before any key is open, so the
    /// count could have been forged.
    UnlockFailed = 4, "unlock-failed";
    /// The vault was opened again after an unclean end.
    Recovered = 5, "recovered";
    /// The vault was made from what a salvage found in a damaged one.
    VaultSalvaged = 6, "vault-salvaged";
    /// Stands for an entry that was lost: its number is known, and nothing else of it.
    EntryLost = 7, "entry-lost";
    /// An issuer's public key was trusted.
    IssuerTrusted = 10, "issuer-trusted";
    /// A record kind was registered.
    KindRegistered = 11, "kind-registered";
    /// What the tokens of an issuer can allow at most was set; `detail` has it.
    IssuerLimited = 12, "issuer-limited";
    /// An attester's public key was trusted.
    AttesterTrusted = 13, "attester-trusted";
    /// An issuer was revoked, for good; `detail` names it and says why.
    IssuerRevoked = 14, "issuer-revoked";
    /// A key slot was added; `detail` names it. Stands before the header that has it; see [`AuditEvent::HeaderWritten`].
    SlotAdded = 15, "slot-added";
    /// A key slot was removed; `detail` names it.
    SlotRemoved = 16, "slot-removed";
    /// A key slot has another credential or other parameters; `detail` names it.
    SlotChanged = 17, "slot-changed";
    /// A changed header was written, both copies of it: the change that stands before is in force. Where it failed, either
    /// header may be there. An entry about a slot that has none of these behind it never came into force, or the process
    /// ended before this entry.
    HeaderWritten = 18, "header-written";
    /// A copy of the header was written to a file outside the vault.
    HeaderBackedUp = 19, "header-backed-up";
    /// A token opened a session.
    SessionOpened = 20, "session-opened";
    /// A session was closed.
    SessionClosed = 21, "session-closed";
    /// A token was refused.
    TokenRefused = 22, "token-refused";
    /// A session ended because it was idle or open for too long.
    SessionExpired = 23, "session-expired";
    /// Somebody signed in; `detail` says at which level, and with what.
    SignedIn = 24, "signed-in";
    /// Somebody was not signed in; `detail` says why. Of a name that nobody has the entry says nothing.
    SignInRefused = 25, "sign-in-refused";
    /// A session went on with a newer proof of a sign-in.
    SteppedUp = 26, "stepped-up";
    /// The glass was broken for a patient; `detail` has the reason, the case to be reviewed, and the session that was opened.
    GlassBroken = 27, "glass-broken";
    /// A patient was registered.
    PatientRegistered = 30, "patient-registered";
    /// A patient was looked up by an identifier.
    PatientFound = 31, "patient-found";
    /// An identifier was added to a patient.
    IdentifierAdded = 32, "identifier-added";
    /// Until when a chart or a record has to be kept was set anew, or how long the log is (then of no patient); `detail` names the date and why.
    RetentionChanged = 33, "retention-changed";
    /// A legal hold was placed on a chart or a record; `detail` says why.
    HoldPlaced = 34, "hold-placed";
    /// A legal hold was lifted; `detail` says why.
    HoldLifted = 35, "hold-lifted";
    /// It was asked what keeps a chart from being erased.
    RetentionRead = 36, "retention-read";
    /// A patient's secret was destroyed: from here on the chart is gone, and what the log says of the patient is closed, this
    /// entry's own subject included. `detail` has reason and ground.
    ErasureBegun = 37, "erasure-begun";
    /// All that belongs to the erasure of `count` patients is done: no key of the vault opens an old copy of their secrets.
    PatientErased = 38, "patient-erased";
    /// A chart was labelled anew; `detail` says why.
    ChartLabelled = 39, "chart-labelled";
    /// A new record was put.
    RecordPut = 40, "record-put";
    /// A record was read.
    RecordRead = 41, "record-read";
    /// Records of one kind were listed.
    RecordsListed = 42, "records-listed";
    /// A chart was read across kinds.
    ChartRead = 43, "chart-read";
    /// The versions of a record were read.
    HistoryRead = 44, "history-read";
    /// It was asked how a chart is labelled.
    ChartLabelRead = 45, "chart-label-read";
    /// A new version of a record was written.
    RecordAmended = 46, "record-amended";
    /// A record was marked as entered in error.
    RecordVoided = 47, "record-voided";
    /// The kinds in a chart were listed.
    KindsListed = 48, "kinds-listed";
    /// Records were taken out in bulk.
    RecordsExported = 49, "records-exported";
    /// A principal was enrolled; `detail` names it.
    PrincipalEnrolled = 50, "principal-enrolled";
    /// What a principal signs in with was changed; `detail` names principal and change.
    PrincipalChanged = 51, "principal-changed";
    /// A principal was disabled; `detail` names it and says why.
    PrincipalDisabled = 52, "principal-disabled";
    /// A principal was enabled again; `detail` names it.
    PrincipalEnabled = 53, "principal-enabled";
    /// Principals were listed.
    PrincipalsListed = 54, "principals-listed";
    /// A role was defined or changed; `detail` names it and its revision.
    RoleDefined = 55, "role-defined";
    /// A role was retired; `detail` names it and says why.
    RoleRetired = 56, "role-retired";
    /// The rules for all tokens were set anew; `detail` has them.
    AccessRulesChanged = 57, "access-rules-changed";
    /// Kinds were put into a compartment; `detail` names it and them, `count` says how many.
    CompartmentCreated = 58, "compartment-created";
    /// Roles were listed.
    RolesListed = 59, "roles-listed";
    /// The audit log was verified.
    AuditVerified = 60, "audit-verified";
    /// The audit log was read.
    AuditQueried = 61, "audit-queried";
    /// A denial was explained; `detail` has its ticket.
    DenialExplained = 62, "denial-explained";
    /// It was asked what a token allows, or who could see a patient; `detail` says which.
    RightsRead = 63, "rights-read";
    /// What there is to look at of rights was reported; `count` says how much.
    RisksReported = 64, "risks-reported";
    /// The highest time seen was set back to the system clock.
    ClockReset = 70, "clock-reset";
    /// When entries of reads become durable was chosen anew; `detail` names the old choice and the new one.
    ReadAuditChanged = 71, "read-audit-changed";
    /// The journal was compacted: what had been overwritten or deleted before was dropped from it.
    JournalCompacted = 72, "journal-compacted";
    /// The vault was checked; `detail` names what was looked at and found, `count` how many findings there were.
    VaultChecked = 73, "vault-checked";
    /// The scrub found something that is not as it was written; `detail` names the first, `count` says how many.
    DamageFound = 74, "damage-found";
    /// A new key is about to stand in the header; `detail` names it. Stands before that header, as the other events of keys
    /// do; see [`AuditEvent::HeaderWritten`].
    KeyAdded = 80, "key-added";
    /// New records are sealed under another data key from here on; `detail` names it.
    KeyActivated = 81, "key-activated";
    /// Rows were sealed anew under a newer key or suite: `count` of them, of many patients, none of whom is named. What
    /// they say is as before.
    RowsResealed = 82, "rows-resealed";
    /// Keys that nothing needs any more are about to be dropped from the header; `detail` names them.
    KeyDropped = 83, "key-dropped";
    /// A new root key is about to take the place of the old one; `detail` names the key slots that go with it.
    RootKeyChanged = 84, "root-key-changed";
    /// Another suite seals from the next header on; `detail` names both.
    SuiteChanged = 85, "suite-changed";
    /// A grant was registered; `detail` names it.
    GrantRegistered = 86, "grant-registered";
    /// Grants or issuers were listed; `count` says how many.
    GrantsListed = 87, "grants-listed";
    /// Tokens, or an attester, were revoked; `detail` names what, and says why.
    Revoked = 88, "revoked";
    /// A review of grants was not closed in time; `detail` names it. Once for each.
    ReviewOverdue = 89, "review-overdue";
    /// A review of grants was opened; `detail` names it, `count` says how many grants it lists.
    ReviewOpened = 90, "review-opened";
    /// It was decided over a grant in a review; `detail` has the grant, the decision and the note.
    ReviewDecided = 91, "review-decided";
    /// A review of grants was closed; `detail` names it.
    ReviewClosed = 92, "review-closed";
    /// Reviews of grants, or what they list, were read.
    ReviewsListed = 93, "reviews-listed";
    /// The review of an emergency was given to somebody; `detail` names both.
    CaseAssigned = 94, "case-assigned";
    /// An emergency was reviewed; `detail` has the verdict and the note.
    CaseClosed = 95, "case-closed";
    /// An emergency was not reviewed in time; `detail` names it. Once for each.
    CaseOverdue = 96, "case-overdue";
    /// Emergencies and their reviews were listed.
    CasesListed = 97, "cases-listed";
    /// A signing epoch of the log began; `detail` says why, and names its public key.
    SigningEpochBegun = 98, "signing-epoch-begun";
    /// A checkpoint of the log was given to an anchor outside the vault; `detail` names both.
    CheckpointAnchored = 99, "checkpoint-anchored";
    /// An anchor did not take a checkpoint; `detail` names it. Once until it takes one again.
    AnchorFailed = 100, "anchor-failed";
    /// The key of one entry was given out, with the proof of its place; `detail` names the entry, and why.
    EntryDisclosed = 101, "entry-disclosed";
    /// Entries of the log were exported; `detail` says which, and in which form.
    LogExported = 102, "log-exported";
    /// Entries of the log were pruned; `detail` says which, who agreed, and the hash of what stood there.
    LogPruned = 103, "log-pruned";
    /// A hold was placed on the log: nothing is pruned until it is lifted.
    LogHoldPlaced = 104, "log-hold-placed";
    /// The hold on the log was lifted.
    LogHoldLifted = 105, "log-hold-lifted";
    /// All that the log says about one patient was read.
    AccessReportRead = 106, "access-report-read";
    /// The disclosures of one patient's chart were accounted for.
    DisclosuresAccounted = 107, "disclosures-accounted";
    /// A sink was attached to the log; `detail` names it, and its policy.
    SinkAttached = 108, "sink-attached";
    /// A sink was detached from the log, or gave up; `detail` names it, and says why.
    SinkDetached = 109, "sink-detached";
    /// Somebody began to follow the log.
    LogSubscribed = 110, "log-subscribed";
    /// A rule raised a flag; `detail` has the flag, the rule and the entries.
    FlagRaised = 111, "flag-raised";
    /// A flag was given to somebody; `detail` names both.
    FlagAssigned = 112, "flag-assigned";
    /// A flag was closed; `detail` has the verdict and the note.
    FlagClosed = 113, "flag-closed";
    /// A flag was not closed in time; `detail` names it. Once for each.
    FlagOverdue = 114, "flag-overdue";
    /// Flags were listed.
    FlagsListed = 115, "flags-listed";
    /// The rules were run over a part of the log; `detail` says which, `count` how many flags were raised.
    LogMonitored = 116, "log-monitored";
    /// Rules of monitoring, or what suppresses them, were changed; `detail` says how.
    MonitoringChanged = 117, "monitoring-changed";
    /// A part of the log was summed up; `detail` says which.
    LogSummarised = 118, "log-summarised";
    /// Proofs of the log's tree were given out; `detail` says of what.
    ProofGiven = 119, "proof-given";
    /// A backup was made; where to, and what it consists of.
    BackupMade = 120, "backup-made";
    /// A backup could not be made.
    BackupFailed = 121, "backup-failed";
    /// A backup was verified, or could not be.
    BackupVerified = 122, "backup-verified";
    /// The vault was restored from a backup; from which, and to which state. What was logged behind that state is not in this log.
    VaultRestored = 123, "vault-restored";
    /// A restore was rehearsed: how it went, and how long it took.
    DrillDone = 124, "drill-done";
    /// Old backups were removed.
    BackupPruned = 125, "backup-pruned";
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Allowed and done.
    Allowed,
    /// Refused by a rule.
    Denied,
    /// Allowed, but it could not be done.
    Failed,
}

impl Outcome {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Allowed => 1,
            Self::Denied => 2,
            Self::Failed => 3,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Allowed),
            2 => Some(Self::Denied),
            3 => Some(Self::Failed),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_and_unknown_ones_are_kept() {
        for event in AuditEvent::ALL {
            assert_eq!(AuditEvent::from_code(event.code()), *event);
        }
        assert!(AuditEvent::ALL.is_sorted_by(|a, b| a.code() < b.code()));
        for code in 0..=u16::MAX {
            assert_eq!(AuditEvent::from_code(code).code(), code);
        }
        for code in 0..=u8::MAX {
            assert_eq!(Outcome::from_code(code).map(Outcome::code), (1..=3).contains(&code).then_some(code));
        }
    }
}

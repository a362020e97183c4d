//! Every label and every derivation of the crate, on one page (docs/format.md, "Derivations").
//!
//! `L(x)` is the text `chartvault/v1/x` behind one byte with its length.

use super::hash::{self, HmacKey, Prk};
use crate::ids::{
    AttesterId, CompartmentId, FacilityId, FlagId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, RoleId,
};
use crate::secret::{Key, Secret};

/// What each key is for; see [`Key`].
pub(crate) mod purpose {
    /// Only feeds Expand: keyring sealing and header MAC.
    pub(crate) enum Root {}
    /// Seals records, together with a patient's secret.
    pub(crate) enum Data {}
    /// Seals patients' secrets.
    pub(crate) enum Wrap {}
    /// Seals audit entries.
    pub(crate) enum Audit {}
    /// Blinds patients and kinds in storage keys.
    pub(crate) enum Index {}
    /// Blinds identifiers.
    pub(crate) enum Lookup {}
    /// Authenticates the state digest.
    pub(crate) enum State {}
    /// Authenticates journal frames.
    pub(crate) enum Journal {}
    /// Blinds and seals policy rows.
    pub(crate) enum Policy {}
    /// Opens one key slot.
    pub(crate) enum Slot {}
    /// A patient's erasable secret.
    pub(crate) enum Patient {}
    /// Takes part in the keys of the records of a compartment.
    pub(crate) enum Compartment {}
}

pub(crate) type RootKey = Key<purpose::Root>;
pub(crate) type DataKey = Key<purpose::Data>;
pub(crate) type WrapKey = Key<purpose::Wrap>;
pub(crate) type AuditKey = Key<purpose::Audit>;
pub(crate) type IndexKey = Key<purpose::Index>;
pub(crate) type LookupKey = Key<purpose::Lookup>;
pub(crate) type StateKey = Key<purpose::State>;
pub(crate) type JournalKey = Key<purpose::Journal>;
pub(crate) type PolicyKey = Key<purpose::Policy>;
pub(crate) type SlotKey = Key<purpose::Slot>;
pub(crate) type PatientSecret = Key<purpose::Patient>;
pub(crate) type CompartmentKey = Key<purpose::Compartment>;

/// `L(x)`: a label behind its length byte.
#[derive(Clone, Copy)]
pub(crate) struct Label(&'static [u8]);

impl Label {
    pub(crate) const fn bytes(self) -> &'static [u8] {
        self.0
    }
}

macro_rules! label {
    ($name:literal) => {{
        const TEXT: &[u8] = concat!("chartvault/v1/", $name).as_bytes();
        const BYTES: [u8; TEXT.len() + 1] = behind_its_length(TEXT);
        Label(&BYTES)
    }};
}

/// Runs at compile time only, where a text that does not fit stops the build.
#[allow(clippy::indexing_slicing, clippy::as_conversions)]
const fn behind_its_length<const N: usize>(text: &[u8]) -> [u8; N] {
    assert!(text.len() + 1 == N && N <= 256);
    let mut bytes = [0; N];
    bytes[0] = text.len() as u8;
    let mut at = 0;
    while at < text.len() {
        bytes[at + 1] = text[at];
        at += 1;
    }
    bytes
}

/// The two labels of one thing that is sealed (see [`super::seal`]).
#[derive(Clone, Copy)]
pub(crate) struct SealLabel {
    pub(crate) seal: Label,
    pub(crate) hedge: Label,
}

pub(crate) const SEAL_INDEX: SealLabel = SealLabel { seal: label!("index"), hedge: label!("index-hedge") };
pub(crate) const SEAL_RECORD: SealLabel = SealLabel { seal: label!("record"), hedge: label!("record-hedge") };
pub(crate) const SEAL_PATIENT_SECRET: SealLabel =
    SealLabel { seal: label!("patient-secret"), hedge: label!("patient-secret-hedge") };
pub(crate) const SEAL_SLOT: SealLabel = SealLabel { seal: label!("slot"), hedge: label!("slot-hedge") };
pub(crate) const SEAL_KEYRING: SealLabel = SealLabel { seal: label!("keyring"), hedge: label!("keyring-hedge") };
pub(crate) const SEAL_LOOKUP: SealLabel = SealLabel { seal: label!("lookup"), hedge: label!("lookup-hedge") };
pub(crate) const SEAL_POLICY: SealLabel = SealLabel { seal: label!("policy"), hedge: label!("policy-hedge") };
pub(crate) const SEAL_LEDGER: SealLabel =
    SealLabel { seal: label!("erasure-ledger"), hedge: label!("erasure-ledger-hedge") };
pub(crate) const SEAL_SIGNING_KEY: SealLabel =
    SealLabel { seal: label!("signing-key"), hedge: label!("signing-key-hedge") };
pub(crate) const SEAL_SUBJECT: SealLabel = SealLabel { seal: label!("subject"), hedge: label!("subject-hedge") };

/// The key that authenticates a header: `Expand(RK, L("header-mac"), 32)`.
pub(crate) fn header_mac(root: &RootKey) -> HmacKey {
    expand_mac(root.expose(), label!("header-mac"))
}

/// The keyring's sealing key: `Expand(RK, L("keyring-master"), 32)`.
pub(crate) fn keyring_prk(root: &RootKey) -> Prk {
    expand_prk(root.expose(), label!("keyring-master"))
}

/// A slot's sealing key: its KEK as it is.
pub(crate) fn slot_prk(kek: &SlotKey) -> Prk {
    Prk::from_key(kek.expose())
}

/// The KEK of a secret that is a random key already, bound to the vault: `Extract(salt = H(L(name) ‖ vault id), ikm = key)`.
pub(crate) fn slot_key(kind: SlotSecret, vault: &[u8; 16], secret: &[u8; 32]) -> SlotKey {
    let label = match kind {
        SlotSecret::Recovery => label!("recovery-key"),
        SlotSecret::Raw => label!("raw-key"),
        SlotSecret::KeyFile => label!("key-file"),
        SlotSecret::Provider => label!("provider"),
        SlotSecret::SharedKey => label!("shared-key"),
    };
    let salt = hash::sha256(&[label.bytes(), vault]);
    let mut kek = hash::hmac(&salt, &[secret]);
    Key::new(Secret::take(&mut kek))
}

/// The KEK that two persons' keys give together: `Extract(salt = H(L("two-persons") ‖ vault id), ikm = first ‖ second)`.
pub(crate) fn joint_slot_key(vault: &[u8; 16], first: &SlotKey, second: &SlotKey) -> SlotKey {
    let salt = hash::sha256(&[label!("two-persons").bytes(), vault]);
    let mut kek = HmacKey::new(&salt).tag(&[first.expose(), second.expose()]);
    Key::new(Secret::take(&mut kek))
}

/// Two bytes on a recovery key's paper that show mistyping: `H(L("recovery-check") ‖ key)[..2]`.
pub(crate) fn recovery_check(key: &[u8; 32]) -> [u8; 2] {
    hash::sha256_short(&[label!("recovery-check").bytes(), key])
}

/// Two bytes on a share's paper that show mistyping: `H(L("share-check") ‖ content)[..2]`.
pub(crate) fn share_check(content: &[u8]) -> [u8; 2] {
    hash::sha256_short(&[label!("share-check").bytes(), content])
}

/// A slot secret that is a random key already and needs no password hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotSecret {
    Recovery,
    Raw,
    KeyFile,
    Provider,
    SharedKey,
}

/// `record PRK = Extract(salt = Expand(DK_e, L("record-master"), 32), ikm = PS)`.
pub(crate) fn record_prk(data: &DataKey, patient: &PatientSecret) -> Prk {
    let master = Prk::from_key(data.expose()).expand32(&[label!("record-master").bytes()]);
    Prk::extract(master.expose(), patient.expose())
}

/// The PRK of a record that is kept in a compartment, of which the compartment's key is one part and all that the others
/// give is the other: `Extract(salt = Expand(CK, L("compartment-master"), 32), ikm = Expand(record PRK, L("compartment"), 32))`.
pub(crate) fn compartment_prk(compartment: &CompartmentKey, record: &Prk) -> Prk {
    let master = Prk::from_key(compartment.expose()).expand32(&[label!("compartment-master").bytes()]);
    Prk::extract(master.expose(), record.expand32(&[label!("compartment").bytes()]).expose())
}

/// A compartment's id: `H(L("compartment-id") ‖ name)[..16]`.
pub(crate) fn compartment_id(name: &str) -> CompartmentId {
    CompartmentId::from_bytes(hash::sha256_short(&[label!("compartment-id").bytes(), name.as_bytes()]))
}

/// Where the sink of a name is kept: `H(L("sink-id") ‖ name)[..16]`.
pub(crate) fn sink_id(name: &str) -> [u8; 16] {
    hash::sha256_short(&[label!("sink-id").bytes(), name.as_bytes()])
}

/// Where something about the backups at a target is kept: `H(L("backup-note") ‖ sort u8 ‖ name)[..16]`.
pub(crate) fn backup_note_id(sort: u8, target: &str) -> [u8; 16] {
    hash::sha256_short(&[label!("backup-note").bytes(), &[sort], target.as_bytes()])
}

/// A patient's name in sinks that are not to know patients: `HMAC(Index, L("sink-pseudonym") ‖ id)[..16]`.
pub(crate) fn sink_pseudonym(index: &HmacKey, patient: PatientId) -> PatientId {
    PatientId::from_bytes(hash::truncate(&index.tag(&[label!("sink-pseudonym").bytes(), patient.as_bytes()])))
}

/// The key under which patients' secrets are sealed: WK as it is.
pub(crate) fn wrap_prk(wrap: &WrapKey) -> Prk {
    Prk::from_key(wrap.expose())
}

/// The key under which lookup pointers are sealed: K_lookup as it is.
pub(crate) fn lookup_prk(lookup: &LookupKey) -> Prk {
    Prk::from_key(lookup.expose())
}

/// The key under which policy rows, erasure ledgers and signing keys are sealed: K_policy as it is.
pub(crate) fn policy_prk(policy: &PolicyKey) -> Prk {
    Prk::from_key(policy.expose())
}

/// `patient_tag = HMAC(K_index, L("patient") ‖ PatientId)[..16]`.
pub(crate) fn patient_tag(index: &HmacKey, patient: PatientId) -> [u8; 16] {
    hash::truncate(&index.tag(&[label!("patient").bytes(), patient.as_bytes()]))
}

/// `kind_tag = HMAC(K_index, L("kind") ‖ patient_tag ‖ kind id)[..8]`: differs from patient to patient.
pub(crate) fn kind_tag(index: &HmacKey, patient_tag: &[u8; 16], kind: KindId) -> [u8; 8] {
    hash::truncate(&index.tag(&[label!("kind").bytes(), patient_tag, kind.as_bytes()]))
}

/// `HMAC(K_lookup, L("identifier") ‖ u16 len ‖ system ‖ u16 len ‖ normalised value)[..16]`.
pub(crate) fn identifier_tag(
    lookup: &HmacKey,
    system: &[u8],
    system_len: u16,
    value: &[u8],
    value_len: u16,
) -> [u8; 16] {
    hash::truncate(&lookup.tag(&[
        label!("identifier").bytes(),
        &system_len.to_be_bytes(),
        system,
        &value_len.to_be_bytes(),
        value,
    ]))
}

/// `HMAC(K_policy, L("policy-row") ‖ table ‖ id)[..16]`.
pub(crate) fn policy_tag(policy: &HmacKey, table: u8, id: &[u8]) -> [u8; 16] {
    hash::truncate(&policy.tag(&[label!("policy-row").bytes(), &[table], id]))
}

/// Authenticates the state file: `Expand(K_state, L("state-file"), 32)`.
pub(crate) fn state_file_mac(state: &StateKey) -> HmacKey {
    expand_mac(state.expose(), label!("state-file"))
}

/// Seed of the key that signs what backups consist of: `Expand(K_state, L("backup-signing"), 32)`.
#[cfg(feature = "backup")]
pub(crate) fn backup_signing_seed(state: &StateKey) -> Secret<32> {
    Prk::from_key(state.expose()).expand32(&[label!("backup-signing").bytes()])
}

/// Seals the index of the log: `Expand(K_state, L("log-index"), 32)`.
pub(crate) fn log_index_prk(state: &StateKey) -> Prk {
    expand_prk(state.expose(), label!("log-index"))
}

/// Makes the tags of the tiles of the log's tree: `Expand(K_state, L("log-tile"), 32)`.
pub(crate) fn log_tile_mac(state: &StateKey) -> HmacKey {
    expand_mac(state.expose(), label!("log-tile"))
}

/// `Expand(K_audit_e, L("audit-hedge"), 32)`.
pub(crate) fn audit_hedge(audit: &AuditKey) -> HmacKey {
    expand_mac(audit.expose(), label!("audit-hedge"))
}

/// The key of one entry: `EK = Expand(K_audit_e, L("audit-entry") ‖ H(bytes 0..94), 32)`.
pub(crate) fn audit_entry(audit: &Prk, head_hash: &[u8; 32]) -> Secret<32> {
    audit.expand32(&[label!("audit-entry").bytes(), head_hash])
}

/// `AEAD key ‖ commitment = Expand(EK, L("audit-open"), 64)`.
pub(crate) fn audit_open(entry: &Secret<32>) -> (Secret<32>, [u8; 32]) {
    Prk::from_key(entry.expose()).expand64(&[label!("audit-open").bytes()])
}

/// Seals subject blocks of one patient: `Extract(K_audit_e, PS)`.
pub(crate) fn subject_prk(audit: &AuditKey, patient: &PatientSecret) -> Prk {
    Prk::extract(audit.expose(), patient.expose())
}

/// The key of version tags: `Expand(Extract(K_audit_e, PS), L("version"), 32)`.
pub(crate) fn version_mac(subject: &Prk) -> HmacKey {
    HmacKey::new(subject.expand32(&[label!("version").bytes()]).expose())
}

/// A principal's id: `H(L("principal") ‖ name)[..16]`.
pub(crate) fn principal_id(name: &str) -> PrincipalId {
    PrincipalId::from_bytes(hash::sha256_short(&[label!("principal").bytes(), name.as_bytes()]))
}

/// What is kept of a recovery code: `H(L("recovery-code") ‖ principal id ‖ code)`. The code is random, so that nothing slower
/// is needed.
pub(crate) fn recovery_code_hash(principal: PrincipalId, code: &[u8; 15]) -> [u8; 32] {
    hash::sha256(&[label!("recovery-code").bytes(), principal.as_bytes(), code])
}

/// A kind's id: `H(L("cap/kind") ‖ name)[..16]`.
pub(crate) fn kind_id(name: &str) -> KindId {
    KindId::from_bytes(hash::sha256_short(&[label!("cap/kind").bytes(), name.as_bytes()]))
}

/// A role's id: `H(L("role") ‖ name)[..16]`.
pub(crate) fn role_id(name: &str) -> RoleId {
    RoleId::from_bytes(hash::sha256_short(&[label!("role").bytes(), name.as_bytes()]))
}

/// Where an older revision of a role is kept: `H(L("role-revision") ‖ role id ‖ revision)[..16]`.
pub(crate) fn role_revision_id(role: RoleId, revision: u32) -> [u8; 16] {
    hash::sha256_short(&[label!("role-revision").bytes(), role.as_bytes(), &revision.to_be_bytes()])
}

/// Where it is kept that something was revoked: `H(L("revocation") ‖ sort ‖ id)[..16]`.
pub(crate) fn revocation_place(sort: u8, id: &[u8; 16]) -> [u8; 16] {
    hash::sha256_short(&[label!("revocation").bytes(), &[sort], id])
}

/// Where it is kept what was decided over a grant in a review: `H(L("review-decision") ‖ round ‖ rid)[..16]`.
pub(crate) fn review_decision_id(round: u32, grant: RevocationId) -> [u8; 16] {
    hash::sha256_short(&[label!("review-decision").bytes(), &round.to_be_bytes(), grant.as_bytes()])
}

/// A flag's id: `H(L("flag") ‖ rule u8 ‖ principal id ‖ PatientId ‖ stretch i64)[..16]`; zeros where there is nobody.
pub(crate) fn flag_id(rule: u8, actor: &[u8; 16], patient: &[u8; 16], stretch: i64) -> FlagId {
    let parts: &[&[u8]] = &[label!("flag").bytes(), &[rule], actor, patient, &stretch.to_be_bytes()];
    FlagId::from_bytes(hash::sha256_short(parts))
}

/// What the state of monitoring keeps of a patient: `H(L("seen") ‖ PatientId)[..8]`.
pub(crate) fn seen_patient(patient: PatientId) -> [u8; 8] {
    hash::sha256_short(&[label!("seen").bytes(), patient.as_bytes()])
}

/// What stands for a patient on pages that a key joins: `HMAC(key, L("page-patient") ‖ PatientId)[..4]`.
pub(crate) fn page_patient(key: &[u8; 32], patient: PatientId) -> [u8; 4] {
    hash::truncate(&hash::hmac(key, &[label!("page-patient").bytes(), patient.as_bytes()]))
}

/// A facility's id: `H(L("facility") ‖ name)[..16]`.
pub(crate) fn facility_id(name: &str) -> FacilityId {
    FacilityId::from_bytes(hash::sha256_short(&[label!("facility").bytes(), name.as_bytes()]))
}

/// An issuer's id: `kid = H(L("cap/kid") ‖ public key)[..16]`.
pub(crate) fn issuer_id(public: &[u8; 32]) -> IssuerId {
    IssuerId::from_bytes(hash::sha256_short(&[label!("cap/kid").bytes(), public]))
}

/// An attester's id: `kid = H(L("cap/kid") ‖ public key)[..16]`.
pub(crate) fn attester_id(public: &[u8; 32]) -> AttesterId {
    AttesterId::from_bytes(*issuer_id(public).as_bytes())
}

/// Labels inside tokens (`D"x" = L("cap/x")`).
pub(crate) mod cap {
    use super::{Label, behind_its_length};

    pub(crate) const ROOT: Label = label!("cap/root");
    pub(crate) const BLOCK: Label = label!("cap/block");
    pub(crate) const LINK: Label = label!("cap/link");
    pub(crate) const RID: Label = label!("cap/rid");
    pub(crate) const SEAL: Label = label!("cap/seal");
    pub(crate) const POP: Label = label!("cap/pop");
    pub(crate) const ATTEST: Label = label!("cap/attest");
}

fn expand_mac(key: &[u8; 32], label: Label) -> HmacKey {
    HmacKey::new(Prk::from_key(key).expand32(&[label.bytes()]).expose())
}

fn expand_prk(key: &[u8; 32], label: Label) -> Prk {
    Prk::from_key(Prk::from_key(key).expand32(&[label.bytes()]).expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_behind_its_length() {
        assert_eq!(cap::ROOT.bytes(), b"\x16chartvault/v1/cap/root");
        assert_eq!(SEAL_RECORD.hedge.bytes(), b"\x1achartvault/v1/record-hedge");
    }

    #[test]
    fn identifier_parts_cannot_slide() {
        let key = HmacKey::new(&[1; 32]);
        assert_ne!(identifier_tag(&key, b"ab", 2, b"c", 1), identifier_tag(&key, b"a", 1, b"bc", 2));
    }
}

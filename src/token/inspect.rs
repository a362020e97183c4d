//! A token's rights as a list to read: block by block, and what all blocks together leave.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::attestation::Claim;
use super::body::Body;
use super::caveat::Caveat;
use super::holder::{ProofKind, UnverifiedToken, instant};
use super::statement::{Limit, Listed, Statement, words};
use crate::clock::Timestamp;
use crate::ids::{
    AttesterId, DeviceId, FacilityId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, RoleId, VaultId,
};
use crate::terms::{Action, Confidentiality, Purpose};

/// What a token claims to allow. Nothing of it is verified: only opening a session shows whether a token is genuine, and
/// only the log shows what was done with it. Holds no secret. `Display` gives lines for a reviewer.
///
/// ```
/// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
/// # use clinic::*;
/// # let Clinic { token, .. } = Clinic::new();
/// use chartvault::{Statement, UnverifiedToken};
/// let received = UnverifiedToken::parse(token.expose_text().as_bytes())?;
/// let rights = received.inspect();
/// assert!(rights.to_string().starts_with("UNVERIFIED"));
/// assert!(rights.effective().purposes.contains(&Purpose::Treatment));
/// let all = |said: &Statement| matches!(said, Statement::Patients(Listed::All));
/// assert!(rights.blocks().iter().flat_map(|block| &block.statements).any(all));
/// # Ok::<(), TokenError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    vault: VaultId,
    issuer: IssuerId,
    proof: ProofKind,
    blocks: Vec<BlockRights>,
}

/// What one block says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockRights {
    /// Its number, from 0, the grant.
    pub number: u8,
    /// When it was made, as its maker says.
    pub issued_at: Timestamp,
    /// The id by which it can be revoked.
    pub revocation_id: RevocationId,
    /// What it says, in the order of the caveats' tags.
    pub statements: Vec<Statement>,
}

/// What all blocks together leave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectiveRights {
    /// Who it is granted to.
    pub subject: PrincipalId,
    /// When it starts to count, if a block says so.
    pub not_before: Option<Timestamp>,
    /// The first instant at which it does not count any more.
    pub not_after: Timestamp,
    /// What may be done; empty means nothing.
    pub actions: Vec<Action>,
    /// With which kinds of record.
    pub kinds: Listed<KindId>,
    /// In whose charts.
    pub patients: Listed<PatientId>,
    /// For which purposes of use; empty means none.
    pub purposes: Vec<Purpose>,
    /// How confidential a record may be at most.
    pub sensitivity: Confidentiality,
    /// How many more blocks can follow; `None` where there are too many already.
    pub depth: Option<u8>,
    /// How long a session may lie idle; `None` is no limit.
    pub idle: Option<Duration>,
    /// How long a session may last; `None` is no limit.
    pub longest: Option<Duration>,
    /// How the subject must have signed in, if a block says so: the highest level of all blocks, as a code, and the shortest
    /// age.
    pub sign_in: Option<(u8, Duration)>,
    /// The devices that must be shown. More than one cannot be.
    pub devices: Vec<DeviceId>,
    /// What has to be attested, by whom, and how long ago at most.
    pub attestations: Vec<(AttesterId, Claim, Duration)>,
    /// The roles that bound it, each at a revision; empty is no such bound.
    pub roles: Vec<(RoleId, u32)>,
    /// How often it may be used, if a block says so.
    pub max_uses: Option<u32>,
    /// In which facilities sessions open.
    pub facilities: Listed<FacilityId>,
    /// What it allows once the glass is broken; `None` unless every block says so.
    pub emergency: Option<EmergencyRights>,
    /// What this version cannot check; unless this is empty, the token opens no session.
    pub unsupported: Vec<Caveat>,
}

/// What a token allows for one patient once the glass is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmergencyRights {
    /// What may be done then.
    pub actions: Vec<Action>,
    /// How confidential a record may be then.
    pub sensitivity: Confidentiality,
    /// For how long.
    pub longest: Duration,
}

impl EmergencyRights {
    /// What all blocks leave; none where one of them says nothing of it.
    fn of(blocks: &[BlockRights]) -> Option<Self> {
        let said = blocks.iter().map(|block| {
            block.statements.iter().find_map(|said| match said {
                Statement::Emergency { actions, sensitivity, longest } => {
                    Some(Self { actions: actions.clone(), sensitivity: *sensitivity, longest: *longest })
                }
                _ => None,
            })
        });
        said.reduce(|left, said| left.zip(said).map(|(left, said)| left.meet(&said))).flatten()
    }

    fn meet(mut self, other: &Self) -> Self {
        self.actions.retain(|action| other.actions.contains(action));
        let (sensitivity, longest) = (self.sensitivity.min(other.sensitivity), self.longest.min(other.longest));
        Self { sensitivity, longest, ..self }
    }
}

impl Rights {
    pub(super) fn of(token: &UnverifiedToken) -> Self {
        let wire = token.wire();
        let blocks = blocks_of(wire.blocks.iter().map(|block| &block.body), token.revocation_ids());
        Self { vault: wire.vault, issuer: wire.issuer, proof: token.proof(), blocks }
    }

    /// The vault it claims to be for.
    #[must_use]
    pub const fn vault(&self) -> VaultId {
        self.vault
    }

    /// The issuer it claims to come from.
    #[must_use]
    pub const fn issuer(&self) -> IssuerId {
        self.issuer
    }

    /// Who can use and narrow it.
    #[must_use]
    pub const fn proof(&self) -> ProofKind {
        self.proof
    }

    /// Its blocks, from the grant on.
    #[must_use]
    pub fn blocks(&self) -> &[BlockRights] {
        &self.blocks
    }

    /// Every statement of every block, behind the number of its block.
    pub fn statements(&self) -> impl Iterator<Item = (u8, &Statement)> {
        self.blocks.iter().flat_map(|block| block.statements.iter().map(move |said| (block.number, said)))
    }

    /// What all blocks together leave: an operation is allowed only if every block allows it.
    #[must_use]
    pub fn effective(&self) -> EffectiveRights {
        effective_of(&self.blocks)
    }
}

/// What each of a token's blocks says.
pub(super) fn blocks_of<'a>(
    bodies: impl Iterator<Item = &'a Body>,
    rids: impl IntoIterator<Item = RevocationId>,
) -> Vec<BlockRights> {
    let blocks = (0..).zip(bodies).zip(rids).map(|((number, body), revocation_id)| BlockRights {
        number,
        issued_at: instant(body.issued_at()),
        revocation_id,
        statements: body.items().iter().map(Statement::of).collect(),
    });
    blocks.collect()
}

/// What all of them together leave.
pub(super) fn effective_of(blocks: &[BlockRights]) -> EffectiveRights {
    let mut rights = EffectiveRights::everything();
    let last = blocks.last().map_or(0, |block| block.number);
    for block in blocks {
        block.statements.iter().for_each(|said| rights.narrow(said, last.saturating_sub(block.number)));
    }
    rights.emergency = EmergencyRights::of(blocks);
    rights
}

impl EffectiveRights {
    /// Where narrowing starts. Every grant says who, until when, what, and so on, so that little of it remains.
    fn everything() -> Self {
        Self {
            subject: PrincipalId::from_bytes([0; 16]),
            not_before: None,
            not_after: Timestamp::from_micros(i64::MAX),
            actions: Action::ALL.to_vec(),
            kinds: Listed::All,
            patients: Listed::All,
            purposes: Purpose::ALL.to_vec(),
            sensitivity: Confidentiality::VeryRestricted,
            depth: Some(super::MAX_BLOCKS - 1),
            idle: None,
            longest: None,
            sign_in: None,
            devices: Vec::new(),
            attestations: Vec::new(),
            roles: Vec::new(),
            max_uses: None,
            facilities: Listed::All,
            emergency: None,
            unsupported: Vec::new(),
        }
    }

    /// Takes away what a statement does not allow; `below` blocks follow the statement's.
    fn narrow(&mut self, said: &Statement, below: u8) {
        if !said.is_supported() && !self.unsupported.contains(&said.caveat()) {
            self.unsupported.push(said.caveat());
        }
        match said {
            Statement::Subject(subject) => self.subject = *subject,
            Statement::NotBefore(from) => self.not_before = self.not_before.max(Some(*from)),
            Statement::NotAfter(end) => self.not_after = self.not_after.min(*end),
            Statement::Actions(actions) => self.actions.retain(|action| actions.contains(action)),
            Statement::Kinds(kinds) => self.kinds.meet(kinds),
            Statement::Patients(patients) => {
                self.patients.meet(patients);
                // The facility's chart is in no list, whatever a forged one says.
                if let Listed::Only(listed) = &mut self.patients {
                    listed.retain(|patient| *patient != PatientId::FACILITY);
                }
            }
            Statement::Purposes(purposes) => self.purposes.retain(|purpose| purposes.contains(purpose)),
            Statement::Sensitivity(level) => self.sensitivity = self.sensitivity.min(*level),
            Statement::MaxDepth(depth) => {
                let left = depth.checked_sub(below);
                self.depth = self.depth.zip(left).map(|(a, b)| a.min(b));
            }
            Statement::Device(device) => {
                if !self.devices.contains(device) {
                    self.devices.push(*device);
                }
            }
            Statement::Session { idle, longest } => {
                self.idle = shorter(self.idle, *idle);
                self.longest = shorter(self.longest, *longest);
            }
            Statement::SignIn { level, oldest } => {
                let (highest, shortest) = self.sign_in.unwrap_or((*level, *oldest));
                self.sign_in = Some((highest.max(*level), shortest.min(*oldest)));
            }
            Statement::Attestations(wanted) => self.demand(wanted),
            Statement::Roles(roles) => self.roles.clone_from(roles),
            Statement::MaxUses(uses) => self.max_uses = Some(self.max_uses.map_or(*uses, |most| most.min(*uses))),
            Statement::Facility(listed) => self.facilities.meet(&Listed::Only(listed.clone())),
            // Counts by what all blocks say together.
            Statement::Emergency { .. } => {}
        }
    }

    /// The same claim by the same attester is demanded once, as new as the strictest block wants it.
    fn demand(&mut self, wanted: &[(AttesterId, Claim, Duration)]) {
        let mut by_claim: BTreeMap<(AttesterId, Claim), Duration> = BTreeMap::new();
        for (attester, claim, oldest) in self.attestations.iter().chain(wanted) {
            let strictest = by_claim.entry((*attester, *claim)).or_insert(*oldest);
            *strictest = (*strictest).min(*oldest);
        }
        self.attestations = by_claim.into_iter().map(|((who, what), oldest)| (who, what, oldest)).collect();
    }
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "UNVERIFIED token, as it claims: for {}, granted by {}, {}", self.vault, self.issuer, self.proof)?;
        for block in &self.blocks {
            let what = if block.number == 0 { "grant" } else { "narrowing" };
            writeln!(f, "block {} ({what}, {}, made {})", block.number, block.revocation_id, block.issued_at)?;
            block.statements.iter().try_for_each(|said| writeln!(f, "  {said}"))?;
        }
        writeln!(f, "all blocks together")?;
        write!(f, "{}", self.effective())
    }
}

impl fmt::Display for EffectiveRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  subject: {}", self.subject)?;
        match self.not_before {
            Some(from) => writeln!(f, "  validity: from {from} until {}", self.not_after)?,
            None => writeln!(f, "  validity: until {}", self.not_after)?,
        }
        writeln!(f, "  actions: {}", words(&self.actions))?;
        writeln!(f, "  kinds: {}", self.kinds)?;
        writeln!(f, "  patients: {}", self.patients)?;
        writeln!(f, "  purposes: {}", words(&self.purposes))?;
        writeln!(f, "  sensitivity: up to {}", self.sensitivity)?;
        writeln!(f, "  session: idle {}, in all {}", Limit(self.idle), Limit(self.longest))?;
        match self.depth {
            Some(depth) => writeln!(f, "  depth: {depth} more blocks at most")?,
            None => writeln!(f, "  depth: more blocks than allowed; opens no session")?,
        }
        if let Some((level, oldest)) = self.sign_in {
            writeln!(f, "  sign-in: level {level}, at most {} s ago", oldest.as_secs())?;
        }
        if !self.roles.is_empty() {
            let roles = self.roles.iter().map(|(id, revision)| format!("{id} revision {revision}"));
            writeln!(f, "  roles: {}", words(&roles.collect::<Vec<_>>()))?;
        }
        if let Some(uses) = self.max_uses {
            writeln!(f, "  uses: at most {uses}")?;
        }
        if let Listed::Only(_) = &self.facilities {
            writeln!(f, "  facilities: {}", self.facilities)?;
        }
        if let Some(EmergencyRights { actions, sensitivity, longest }) = &self.emergency {
            let seconds = longest.as_secs();
            writeln!(f, "  emergency: {} with records up to {sensitivity}, for {seconds} s", words(actions))?;
        }
        self.devices.iter().try_for_each(|device| writeln!(f, "  device: {device}"))?;
        for (attester, claim, oldest) in &self.attestations {
            writeln!(f, "  attestation: {claim} by {attester}, at most {} s ago", oldest.as_secs())?;
        }
        self.unsupported.iter().try_for_each(|caveat| writeln!(f, "  {caveat}: not supported yet; opens no session"))
    }
}

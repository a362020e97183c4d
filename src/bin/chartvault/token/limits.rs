//! What a grant and a narrowing can both say, as arguments.

use std::time::Duration;

use chartvault::{Action, Confidentiality, PatientId, Purpose};
use clap::Args;

use crate::words;

/// Limits; in a narrowing, what is not said stays as it is.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// What may be done: read, list, create, amend, void, export, erase, audit, review, grant, operate
    #[arg(long, value_name = "ACTION,…", value_delimiter = ',')]
    pub actions: Vec<Action>,
    /// In this patient's chart; may be repeated
    #[arg(long, value_name = "PATIENT")]
    pub patient: Vec<PatientId>,
    /// With this kind of record, such as Observation; may be repeated
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// For these purposes of use: treatment, payment, operations, research, … or HL7 codes
    #[arg(long, value_name = "PURPOSE,…", value_delimiter = ',', value_parser = words::purpose)]
    pub purpose: Vec<Purpose>,
    /// For so long: 30m, 12h, 7d
    #[arg(long, value_name = "LENGTH", value_parser = words::duration)]
    pub valid_for: Option<Duration>,
    /// Records of this confidentiality at most: U, L, M, N, R or V (a grant without it: N)
    #[arg(long, value_name = "LEVEL")]
    pub sensitivity: Option<Confidentiality>,
    /// How many times it can be used
    #[arg(long, value_name = "N")]
    pub max_uses: Option<u32>,
    /// How many times it can be narrowed further: 0 to 7
    #[arg(long, value_name = "N")]
    pub max_depth: Option<u8>,
    /// End a session that was not used for so long
    #[arg(long, value_name = "LENGTH", value_parser = words::duration)]
    pub idle: Option<Duration>,
    /// End a session after so long
    #[arg(long, value_name = "LENGTH", value_parser = words::duration)]
    pub longest: Option<Duration>,
}

/// Says to a grant, or a narrowing, what the arguments say: both have the same steps, and no trait in common.
macro_rules! say {
    ($limits:expr, $to:expr) => {{
        let (limits, mut to): (&crate::token::limits::Limits, _) = ($limits, $to);
        if !limits.actions.is_empty() {
            to = to.actions(limits.actions.iter().copied());
        }
        if !limits.patient.is_empty() {
            to = to.patients(limits.patient.iter().copied());
        }
        for kind in &limits.kind {
            to = to.kind_named(kind);
        }
        if !limits.purpose.is_empty() {
            to = to.purposes(limits.purpose.iter().copied());
        }
        if let Some(length) = limits.valid_for {
            to = to.valid_for(length);
        }
        if let Some(level) = limits.sensitivity {
            to = to.sensitivity(level);
        }
        if let Some(uses) = limits.max_uses {
            to = to.max_uses(uses);
        }
        if let Some(depth) = limits.max_depth {
            to = to.max_depth(depth);
        }
        if let Some(length) = limits.idle {
            to = to.idle(length);
        }
        if let Some(length) = limits.longest {
            to = to.longest(length);
        }
        to
    }};
}

pub(super) use say;

//! Floor 3: what the host decides about sensitive records and restricted charts, because only it knows what the patient
//! agreed to.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::ids::{KindId, PatientId, PrincipalId};
use crate::record::RecordRef;
use crate::terms::{Action, Categories, Confidentiality, Purpose};

/// Bytes of the code of an answer.
pub(crate) const MAX_CODE: usize = 128;

/// Evaluates consent. The host implements it and gives it to [`Options::consent`](crate::Options::consent).
///
/// It is asked when a record that has a [`Category`](crate::Category), or that stands in a restricted chart, is about to be
/// given out or to be changed, and when a restricted chart is about to be opened: at most once for each of them in one
/// operation (once more for an older version that has other labels). Its answer stands in the log entry of the access.
/// What it denies is refused, whatever token and roles allow; what it permits still needs the token's rights. Without one,
/// a record with a category is refused unless a role allows the category.
///
/// **It runs while the chart is held**, in the thread of whoever asks: let it answer at once, from memory if it can, and
/// **never call into the vault or a session**, which may wait for itself. One that panics has denied, with the code
/// `panicked`.
///
/// ```
/// use std::sync::Arc;
/// use chartvault::{Category, Consent, ConsentAnswer, ConsentQuestion, Options, Purpose};
///
/// struct OnlyForTreatment;
///
/// impl Consent for OnlyForTreatment {
///     fn ask(&self, question: &ConsentQuestion) -> ConsentAnswer {
///         match question.purpose {
///             Purpose::Treatment if !question.categories.contains(Category::PsychotherapyNote) => {
///                 ConsentAnswer::permit("treatment")
///             }
///             _ if question.break_glass => ConsentAnswer::permit("emergency"),
///             _ => ConsentAnswer::deny("no directive"),
///         }
///     }
/// }
///
/// let options = Options::new().consent(Arc::new(OnlyForTreatment));
/// ```
pub trait Consent: Send + Sync {
    /// Permits or denies.
    fn ask(&self, question: &ConsentQuestion) -> ConsentAnswer;
}

/// What a [`Consent`] is asked about. `Debug` leaves out whose chart it is and which categories.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsentQuestion {
    /// Whose chart it is.
    pub patient: PatientId,
    /// The kind of the record; `None` where a chart is about to be opened.
    pub kind: Option<KindId>,
    /// The record; `None` where a chart is about to be opened.
    pub record: Option<RecordRef>,
    /// How confidential it is, its chart's label counted in.
    pub confidentiality: Confidentiality,
    /// Its sensitive categories, those of its chart's label counted in.
    pub categories: Categories,
    /// Whether the patient is labelled as one of the staff.
    pub staff: bool,
    /// Whether the patient is labelled as somebody known to many.
    pub vip: bool,
    /// Who asks.
    pub principal: PrincipalId,
    /// For which purpose.
    pub purpose: Purpose,
    /// What is to be done.
    pub action: Action,
    /// Whether the glass was broken for it.
    pub break_glass: bool,
}

impl fmt::Debug for ConsentQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsentQuestion")
            .field("principal", &self.principal)
            .field("purpose", &self.purpose)
            .field("action", &self.action)
            .field("break_glass", &self.break_glass)
            .finish_non_exhaustive()
    }
}

/// The answer of a [`Consent`], with a code that says why: it stands in the log, so let it name a rule or a directive, and
/// no person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentAnswer {
    permitted: bool,
    code: String,
}

impl ConsentAnswer {
    /// Yes. Of the code the first 128 bytes count, cut before a character that they would split.
    #[must_use]
    pub fn permit(code: &str) -> Self {
        Self { permitted: true, code: cut(code).to_owned() }
    }

    /// No. Of the code the first 128 bytes count, cut before a character that they would split.
    #[must_use]
    pub fn deny(code: &str) -> Self {
        Self { permitted: false, code: cut(code).to_owned() }
    }

    /// Whether it is a yes.
    #[must_use]
    pub const fn is_permitted(&self) -> bool {
        self.permitted
    }

    /// Why.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }
}

fn cut(code: &str) -> &str {
    code.get(..code.floor_char_boundary(MAX_CODE)).unwrap_or_default()
}

/// The host's consent, if it gave one. A panic of it leaves nothing half done here.
#[derive(Default)]
pub(crate) struct ConsentHook(Option<AssertUnwindSafe<Arc<dyn Consent>>>);

impl Clone for ConsentHook {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(|consent| AssertUnwindSafe(Arc::clone(consent))))
    }
}

impl ConsentHook {
    pub(crate) fn new(consent: Arc<dyn Consent>) -> Self {
        Self(Some(AssertUnwindSafe(consent)))
    }

    /// The host's answer. `None` where nobody is there to be asked.
    pub(crate) fn ask(&self, question: &ConsentQuestion) -> Option<ConsentAnswer> {
        let consent = self.0.as_ref()?;
        let asked = catch_unwind(AssertUnwindSafe(|| consent.ask(question)));
        Some(asked.unwrap_or_else(|_| ConsentAnswer::deny("panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_code_is_cut_before_the_character_that_it_would_split() {
        assert_eq!(ConsentAnswer::permit(&"x".repeat(128)).code().len(), 128);
        assert_eq!(ConsentAnswer::permit(&"x".repeat(129)).code().len(), 128);
        let split = format!("{}é", "x".repeat(127));
        assert_eq!(ConsentAnswer::deny(&split).code().len(), 127);
    }

    #[test]
    fn debug_of_a_question_shows_neither_patient_nor_category() {
        let question = ConsentQuestion {
            patient: PatientId::from_bytes([0xA1; 16]),
            kind: None,
            record: None,
            confidentiality: Confidentiality::Restricted,
            categories: crate::terms::Category::Hiv.into(),
            staff: true,
            vip: false,
            principal: PrincipalId::from_bytes([2; 16]),
            purpose: Purpose::Treatment,
            action: Action::Read,
            break_glass: false,
        };
        let shown = format!("{question:?}");
        assert!(!shown.contains("a1a1") && !shown.contains("HIV") && !shown.contains("categories"), "{shown}");
    }
}

//! The page: well-formed, without anything that names a patient, and safe against what people typed.

use super::*;
use crate::ids::CaseId;
use crate::policy::EmergencyReason;

pub(super) fn emergency(text: &str) -> EmergencySummary {
    EmergencySummary {
        case: CaseId::from_bytes([0xCA; 16]),
        at: noon(),
        actor: actor(1),
        patient: Some(patient(1)),
        reason: EmergencyReason::PatientInDanger,
        text: text.to_owned(),
        verdict: None,
    }
}

fn busy() -> Summary {
    let mut entries = Vec::new();
    for n in 0..400_u64 {
        entries.push(read(n, later(n * 3_000), (n % 7) as u8, (n % 31) as u16));
    }
    let mut summary = summed(&entries);
    summary.emergencies.push(emergency("<script>alert('Mrs Novak & \"co\"')</script>\u{202e}\u{0}"));
    summary.denials = vec![("it is not valid any more".into(), 1_234)];
    summary.flags = vec![FlagSummary { rule: MonitorRule::Vip, open: 2, overdue: 1, closed: BTreeMap::new() }];
    summary
}

/// The names of all elements, when they are opened and closed as they should be.
fn elements(page: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "{}", &rest[..at]);
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(!tag.contains('<'), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
        } else {
            let name = tag.split_whitespace().next().unwrap().trim_end_matches('/').to_owned();
            all.push(name.clone());
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    assert_eq!(open, Vec::<String>::new());
    for (at, _) in page.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(known.iter().any(|entity| page[at..].starts_with(entity)), "{}", &page[at..at + 10]);
    }
    all
}

#[test]
fn a_page_is_well_formed_and_loads_and_runs_nothing() {
    for summary in [busy(), summed(&[]), Summary { hours: None, unreadable: 3, ..busy() }] {
        for page in
            [SummaryPage::new(), SummaryPage::new().with_texts().title("Week <2> & \"more\"").with_patient_ids()]
        {
            let page = summary.to_html(&page);
            let elements = elements(&page);
            for loads in ["script", "img", "link", "iframe", "object", "image", "use", "a", "form"] {
                assert!(!elements.iter().any(|name| name == loads), "{loads}");
            }
            assert!(!page.contains("url(") && !page.contains("@import") && !page.contains("javascript:"));
            assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("://"));
            assert!(!page.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'));
        }
    }
}

#[test]
fn every_chart_is_named_and_described_and_its_figures_stand_in_a_table() {
    let page = busy().to_html(&SummaryPage::new());
    let charts = page.matches("<svg ").count();
    assert_eq!(charts, 3);
    for part in ["role=\"img\"", "<desc id=", "-title\">"] {
        assert_eq!(page.matches(part).count(), charts, "{part}");
    }
    assert!(page.contains("<caption>By weekday and hour</caption>") && page.contains("<caption>By day</caption>"));
    assert!(
        page.contains("scope=\"row\"") && page.contains("lang=\"en\"") && page.contains("prefers-color-scheme: dark")
    );
}

#[test]
fn no_patient_and_nothing_that_was_typed_stands_there_unless_asked_for() {
    let summary = busy();
    let digits = |n: u16| patient(n).to_string().replace("patient-", "");
    let page = summary.to_html(&SummaryPage::new());
    assert!(page.contains("P-1") && page.contains("dr.osei"));
    assert!(!page.contains("patient-") && !page.contains("Novak") && !page.contains("eeeeee"));
    assert!((0..31).all(|n| !page.contains(&digits(n)) && !page.contains(&digits(n)[..8])));
    let texts = summary.to_html(&SummaryPage::new().with_texts());
    assert!(texts.contains("&lt;script&gt;alert(&#39;Mrs Novak &amp; &quot;co&quot;&#39;)&lt;/script&gt;"));
    assert!(summary.to_html(&SummaryPage::new().with_patient_ids()).contains(&patient(1).to_string()));
}

#[test]
fn pages_are_joined_by_their_key_alone() {
    let summary = busy();
    let names = |page: &SummaryPage| -> Vec<String> {
        let page = summary.to_html(page);
        page.match_indices(">P-").map(|(at, _)| page[at + 1..].split('<').next().unwrap().to_owned()).collect()
    };
    let joined = |key| names(&SummaryPage::new().joined_by([key; 32]));
    assert_eq!(joined(1), joined(1));
    assert!(joined(1).iter().all(|name| !joined(2).contains(name) && name.len() == 10));
    let numbers = names(&SummaryPage::new());
    assert_eq!(numbers[0], "P-1");
    assert!(numbers[1..].iter().any(|name| name == "P-1"), "the same one on the whole page");
}

#[test]
fn axes_hold_their_values_with_few_lines() {
    use crate::summary::page::{axis, grouped, part};
    for most in [0, 1, 2, 3, 4, 5, 7, 8, 9, 19, 20, 21, 99, 100, 101, 12_345, 1 << 40, u64::MAX] {
        let (end, step) = axis(most);
        assert!(step > 0 && (end >= most || most == u64::MAX) && end / step <= 64, "{most}");
        assert!(most > 1 << 41 || end / step <= 4, "{most}");
        assert_eq!(part(end, end, 600), 600);
    }
    assert_eq!((grouped(7), grouped(1_234_567)), ("7".into(), "1\u{2009}234\u{2009}567".into()));
}

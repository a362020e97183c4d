//! How a vault is kept: what is found, and that every form of the report says it.

use chartvault::test_util::TestVault;
use chartvault::{Action, Error, NewPrincipal, Password, Scope, SecurityReport, Weight};

fn report_of(clinic: &TestVault) -> SecurityReport {
    clinic.vault().security_report(&clinic.auditor().unwrap()).unwrap()
}

fn codes(report: &SecurityReport) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_new_vault_is_told_what_is_missing_the_gravest_first() {
    let clinic = TestVault::new().build().unwrap();
    let report = report_of(&clinic);
    let found = codes(&report);
    for code in ["no-anchor", "log-not-verified", "no-monitoring", "no-log-off", "no-review", "advisory-waived"] {
        assert!(found.contains(&code), "{code}: {found:?}");
    }
    assert!(report.findings.is_sorted_by_key(|finding| finding.weight));
    assert_eq!(report.waived.len(), report.of_weight(Weight::Note).count());
}

#[test]
fn what_was_mended_is_no_finding_any_more() {
    let clinic = TestVault::new().build().unwrap();
    clinic.auditor().unwrap().audit().unwrap().verify(Scope::All).run().unwrap();
    let report = report_of(&clinic);
    assert!(!codes(&report).contains(&"log-not-verified"));
    let verified = report.verified.as_ref().unwrap();
    assert!(verified.seq < report.entries && verified.count > Some(0));

    clinic.clock().advance(std::time::Duration::from_secs(40 * 86_400));
    let later = report_of(&clinic);
    let overdue = later.findings.iter().find(|finding| finding.code == "log-not-verified").unwrap();
    assert!(overdue.what.contains("40 days ago"), "{overdue:?}");
}

#[test]
fn a_session_of_another_vault_is_not_taken() {
    let (clinic, other) = (TestVault::new().build().unwrap(), TestVault::new().build().unwrap());
    let refused = clinic.vault().security_report(&other.auditor().unwrap());
    assert!(matches!(refused, Err(Error::OtherVault)), "{refused:?}");
}

#[test]
fn a_session_without_the_audit_action_is_refused() {
    let clinic = TestVault::new().build().unwrap();
    let refused = clinic.vault().security_report(&clinic.physician().unwrap());
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
}

#[test]
fn every_form_says_the_same_and_escapes_what_people_typed() {
    let clinic = TestVault::new().build().unwrap();
    let operator = clinic.session(&clinic.grant("operator").all_kinds().actions([Action::Operate])).unwrap();
    let password = Password::new("correct horse battery staple");
    operator.principals().enrol("<dr. \"osei\" & co>", NewPrincipal::new().password(password)).unwrap();
    let report = report_of(&clinic);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), report.findings.len());
    assert_eq!(json["entries"], report.entries);
    assert_eq!(json["slots"].as_array().unwrap().len(), report.keys.slots.len());
    let (page, text) = (report.to_html(), report.to_string());
    for finding in &report.findings {
        let escaped = finding
            .what
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('\'', "&#39;")
            .replace('"', "&quot;");
        assert!(page.contains(&escaped), "{}", finding.what);
        assert!(text.contains(&finding.what) && text.contains(finding.reason.section()));
    }
    assert!(codes(&report).contains(&"no-second-factor") && page.contains("&lt;dr. &quot;osei&quot; &amp; co&gt;"));
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
}

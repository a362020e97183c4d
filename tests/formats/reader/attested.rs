//! What the stranger finds of attesters, of the choice about reads, and of a session that was opened with all that can
//! be shown beside a token.

use std::time::Duration;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600); // the log is a minute ahead of the exhibit's clock

#[test]
fn a_stranger_reads_whom_the_vault_trusts_what_it_chose_and_what_was_shown_to_it() {
    if !can_run() {
        return;
    }
    let exhibit = Exhibit::new(Suite::Aes256Gcm);
    let (path, passphrase) = (exhibit.path(), Passphrase::new(PASSPHRASE));
    let before = json(&path, PASSPHRASE);
    assert!(before["policy"]["attesters"].as_object().unwrap().is_empty());
    assert!(before["policy"]["read_audit"].as_object().unwrap().is_empty(), "nobody chose otherwise");

    let vault = exhibit.open(&path).unwrap();
    let (attester, holder, device) =
        (AttesterKey::generate().unwrap(), HolderKey::generate().unwrap(), DeviceKey::generate().unwrap());
    vault.trust_attester(attester.public(), &passphrase).unwrap();
    let window = ReadAudit::Windowed { delay: Duration::from_millis(50), entries: 500 };
    vault.set_read_audit(window, &passphrase).unwrap();
    let log = bound_session(&exhibit, &vault, (&holder, &device, &attester));
    vault.close().unwrap();

    let read = json(&path, PASSPHRASE);
    let policy = &read["policy"];
    let one =
        |rows: &Value| rows.as_object().unwrap().iter().map(|(id, row)| (id.clone(), row.clone())).next().unwrap();
    let trusted = log.iter().find(|entry| entry.event == AuditEvent::AttesterTrusted).unwrap();
    let since = serde_json::json!([trusted.time.as_micros()]);
    let id = hex(attester.public().id().as_bytes());
    assert_eq!(one(&policy["attesters"]), (id.clone(), since));
    assert_eq!(one(&policy["issuers"]).0, hex(exhibit.issuer.public().id().as_bytes()));
    assert_eq!(one(&policy["read_audit"]).1, serde_json::json!([50_000_000, 500]));
    assert_eq!(policy["kinds"][hex(Kind::of::<Note>().id().as_bytes())], "note");

    let lines: Vec<&str> = read["log"]["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let events = [AuditEvent::AttesterTrusted, AuditEvent::ReadAuditChanged, AuditEvent::RecordsExported];
    for event in events {
        assert!(log.iter().any(|entry| entry.event == event), "{event}");
    }
    for (line, entry) in lines.iter().zip(&log) {
        let start = format!("{} {} {} {}", entry.seq, entry.time, entry.event, entry.outcome);
        assert!(line.starts_with(&start), "{line} is not {start}");
        assert_eq!(line.contains(" possession 01"), entry.possession, "{line}");
    }
    let opened: Vec<_> = lines.iter().filter(|line| line.contains(" possession 01")).collect();
    let shown = format!("attesters {id} \"{}\"", device.public().id());
    assert!(matches!(&opened[..], [line] if line.contains(" session-opened ") && line.contains(&shown)), "{opened:?}");
}

/// Reads in a session that was opened with a possession, a device and an attestation; yields the log.
fn bound_session(
    exhibit: &Exhibit,
    vault: &Vault,
    (holder, device, attester): (&HolderKey, &DeviceKey, &AttesterKey),
) -> Vec<AuditEntry> {
    let (now, purpose, transcript) = (exhibit.clock.now(), Purpose::Treatment, [7; 32]);
    let grant = base_grant().issued_at(now).all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.device(device.public().id()).attestation(attester.public().id(), Claim::ON_DUTY, HOUR);
    let token = grant.bound_to(holder.public()).sign(&exhibit.issuer, vault.id()).unwrap();
    let challenge = vault.challenge().unwrap();
    let on_duty = Attestation::of(&token, Claim::ON_DUTY).issued_at(now).valid_for(HOUR).sign(attester).unwrap();
    let opening = vault.session_with(&token, purpose).host_transcript(transcript).attestations([on_duty]);
    let opening = opening.possession(holder.prove(&token, &challenge, purpose, &transcript).unwrap());
    let s = opening.device(device.prove(&token, &challenge, purpose, &transcript)).open().unwrap();
    let all: Vec<_> = s.export().start().unwrap().map(Result::unwrap).collect();
    assert!(all.len() > 2);
    let patient = s.register_patient([]).unwrap();
    let id = s.put(patient, &note("read within the window")).unwrap();
    (0..3).for_each(|_| drop(s.get(id).unwrap()));
    whole_log(&s)
}

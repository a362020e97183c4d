//! What is left in memory once a vault is sealed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use super::*;
use crate::crypto::passphrase::{Passphrase, PassphraseCost};
use crate::format::keys::PatientKey;

const PAGE: usize = 4_096;
/// Set where a test has a process to itself.
const ALONE: &str = "CHARTVAULT_TEST_ALONE";

/// Bytes to look for. They are kept inverted, so that they are not found where they are looked up.
struct Sought(Vec<(&'static str, Vec<u8>)>);

impl Sought {
    fn add(&mut self, what: &'static str, bytes: &[u8]) {
        self.0.push((what, bytes.iter().map(|byte| !byte).collect()));
    }

    /// Which of them stand in the memory of this process.
    fn found(&self) -> Vec<&'static str> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = File::open("/proc/self/mem").unwrap();
        let firsts: BTreeSet<u8> = self.0.iter().map(|(_, inverted)| !inverted[0]).collect();
        let mut is_first = [false; 256];
        firsts.into_iter().for_each(|byte| is_first[usize::from(byte)] = true);
        let (mut found, mut bytes) = (BTreeSet::new(), vec![0; 1 << 20]);
        for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|may| may.starts_with("rw"))) {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
            // The buffer that it is read into is not looked at.
            let own = (bytes.as_ptr().addr() as u64, bytes.as_ptr().addr() as u64 + bytes.len() as u64);
            let mut at = start;
            while at < end {
                let len = (end - at).min(bytes.len() as u64) as usize;
                if memory.seek(SeekFrom::Start(at)).is_err() || memory.read_exact(&mut bytes[..len]).is_err() {
                    break; // gone meanwhile, or not to be read
                }
                // Most of the memory was never written to.
                let pages = (0..len).step_by(PAGE).map(|page| page..len.min(page + PAGE));
                let written = pages.filter(|page| bytes[page.clone()] != [0; PAGE][..page.len()]);
                for offset in written.flatten().filter(|offset| is_first[usize::from(bytes[*offset])]) {
                    let place = at + offset as u64;
                    if (own.0..own.1).contains(&place) {
                        continue;
                    }
                    let stands = |inverted: &[u8]| {
                        bytes[offset..len].len() >= inverted.len()
                            && bytes[offset..].iter().zip(inverted).all(|(byte, inverted)| *byte == !inverted)
                    };
                    found.extend(self.0.iter().filter(|(_, inverted)| stands(inverted)).map(|(what, _)| *what));
                }
                if len < bytes.len() {
                    break;
                }
                // What stands across two readings is found in the next one.
                at += (len - 64) as u64;
            }
        }
        bytes.fill(0);
        found.into_iter().collect()
    }
}

/// A vault that was worked with, and what of it must not be left in memory: its keys, the secret of a patient, a record.
fn worked_with(dir: &Path) -> (Vault, Sought) {
    let pass = Passphrase::new("correct horse battery staple");
    let new = Vault::create(dir).passphrase(&pass).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, _) = new.options(Options::new().cache_bytes(4 << 20)).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &pass).unwrap();
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(3_600));
    let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let mut text: Vec<u8> = (0..48).map(|_| crate::crypto::random::array::<1>().unwrap()[0]).collect();
    let kind = Kind::new("Binary").unwrap();
    let record = session.put_verbatim(patient, &kind, &text, crate::PutOptions::new()).unwrap();
    // What the host was given is the host's.
    session.get_verbatim(record).unwrap().value.fill(0);

    let (mut sought, unlocked) = (Sought(Vec::new()), vault.0.gate.enter().unwrap());
    unlocked.keyring().key_bytes().iter().for_each(|(name, bytes)| sought.add(name, &bytes[..]));
    sought.add("root key", open::open_header(&vault.0.home, (&pass).into()).unwrap().root.expose());
    let key = PatientKey { patient_tag: unlocked.keyring().patient_tag(patient), generation: 1 };
    let row = unlocked.committer.get(Tree::Patients, &key.to_bytes()).unwrap().unwrap();
    let (_, secret) = unlocked.keyring().open_patient_secret(vault.id(), key, &row).unwrap();
    sought.add("patient's secret", secret.expose());
    sought.add("opened record", &text);
    text.fill(0);
    (vault.clone(), sought)
}

/// Runs a test of this file in a process of its own, where no other test has anything in memory.
fn alone(name: &str, test: fn()) {
    if File::open("/proc/self/mem").is_err() {
        println!("skipped: this platform does not show a process its own memory");
    } else if std::env::var_os(ALONE).is_some() {
        test();
    } else {
        let mut this = std::process::Command::new(std::env::current_exe().unwrap());
        let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
        let run = this.env(ALONE, "1").args([name.as_str(), "--exact", "--nocapture"]).output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
    }
}

#[test]
fn no_key_and_no_record_is_left_in_memory_once_a_vault_is_sealed() {
    alone("no_key_and_no_record_is_left_in_memory_once_a_vault_is_sealed", || {
        let dir = tempfile::tempdir().unwrap();
        let (vault, sought) = worked_with(dir.path());
        // That it is found while it is there shows that the search finds it.
        let open = sought.found();
        assert!(open.contains(&"data key") && open.contains(&"opened record"), "{open:?}");
        vault.close().unwrap();
        assert_eq!(sought.found(), [""; 0]);
    });
}

#[test]
fn no_key_and_no_record_is_left_in_memory_once_a_vault_was_dropped() {
    alone("no_key_and_no_record_is_left_in_memory_once_a_vault_was_dropped", || {
        let dir = tempfile::tempdir().unwrap();
        let (vault, sought) = worked_with(dir.path());
        drop(vault);
        assert_eq!(sought.found(), [""; 0]);
    });
}

#[test]
fn no_secret_of_a_patient_and_no_record_is_left_in_memory_once_the_patient_was_erased() {
    alone("no_secret_of_a_patient_and_no_record_is_left_in_memory_once_the_patient_was_erased", || {
        let dir = tempfile::tempdir().unwrap();
        let (vault, sought) = worked_with(dir.path());
        let issuer = IssuerKey::generate().unwrap();
        let pass = Passphrase::new("correct horse battery staple");
        vault.trust_issuer(issuer.public(), &pass).unwrap();
        let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(3_600));
        let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        let patient = {
            let unlocked = vault.0.gate.enter().unwrap();
            let (_, first) = unlocked.next_patient(None).unwrap().unwrap();
            let second = unlocked.next_patient(Some(&unlocked.keyring().patient_tag(first))).unwrap().unwrap().1;
            if first == crate::ids::PatientId::FACILITY { second } else { first }
        };
        session.chart(patient).page().unwrap().entries.clear();
        let order = crate::ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
        vault.erase_patient(&session, patient, &order, &pass, &mut |_| ()).unwrap();
        let left = sought.found();
        assert!(!left.contains(&"patient's secret") && !left.contains(&"opened record"), "{left:?}");
        assert!(left.contains(&"policy key"), "it is open still");
    });
}

//! Verifying the log: the same answer from any number of threads, and the first fault by its number.

use chartvault::test_util::{Stored, TestVault};
use chartvault::{Error, FaultKind, Identifier, Scope, Session, VerifiedLog};

/// More than four stretches that one thread looks at.
const ENTRIES: usize = 4_300;

fn busy_vault() -> TestVault {
    let clinic = TestVault::new().build().unwrap();
    let session = clinic.physician().unwrap();
    let mrn = Identifier::new("urn:mrn:clinic-a", "12345").unwrap();
    session.register_patient([mrn.clone()]).unwrap();
    for _ in 0..ENTRIES {
        session.find_patient(&mrn).unwrap();
    }
    clinic
}

fn verify(session: &Session, scope: Scope, threads: usize) -> Result<VerifiedLog, Error> {
    session.audit()?.verify(scope).threads(threads).run()
}

#[test]
fn any_number_of_threads_finds_the_same() {
    let clinic = busy_vault();
    let auditor = clinic.auditor().unwrap();
    let alone = verify(&auditor, Scope::All, 1).unwrap();
    assert!(alone.entries > 4_000);
    // Each verification is an entry itself.
    for (more, threads) in (1..).zip([0, 2, 3, 5, 16, 1_000]) {
        let mut seen = Vec::new();
        let mut note = |progress: chartvault::Progress| seen.push(progress.done);
        let found = auditor.audit().unwrap().verify(Scope::All).threads(threads).on_progress(&mut note).run().unwrap();
        assert_eq!(found.entries, alone.entries + more, "{threads} threads");
        assert!(seen.is_sorted() && seen.last() == Some(&found.entries), "{threads} threads");
    }
    let chain = verify(&auditor, Scope::Chain, 3).unwrap();
    assert_eq!(verify(&auditor, Scope::Since(chain), 2).unwrap().entries, chain.entries + 1);
}

#[test]
fn the_first_fault_is_named_whichever_thread_met_it() {
    for (bad, last) in [(0, 1), (999, 1_000), (1_000, 2_999), (2_500, 4_100)] {
        let clinic = busy_vault();
        let auditor = clinic.auditor().unwrap();
        clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
            if at == bad || at == last {
                let end = bytes.len() - 1;
                bytes[end] ^= 1;
            }
            true
        });
        for threads in [1, 2, 3, 7] {
            let keyed = verify(&auditor, Scope::All, threads).unwrap_err();
            let (seq, what) = (bad as u64, FaultKind::CannotOpen);
            assert!(matches!(keyed, Error::Audit(fault) if (fault.seq, fault.what) == (seq, what)), "{keyed}");
            let chain = verify(&auditor, Scope::Chain, threads).unwrap_err();
            let (seq, what) = (bad as u64 + 1, FaultKind::LinkBroken);
            assert!(matches!(chain, Error::Audit(fault) if (fault.seq, fault.what) == (seq, what)), "{chain}");
        }
    }
}

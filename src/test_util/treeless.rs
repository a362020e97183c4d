//! A log that grows without its tree, for those who measure what the tree costs (`benches/audit`).

use crate::error::Error;
use crate::vault::Vault;

/// From now on the vault's log is a chain alone; the tree is built when the vault is opened again. Until then there are no
/// checkpoints and no proofs.
///
/// # Errors
/// [`Error::Sealed`] when the vault was closed.
pub fn without_log_tree(vault: &Vault) -> Result<(), Error> {
    vault.uproot()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::TestVault;
    use crate::{Error, LogProofError, Scope};

    #[test]
    fn the_chain_goes_on_and_no_proof_is_given() {
        let clinic = TestVault::new().build().unwrap();
        let session = clinic.physician().unwrap();
        without_log_tree(clinic.vault()).unwrap();
        session.register_patient([]).unwrap();
        let auditor = clinic.auditor().unwrap();
        auditor.audit().unwrap().verify(Scope::All).run().unwrap();
        let checkpoint = clinic.vault().log_checkpoint();
        assert!(matches!(checkpoint, Err(Error::LogProof(LogProofError::NoTree))), "{checkpoint:?}");
    }
}

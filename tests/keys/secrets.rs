//! Secrets that a host holds cannot be copied, compared or written by accident: their types lack what would do it.
//! Asked of the compiler when this file is built.

include!("../support/lacks.rs");

#[test]
fn secrets_are_not_copied_compared_or_serialized() {
    use chartvault::{AuthProof, IssuerKey, KeyFile, Passphrase, Password, RawKey};
    use chartvault::{RecoveryCodes, RecoveryKey, Share, SharedKey, TotpEnrolment};
    lacks!(AuthProof: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(Password: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(RecoveryCodes: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(TotpEnrolment: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(Passphrase: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(RawKey: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(Share: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(SharedKey: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(KeyFile: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(RecoveryKey: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(IssuerKey: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
}

//! Secrets cannot be copied, compared or written by accident: their types lack what would do it. Asked of the compiler
//! when the tests are built; the types that hosts hold are asked in `tests/keys/secrets.rs`.

include!("../../tests/support/lacks.rs");

#[test]
fn key_types_are_not_copied_compared_or_serialized() {
    use super::hash::{HmacKey, Prk};
    use super::kdf::{self, purpose};
    use super::seal::Sealer;
    use super::sign::SigningSeed;
    use crate::secret::{Key, Secret};

    lacks!(Secret<32>: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(Key<purpose::Data>: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(kdf::RootKey: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(HmacKey: Copy, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(Prk: Copy, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(SigningSeed: Copy, Clone, PartialEq, serde::Serialize, std::fmt::Display);
    lacks!(Sealer: Copy, PartialEq, serde::Serialize, std::fmt::Display);
}

//! The keyring's plaintext.

//! Tokens that not just anybody can narrow: sealed ones, which nobody can, and bound ones, which only their holder can.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::MAX_TOKEN_LEN;
use super::attenuate::{AttenuateError, Attenuation};
use super::error::TokenError;
use super::holder::{Token, UnverifiedToken};
use super::keys::{HolderKey, HolderPublicKey};
use super::wire::{self, Block, Proof, Wire};
use crate::clock::Timestamp;
use crate::ids::{IssuerId, RevocationId, VaultId};

macro_rules! closed_token {
    ($(#[$doc:meta])* $token:ident, $proof:pat, $other:ident) => {
        $(#[$doc])*
        pub struct $token(UnverifiedToken);

        impl $token {
            /// Reads its text form (`cvt1_…`, at most 5,467 characters).
            ///
            /// # Errors
            /// A [`TokenError`] that names the first thing that is not as it must be;
            #[doc = concat!("[`TokenError::", stringify!($other), "`] for a token of another kind.")]
            pub fn from_text(text: &str) -> Result<Self, TokenError> {
                UnverifiedToken::from_text(text)?.try_into()
            }

            /// Its text form.
            #[must_use]
            pub fn expose_text(&self) -> Zeroizing<String> {
                wire::to_text(&self.0.wire().to_bytes())
            }

            /// Its binary form.
            #[must_use]
            pub fn expose_bytes(&self) -> Zeroizing<Vec<u8>> {
                self.0.wire().to_bytes()
            }

            /// The id of this token: the revocation id of its last block.
            #[must_use]
            pub fn id(&self) -> RevocationId {
                self.0.id()
            }

            /// Each block's revocation id, the grant's first.
            #[must_use]
            pub fn revocation_ids(&self) -> Vec<RevocationId> {
                self.0.revocation_ids()
            }

            /// The vault it is for.
            #[must_use]
            pub const fn vault(&self) -> VaultId {
                self.0.vault()
            }

            /// The issuer of its grant.
            #[must_use]
            pub const fn issuer(&self) -> IssuerId {
                self.0.issuer()
            }

            /// The first instant at which it is not valid any more.
            #[must_use]
            pub fn not_after(&self) -> Timestamp {
                self.0.not_after()
            }
        }

        impl TryFrom<UnverifiedToken> for $token {
            type Error = TokenError;

            fn try_from(unverified: UnverifiedToken) -> Result<Self, TokenError> {
                match unverified.wire().proof {
                    $proof => Ok(Self(unverified)),
                    _ => Err(TokenError::$other),
                }
            }
        }

        impl AsRef<UnverifiedToken> for $token {
            fn as_ref(&self) -> &UnverifiedToken {
                &self.0
            }
        }

        impl FromStr for $token {
            type Err = TokenError;

            fn from_str(text: &str) -> Result<Self, TokenError> {
                Self::from_text(text)
            }
        }

        impl fmt::Debug for $token {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}, redacted)", stringify!($token), self.id())
            }
        }
    };
}

closed_token!(
    /// A token that nobody can narrow any more, made by [`Token::seal`]. It holds no secret key, but whoever has its text
    /// can use it: keep it like a password.
    SealedToken, Proof::Sealed(_), NotSealed
);

closed_token!(
    /// A token bound to a holder's key, made by [`Grant::bound_to`](crate::Grant::bound_to) or
    /// [`Attenuation::bound_to`](crate::Attenuation::bound_to). Its text carries no secret: it opens a session only
    /// together with a proof by [`HolderKey`], which never leaves its holder.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, token, dir, .. } = Clinic::new();
    /// use chartvault::{BoundToken, HolderKey};
    /// let holder = HolderKey::generate()?; // on the nurse's machine
    /// let bound = token.attenuate().bound_to(holder.public()).finish()?; // of no use to whoever reads it
    /// let received: BoundToken = bound.expose_text().parse()?;
    ///
    /// let transcript = [7; 32]; // such as the TLS exporter of the connection, known on both ends
    /// let challenge = vault.challenge()?; // the host sends it to the nurse's machine
    /// let proof = holder.prove(&received, &challenge, Purpose::Treatment, &transcript)?;
    /// let opening = vault.session_with(&received, Purpose::Treatment).host_transcript(transcript);
    /// let session = opening.possession(proof).open()?;
    /// assert!(vault.session(&received, Purpose::Treatment).is_err()); // the token alone is not enough
    /// # drop((session, dir));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    BoundToken, Proof::Bound, NotBound
);

impl Token {
    /// Makes a copy of the token that can no longer be narrowed: the secret of its last block is not in it. Whoever has
    /// the copy can still use it. This token stays as it is.
    ///
    /// # Errors
    /// [`AttenuateError::TokenTooLarge`] when the seal, 32 bytes longer than the secret, does not fit.
    pub fn seal(&self) -> Result<SealedToken, AttenuateError> {
        let Wire { vault, issuer, ref blocks, .. } = *self.wire();
        let mut wire = Wire { vault, issuer, blocks: blocks.clone(), proof: Proof::Bound };
        wire.proof = Proof::Sealed(self.holder().sign(&wire.seal_message()));
        match wire.len() {
            found if found > MAX_TOKEN_LEN => Err(AttenuateError::TokenTooLarge { found }),
            _ => Ok(SealedToken(UnverifiedToken::of(wire))),
        }
    }
}

impl BoundToken {
    /// `blocks` must end with one whose key is its holder's.
    pub(super) const fn new(vault: VaultId, issuer: IssuerId, blocks: Vec<Block>) -> Self {
        Self(UnverifiedToken::of(Wire { vault, issuer, blocks, proof: Proof::Bound }))
    }

    pub(super) fn wire(&self) -> &Wire {
        self.0.wire()
    }

    /// The key it is bound to.
    ///
    /// # Errors
    /// [`InvalidPublicKey`](crate::InvalidPublicKey) for a key that everyone can sign for; no vault accepts such a token.
    pub fn holder(&self) -> Result<HolderPublicKey, super::keys::InvalidPublicKey> {
        HolderPublicKey::from_bytes(self.wire().last_public().unwrap_or_default())
    }

    /// Starts a narrower token, to hand on. Only the holder can: the new block is signed with the key that the token is
    /// bound to. Without [`Attenuation::bound_to`] the narrower token is an open one.
    ///
    /// # Errors
    /// [`TokenError::OtherHolder`] when the token is bound to another key.
    pub fn attenuate<'a>(&'a self, holder: &'a HolderKey) -> Result<Attenuation<'a>, TokenError> {
        if self.wire().last_public() == Some(holder.seed().public()) {
            Ok(Attenuation::of(self.wire(), holder.seed()))
        } else {
            Err(TokenError::OtherHolder)
        }
    }
}

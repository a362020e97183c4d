//! A text, and signatures over it: `text ‖ 0x0A ‖ signatures`, each `— name base64(hash[4] ‖ signature) ‖ 0x0A`.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};

use super::key::{KeyError, SignatureKind, VerifierKey};
use super::{from_base64, is_name};

/// The longest note that is read, in bytes.
pub const MAX_NOTE: usize = 1 << 20;
/// The most signatures that a note may have.
pub const MAX_SIGNATURES: usize = 100;

/// A note as it was received, or made: nothing of it is verified.
///
/// ```
/// use chartvault_verify::note::{Note, VerifierKey};
/// # use ed25519_dalek::SigningKey;
/// let signer = SigningKey::from_bytes(&[7; 32]);
/// let mut note = Note::new("Hello\n")?;
/// let key = note.sign("example.org/hello", &signer)?;
/// let received: Note = note.to_string().parse()?;
/// assert_eq!(received.verify(std::slice::from_ref(&key))?.text(), "Hello\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A line behind the text of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoteSignature {
    /// Who says to have signed.
    pub name: String,
    /// Hash of the key that is said to have signed.
    pub hash: [u8; 4],
    /// What stands behind the hash; of Ed25519 64 bytes.
    pub signature: Vec<u8>,
}

/// Why a note is none, or says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Too long, or too many signatures.
    #[error("the note is longer than {MAX_NOTE} bytes, or has more than {MAX_SIGNATURES} signatures")]
    TooLarge,
    /// Not a text, an empty line and signatures.
    #[error("this is no signed note: {0}")]
    Malformed(&'static str),
    /// A signature of a known key does not fit.
    #[error("the signature of {0} is not over this text: it was changed, or signed by somebody else")]
    Forged(String),
    /// None of the keys signed.
    #[error("none of the keys given signed this note")]
    Unsigned,
    /// The signer's name or key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A note that some of the keys given signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<'n> {
    note: &'n Note,
    by: Vec<(VerifierKey, Option<u64>)>,
}

impl Verified<'_> {
    /// The text, with its last line break.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.note.text
    }

    /// The keys that signed, cosignatures with the time at which the witness saw it, in seconds since 1970.
    #[must_use]
    pub fn by(&self) -> &[(VerifierKey, Option<u64>)] {
        &self.by
    }
}

impl Note {
    /// A text that nobody signed yet.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] unless the text ends with a line break and has no control characters but line breaks;
    /// [`NoteError::TooLarge`].
    pub fn new(text: &str) -> Result<Self, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::Malformed("the text has to end with a line break"));
        }
        if text.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return Err(NoteError::Malformed("there is a control character in the text"));
        }
        if text.len() > MAX_NOTE {
            return Err(NoteError::TooLarge);
        }
        Ok(Self { text: text.to_owned(), signatures: Vec::new() })
    }

    /// The text, with its last line break.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, none of which is verified.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature under this name; gives the key that verifies it.
    ///
    /// # Errors
    /// [`NoteError::Key`] for a name that no key may have, [`NoteError::TooLarge`].
    pub fn sign(&mut self, name: &str, with: &SigningKey) -> Result<VerifierKey, NoteError> {
        let key = VerifierKey::new(name, SignatureKind::Ed25519, with.verifying_key().as_bytes())?;
        let signature = with.sign(self.text.as_bytes()).to_bytes().to_vec();
        self.add(NoteSignature { name: name.to_owned(), hash: key.hash(), signature })?;
        Ok(key)
    }

    /// Adds a witness's cosignature, as of a time in seconds since 1970; gives the key that verifies it.
    ///
    /// # Errors
    /// As [`Note::sign`].
    pub fn cosign(&mut self, name: &str, with: &SigningKey, time: u64) -> Result<VerifierKey, NoteError> {
        let key = VerifierKey::new(name, SignatureKind::Cosignature, with.verifying_key().as_bytes())?;
        let message = format!("cosignature/v1\ntime {time}\n{}", self.text);
        let signature = [&time.to_be_bytes()[..], &with.sign(message.as_bytes()).to_bytes()].concat();
        self.add(NoteSignature { name: name.to_owned(), hash: key.hash(), signature })?;
        Ok(key)
    }

    /// Adds a signature line that was made elsewhere, without verifying it: `— name base64`.
    ///
    /// # Errors
    /// [`NoteError::Malformed`], [`NoteError::TooLarge`].
    pub fn add_line(&mut self, line: &str) -> Result<(), NoteError> {
        let signature = NoteSignature::parse(line.strip_suffix('\n').unwrap_or(line))?;
        self.add(signature)
    }

    fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Verifies the signatures of the keys given; those of other keys are ignored, as the specification says.
    ///
    /// # Errors
    /// [`NoteError::Forged`] where a signature with the name and hash of a known key does not fit, [`NoteError::Unsigned`]
    /// where none of the keys signed.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Verified<'_>, NoteError> {
        let mut by: Vec<(VerifierKey, Option<u64>)> = Vec::new();
        for signature in &self.signatures {
            let known = |key: &&VerifierKey| key.name() == signature.name && key.hash() == signature.hash;
            let Some(key) = keys.iter().find(known) else { continue };
            let forged = || NoteError::Forged(signature.name.clone());
            let time = key.verify(&self.text, &signature.signature).ok_or_else(forged)?;
            if !by.iter().any(|(by, _)| by == key) {
                by.push((key.clone(), time));
            }
        }
        if by.is_empty() { Err(NoteError::Unsigned) } else { Ok(Verified { note: self, by }) }
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = || NoteError::Malformed("a signature line is not of the form: — name base64");
        let (name, signature) =
            line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or_else(malformed)?;
        let bytes = from_base64(signature).ok_or_else(malformed)?;
        let (hash, signature) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        if !is_name(name) || signature.is_empty() {
            return Err(malformed());
        }
        Ok(Self { name: name.to_owned(), hash: *hash, signature: signature.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    /// The line, without a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&signature_line(&self.name, &self.hash, &self.signature))
    }
}

/// The line of a signature that was made elsewhere, without a line break: `— name base64(hash ‖ signature)`.
#[must_use]
pub fn signature_line(name: &str, hash: &[u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}", BASE64.encode(&[&hash[..], signature].concat()))
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLarge);
        }
        // The last empty line parts text and signatures: a text may have empty lines itself.
        let at = note.rfind("\n\n").ok_or(NoteError::Malformed("there is no empty line before the signatures"))?;
        let (text, lines) = (note.get(..=at).unwrap_or_default(), note.get(at + 2..).unwrap_or_default());
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("it does not end with a line break"))?;
        let mut parsed = Self::new(text)?;
        lines.split('\n').try_for_each(|line| parsed.add(NoteSignature::parse(line)?))?;
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of https://c2sp.org/signed-note.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const EXAMPLE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn peter() -> VerifierKey {
        VKEY.parse().unwrap()
    }

    #[test]
    fn the_example_of_the_specification_holds() {
        let note: Note = EXAMPLE.parse().unwrap();
        assert_eq!(note.to_string(), EXAMPLE);
        let verified = note.verify(&[peter()]).unwrap();
        assert!(verified.text().ends_with("your problem is.\n") && verified.by() == [(peter(), None)]);
    }

    #[test]
    fn a_note_with_any_bit_flipped_is_not_that_note() {
        let all: Note = EXAMPLE.parse().unwrap();
        for bit in 0..EXAMPLE.len() * 8 {
            let mut bytes = EXAMPLE.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(flipped) = String::from_utf8(bytes) else { continue };
            let verified = flipped.parse::<Note>().and_then(|note| note.verify(&[peter()]).map(|_| note.clone()));
            assert!(verified.as_ref().is_ok_and(|note| *note == all) || verified.is_err(), "bit {bit}: {flipped}");
        }
    }

    #[test]
    fn signatures_of_strangers_are_ignored_and_forged_ones_of_known_keys_are_not() {
        let signer = SigningKey::from_bytes(&[9; 32]);
        let mut note: Note = EXAMPLE.parse().unwrap();
        let ours = note.sign("clinic.example", &signer).unwrap();
        assert_eq!(note.verify(&[peter()]).unwrap().by().len(), 1);
        assert_eq!(note.verify(&[peter(), ours.clone()]).unwrap().by().len(), 2);
        let stranger = VerifierKey::new("stranger", SignatureKind::Ed25519, &ours.bytes()).unwrap();
        assert_eq!(note.verify(&[stranger]), Err(NoteError::Unsigned));
        let forged: Note = note.to_string().replace("the answer", "an answer").parse().unwrap();
        assert_eq!(forged.verify(&[ours]), Err(NoteError::Forged("clinic.example".into())));
    }

    #[test]
    fn a_cosignature_is_over_the_time_as_well() {
        let witness = SigningKey::from_bytes(&[3; 32]);
        let mut note = Note::new("log\n1\nAAAA\n").unwrap();
        let key = note.cosign("witness.example", &witness, 1_700_000_000).unwrap();
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        let read: Note = note.to_string().parse().unwrap();
        assert_eq!(read.verify(std::slice::from_ref(&key)).unwrap().by(), [(key.clone(), Some(1_700_000_000))]);
        note.signatures[0].signature[7] ^= 1;
        assert_eq!(note.verify(std::slice::from_ref(&key)), Err(NoteError::Forged("witness.example".into())));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        for bad in [
            "",
            "\n",
            "text\n",
            "text\n\n",
            "text\n\nno dash x\n",
            "text\n\n\u{2014} name \n",
            "text\n\n\u{2014} name AAAA\n",
            "text\n\n\u{2014} na+me AAAAAAAA\n",
            "te\txt\n\n\u{2014} name AAAAAAAA\n",
            "text\n\n\u{2014} name AAAAAAAA",
            "text\n\n\u{2014} name AAAAAAAA\n\n",
            "text\n\n\u{2014} name AAAAAA==AA==\n",
            "text\n\n\u{2014} na\0me AAAAAAAA\n",
            "text\n\n\u{2014} na\u{7f}me AAAAAAAA\n",
        ] {
            assert!(matches!(bad.parse::<Note>(), Err(NoteError::Malformed(_))), "{bad:?}");
        }
        assert_eq!("x".repeat(MAX_NOTE + 1).parse::<Note>(), Err(NoteError::TooLarge));
        let many = format!("text\n\n{}", "\u{2014} name AAAAAAAA\n".repeat(MAX_SIGNATURES + 1));
        assert_eq!(many.parse::<Note>(), Err(NoteError::TooLarge));
        for bad in [
            "",
            "a+b",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "a+0+AA==",
            "a+0+AA==AA==",
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
        assert_eq!(VerifierKey::new("a b", SignatureKind::Ed25519, &peter().bytes()), Err(KeyError::Name));
        let mut small_order = [0; 32];
        small_order[0] = 1;
        assert_eq!(VerifierKey::new("a", SignatureKind::Ed25519, &small_order), Err(KeyError::Weak));
    }
}

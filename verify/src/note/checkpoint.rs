//! Checkpoints: origin, size and root of a tree as the text of a note (C2SP tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use super::from_base64;
use crate::merkle::Hash;

/// A tree head as it stands in a note. Nothing of it is verified before the note is.
///
/// ```
/// use chartvault_verify::merkle::empty_root;
/// use chartvault_verify::note::Checkpoint;
/// let checkpoint = Checkpoint::new("chartvault.local/00", 0, empty_root());
/// let text = "chartvault.local/00\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
/// assert_eq!((checkpoint.to_string().as_str(), text.parse()), (text, Ok(checkpoint)));
/// # Ok::<(), chartvault_verify::note::CheckpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Which log it is of.
    pub origin: String,
    /// How many leaves the tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// Lines behind these three, none of them empty.
    pub extensions: Vec<String>,
}

/// Why a text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no checkpoint: {0}")]
pub struct CheckpointError(pub(crate) &'static str);

impl Checkpoint {
    /// Without extension lines.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self { origin: origin.to_owned(), size, root, extensions: Vec::new() }
    }

    /// With one more line.
    #[must_use]
    pub fn with(mut self, line: impl Into<String>) -> Self {
        self.extensions.push(line.into());
        self
    }

    /// What stands behind `word` and a blank in the first extension line that begins so.
    #[must_use]
    pub fn extension(&self, word: &str) -> Option<&str> {
        self.extensions.iter().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
    }
}

impl fmt::Display for Checkpoint {
    /// The text to be signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let text = text.strip_suffix('\n').ok_or(CheckpointError("it does not end with a line break"))?;
        let mut lines = text.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError("a line is missing"));
        let (origin, size, root) = (next()?.to_owned(), next()?, next()?);
        let canonical = size == "0" || !size.starts_with(['0', '+']);
        let size = size.parse().ok().filter(|_| canonical).ok_or(CheckpointError("its size is no number"))?;
        let root = from_base64(root).and_then(|root| root.try_into().ok());
        let root = root.ok_or(CheckpointError("its root is not 32 bytes in Base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError("there is an empty line in it"));
        }
        Ok(Self { origin, size, root, extensions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn checkpoints_come_back(size: u64, root: [u8; 32], lines in proptest::collection::vec("[a-z0-9 ]{1,20}", 0..4)) {
            let checkpoint = lines.into_iter().fold(Checkpoint::new("a.example/log", size, root), Checkpoint::with);
            prop_assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "[a-c\n0-9+/=]{0,80}") {
            if let Ok(checkpoint) = text.parse::<Checkpoint>() {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let root = BASE64.encode(&[1; 32]);
        for bad in [
            String::new(),
            "a\n1\n".into(),
            format!("a\n1\n{root}"),
            format!("\n1\n{root}\n"),
            format!("a\n01\n{root}\n"),
            format!("a\n+1\n{root}\n"),
            format!("a\n-1\n{root}\n"),
            format!("a\n18446744073709551616\n{root}\n"),
            format!("a\n1\n{root}\n\n"),
            "a\n1\nAAAA\n".into(),
            format!("a\n1\n{root}\nx\n\ny\n"),
        ] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_extension_is_found_by_its_word() {
        let checkpoint = Checkpoint::new("a", 1, [0; 32]).with("next-key 2 AAAA").with("next-key 3 BBBB");
        assert_eq!((checkpoint.extension("next-key"), checkpoint.extension("next")), (Some("2 AAAA"), None));
    }
}

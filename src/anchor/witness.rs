//! A witness by the C2SP tlog-witness protocol (<https://c2sp.org/tlog-witness>): somebody elsewhere who signs a checkpoint only if
//! it goes on from the last one that they signed.

use std::path::Path;
use std::time::Duration;

use chartvault_verify::note::{Note, SignatureKind, VerifierKey};
use data_encoding::BASE64;
use ureq::http::{StatusCode, Uri};
use ureq::{Agent, Body};

use super::{Anchor, AnchorError, FileAnchor, ProofFrom};
use crate::audit::Checkpoint;
use crate::ids::VaultId;

/// Bytes of the longest answer that is read: signature lines, or a number.
const LONGEST_ANSWER: u64 = 64 << 10;
/// Characters of an answer that are told.
const MOST_TOLD: usize = 200;
/// How long a witness has to answer if nothing else was said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Has each checkpoint cosigned by a witness, who keeps the size and root of the last one and takes a later one only with the
/// proof that it goes on from there. A log that was brought back, or forked, gets no cosignature any more, and is found out
/// when the vault is opened: the witness has seen more entries than it has.
///
/// A witness signs for the keys that it was told of, and a vault's key changes each time that the vault is closed
/// ([`Vault::log_keys`](crate::Vault::log_keys)): whoever runs the witness has to be given each new one and to keep those before;
/// final checkpoints, which announce them, do for that. One that was not told refuses, and [`Vault::anchors`](crate::Vault::anchors) says so.
///
/// The protocol has no way to ask a witness for what it signed. So the last cosigned checkpoint is kept in a directory as
/// [`FileAnchor`] keeps one, best on another disk; a copy of it anywhere proves to anybody who has the witness's key that the
/// log once had so many entries.
#[derive(Clone, Debug)]
pub struct WitnessAnchor {
    url: String,
    key: VerifierKey,
    kept: FileAnchor,
    agent: Agent,
    is_near: bool,
}

/// Why a witness cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWitness {
    /// The address is none of http or https.
    #[error("{url} is no address of a witness; give its submission prefix, such as https://witness.example.org/add")]
    Address {
        /// The address.
        url: String,
    },
    /// The address is not encrypted, and is not on this machine.
    #[error("{url} is not encrypted: what is sent there can be changed on its way; use https")]
    Plain {
        /// The address.
        url: String,
    },
    /// The key is no key of a witness.
    #[error("this is no key of a witness ({why}); give its name+hash+key, of type 0x04")]
    Key {
        /// Why.
        why: String,
    },
}

impl WitnessAnchor {
    /// The witness at this submission prefix, who signs with the key `vkey` (`name+hash+key`, of type 4); the last checkpoint that
    /// it cosigned is kept in `dir`, which has to be there. It has ten seconds for an answer.
    ///
    /// # Errors
    /// [`InvalidWitness`].
    ///
    /// ```
    /// use chartvault::{InvalidWitness, WitnessAnchor};
    /// let vkey = "witness.example.org+30fb4b64+BJOG6UlkSXiRx2NLbuFHnDUOmi4jAgrTKK83TJYtNO7X";
    /// let plain = WitnessAnchor::new("http://witness.example.org", vkey, "/mnt/other-disk");
    /// assert!(matches!(plain, Err(InvalidWitness::Plain { .. } | InvalidWitness::Key { .. })));
    /// ```
    pub fn new(url: &str, vkey: &str, dir: impl AsRef<Path>) -> Result<Self, InvalidWitness> {
        let address = || InvalidWitness::Address { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| address())?;
        let host = uri.host().ok_or_else(address)?;
        let is_near = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_near => {}
            Some("http") => return Err(InvalidWitness::Plain { url: url.to_owned() }),
            _ => return Err(address()),
        }
        let key: VerifierKey = vkey
            .parse()
            .map_err(|error: chartvault_verify::note::KeyError| InvalidWitness::Key { why: error.to_string() })?;
        if key.kind() != SignatureKind::Cosignature {
            return Err(InvalidWitness::Key { why: "it signs texts, not checkpoints that it has seen".to_owned() });
        }
        let (url, kept) = (url.trim_end_matches('/').to_owned(), FileAnchor::new(key.name(), dir));
        Ok(Self { url, key, kept, agent: agent(TIMEOUT, is_near), is_near })
    }

    /// So much time for each answer, the connection included.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.agent = agent(timeout, self.is_near);
        self
    }

    /// Submits a note that goes on from a log of `old` entries.
    fn submit(&self, old: u64, proof: &[[u8; 32]], note: &str) -> Result<Answer, AnchorError> {
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&BASE64.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(note);
        let request = self.agent.post(format!("{}/add-checkpoint", self.url)).content_type("text/plain; charset=utf-8");
        let mut response =
            request.send(body).map_err(|error| failed(format!("the witness cannot be asked: {error}")))?;
        let text = read(response.body_mut())?;
        match response.status() {
            StatusCode::OK => Ok(Answer::Signed(text)),
            StatusCode::CONFLICT => match text.trim_end().parse() {
                Ok(size) => Ok(Answer::Has(size)),
                Err(_) => Err(failed(format!(
                    "the witness has another root for a log of {old} entries, or says nothing of what it has: verify the log"
                ))),
            },
            status => Err(failed(format!("the witness refuses the checkpoint ({status}): {}", told(&text)))),
        }
    }

    /// The note with the witness's signature, which is over its very text.
    fn cosigned(&self, checkpoint: &Checkpoint, lines: &str) -> Result<String, AnchorError> {
        let bad = |why: String| failed(format!("the witness did not sign this checkpoint: {why}"));
        let mut note: Note =
            checkpoint.note.parse().map_err(|error: chartvault_verify::note::NoteError| bad(error.to_string()))?;
        // Lines of others are not for here, and one in the log's own name would spoil the note.
        let own = |line: &&str| {
            let mut alone = note.clone();
            let key = std::slice::from_ref(&self.key);
            // A cosignature says when; 0 is no time (tlog-witness).
            alone.add_line(line).is_ok()
                && alone.verify(key).is_ok_and(|verified| verified.by().iter().all(|(_, time)| *time != Some(0)))
        };
        let line = lines.lines().find(own).ok_or_else(|| bad("no line of its answer is its signature".to_owned()))?;
        note.add_line(line).map_err(|error| bad(error.to_string()))?;
        Ok(note.to_string())
    }
}

/// What a witness answered.
enum Answer {
    /// Signature lines.
    Signed(String),
    /// It has seen so many entries, not as many as it was told.
    Has(u64),
}

impl Anchor for WitnessAnchor {
    fn name(&self) -> &str {
        self.key.name()
    }

    fn last(&self, vault: VaultId) -> Result<Option<String>, AnchorError> {
        self.kept.last(vault)
    }

    fn seen(&self, vault: VaultId) -> Result<Option<u64>, AnchorError> {
        let Some(note) = self.kept.last(vault)? else { return Ok(None) };
        // A log that goes on from none is what it takes only if it has seen nothing.
        match self.submit(0, &[], &note)? {
            Answer::Has(size) => Ok(Some(size)),
            Answer::Signed(lines) => {
                let kept: Checkpoint = note.parse().map_err(|_| failed("what is kept is no checkpoint".to_owned()))?;
                self.cosigned(&kept, &lines).map(|_| None)
            }
        }
    }

    fn publish(&self, vault: VaultId, checkpoint: &Checkpoint, proof: ProofFrom<'_>) -> Result<(), AnchorError> {
        let kept = self.kept.last(vault)?.and_then(|note| note.parse::<Checkpoint>().ok());
        let mut old = kept.map_or(0, |kept| kept.size).min(checkpoint.size);
        for _ in 0..2 {
            let hashes = if old == 0 || old == checkpoint.size { Vec::new() } else { proof(old)? };
            match self.submit(old, &hashes, &checkpoint.note)? {
                Answer::Signed(lines) => {
                    let note = self.cosigned(checkpoint, &lines)?;
                    let (size, root) = (checkpoint.size, checkpoint.root);
                    return self.kept.publish(vault, &Checkpoint { size, root, note }, proof);
                }
                Answer::Has(held) if held > checkpoint.size => {
                    return Err(AnchorError::Older { held, given: checkpoint.size });
                }
                Answer::Has(held) => old = held,
            }
        }
        Err(failed("the witness names another size each time; somebody else submits for this log".to_owned()))
    }
}

fn agent(timeout: Duration, is_near: bool) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        // Minutes lie between two of them: a connection that was kept would be closed by then.
        .max_idle_connections(0)
        // Whoever can send elsewhere could answer.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("chartvault/", env!("CARGO_PKG_VERSION")));
    let config = if is_near { config.proxy(None) } else { config.https_only(true) };
    config.build().into()
}

fn read(body: &mut Body) -> Result<String, AnchorError> {
    let read = body.with_config().limit(LONGEST_ANSWER).lossy_utf8(true).read_to_string();
    read.map_err(|error| failed(format!("the witness's answer cannot be read: {error}")))
}

fn failed(why: String) -> AnchorError {
    AnchorError::Failed { why }
}

fn told(text: &str) -> String {
    text.chars().take(MOST_TOLD).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

//! The secrets of a tortured vault, which follow from its seed so that everybody who judges it can open it.

use std::sync::Arc;
use std::time::Duration;

use chartvault::{
    Action, Clock, Confidentiality, Error, Grant, IssuerKey, Options, Purpose, RawKey, Session, SystemClock, Token,
    Vault,
};

use crate::rng::Rng;

pub fn raw_key(seed: u64) -> RawKey {
    RawKey::from_bytes(Rng::of(seed, &[1]).bytes())
}

/// The key with a number: 0 opens a new vault, others take its place or stand beside it.
pub fn numbered(seed: u64, number: u64) -> RawKey {
    if number == 0 { raw_key(seed) } else { RawKey::from_bytes(Rng::of(seed, &[1, number]).bytes()) }
}

pub fn issuer(seed: u64) -> IssuerKey {
    IssuerKey::from_secret_bytes(&Rng::of(seed, &[2]).bytes())
}

/// The smallest segments, so that a short run rolls many.
pub fn options() -> Options {
    options_at(Arc::new(SystemClock))
}

pub fn options_at(clock: Arc<dyn Clock>) -> Options {
    // The disks are small; sled is to meet full ones.
    Options::new().segment_bytes(64 << 10, 64 << 10).cache_bytes(8 << 20).keep_free(256 << 10).clock(clock)
}

/// A token for everything.
pub fn token(seed: u64, vault: &Vault) -> Token {
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).sensitivity(Confidentiality::VeryRestricted);
    let grant = grant.valid_for(Duration::from_secs(30 * 86_400));
    grant.sign(&issuer(seed), vault.id()).expect("a grant that names patients, kinds, actions and purpose")
}

pub fn session(seed: u64, vault: &Vault) -> Result<Session, Error> {
    vault.session(token(seed, vault), Purpose::Treatment)
}

//! Whether a backup can go on from the newest manifest of a target, and whether that is of this vault at all.

use crate::backup::BackupFault;
use crate::backup::manifest::{Manifest, SignedManifest};
use crate::error::Error;
use crate::storage::Shipment;
use crate::unlocked::Unlocked;

/// Bytes that a chain may always have beyond what the journal has.
const SLACK: u64 = 64 << 20;

/// Manifests of one chain, all of which a restore has to fetch.
const MOST_MANIFESTS: u64 = 5_000;

/// Refuses a target whose newest backup is of a log that this one does not go on from: this vault was brought back, or another
/// machine goes on with a copy of it.
pub(super) fn check_ours(unlocked: &Unlocked, newest: &Manifest, shipment: &Shipment) -> Result<(), Error> {
    let (entries, found) = (newest.tip.entries, shipment.entries);
    let not_ours = || BackupFault::NotOurs { number: newest.number, entries, found };
    if entries > found || newest.tip.frame > shipment.tip.seq {
        return Err(not_ours().into());
    }
    match newest.tip.root {
        Some(root) if unlocked.committer.log_tree().is_some() && unlocked.log_root(entries)? != root => {
            Err(not_ours().into())
        }
        _ => Ok(()),
    }
}

/// Whether the journal still has the file in which the copy ends, so that what follows can be added to it, and whether that is
/// worth it.
pub(super) fn can_go_on(newest: &SignedManifest, shipment: &Shipment) -> Result<bool, Error> {
    let Manifest { end, whole, tip, chain: (begin, copied), number, .. } = &newest.manifest;
    let Some(file) = shipment.files.iter().find(|file| file.part.file == end.file) else { return Ok(false) };
    if file.part.size != end.size || file.part.len < end.at {
        return Ok(false);
    }
    if number.saturating_sub(*begin) >= MOST_MANIFESTS {
        return Ok(false);
    }
    if *copied > shipment.bytes().saturating_mul(2).saturating_add(SLACK) {
        return Ok(false);
    }
    // A whole copy ends behind a frame: the one that stands there now names that one by its hash.
    Ok(!*whole || file.follows(end.at, (tip.frame, &tip.hash))?.unwrap_or(shipment.tip.hash == tip.hash))
}

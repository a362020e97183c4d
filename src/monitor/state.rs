//! What a monitor remembers, as bytes (docs/format/policy.md, table 27), so that it goes on where it was.

use std::collections::{BTreeMap, VecDeque};

use super::actor::{Actor, Burst, Mark, Seen};
use super::engine::{ACTORS, FLAGS, ITEMS, Monitor};
use super::rules::MonitoringRules;
use crate::bytes::{Put, Reader, Truncated};
use crate::ids::{FlagId, PrincipalId};

const FORM: u8 = 1;

/// The bytes are no saved state of a [`Monitor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no saved state of monitoring; begin anew, and run the rules over the past")]
pub struct InvalidMonitorState;

impl From<Truncated> for InvalidMonitorState {
    fn from(_: Truncated) -> Self {
        Self
    }
}

impl Monitor {
    /// What it remembers, at most some 1.2 MiB. Patients stand there as hashes of 8 bytes, principals by their ids: keep it
    /// as the log itself.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u8(FORM);
        out.put_u64(self.next);
        out.put(&self.swept.to_be_bytes());
        // No more than ACTORS, FLAGS and ITEMS, which fit.
        out.put_u32(u32::try_from(self.actors.len()).unwrap_or(u32::MAX));
        for (id, actor) in &self.actors {
            out.put(id.as_bytes());
            put_actor(&mut out, actor);
        }
        out.put_u32(u32::try_from(self.flags.len()).unwrap_or(u32::MAX));
        for (id, (until, suppressed)) in &self.flags {
            out.put(id.as_bytes());
            out.put_i64(*until);
            out.put_u8(u8::from(*suppressed));
        }
        out
    }

    /// Goes on where another was saved. The suppressors have to be given anew.
    ///
    /// # Errors
    /// [`InvalidMonitorState`].
    pub fn resume(rules: MonitoringRules, bytes: &[u8]) -> Result<Self, InvalidMonitorState> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORM {
            return Err(InvalidMonitorState);
        }
        let mut monitor = Self::new(rules);
        monitor.next = reader.u64()?;
        monitor.swept = i32::from_be_bytes(reader.array()?);
        let mut last = None;
        for _ in 0..count(&mut reader, ACTORS)? {
            let id = PrincipalId::from_bytes(reader.array()?);
            if last.replace(id) >= Some(id) {
                return Err(InvalidMonitorState);
            }
            let actor = read_actor(&mut reader)?;
            monitor.items += actor.items();
            if monitor.items > ITEMS {
                return Err(InvalidMonitorState);
            }
            monitor.actors.insert(id, actor);
        }
        monitor.flags = read_flags(&mut reader)?;
        reader.finish()?;
        Ok(monitor)
    }
}

fn read_flags(reader: &mut Reader<'_>) -> Result<BTreeMap<FlagId, (i64, bool)>, InvalidMonitorState> {
    let (mut flags, mut last) = (BTreeMap::new(), None);
    for _ in 0..count(reader, FLAGS)? {
        let id = FlagId::from_bytes(reader.array()?);
        let (until, suppressed) = (reader.i64()?, reader.u8()?);
        if suppressed > 1 || last.replace(id) >= Some(id) {
            return Err(InvalidMonitorState);
        }
        flags.insert(id, (until, suppressed == 1));
    }
    Ok(flags)
}

fn put_actor(out: &mut Vec<u8>, actor: &Actor) {
    out.put_i64(actor.last);
    out.put_u32(u32::from_be_bytes(actor.day.to_be_bytes()));
    out.put_u32(actor.today);
    out.put_u16(actor.days);
    out.put_u32(actor.mean);
    out.put_u32(u32::try_from(actor.seen.len()).unwrap_or(u32::MAX));
    for seen in &actor.seen {
        out.put(&seen.patient);
        out.put_i64(seen.at);
        out.put_u64(seen.seq);
    }
    for burst in [&actor.denials, &actor.exports, &actor.sign_ins] {
        out.put_u32(u32::try_from(burst.0.len()).unwrap_or(u32::MAX));
        for mark in &burst.0 {
            out.put_i64(mark.at);
            out.put_u64(mark.seq);
            out.put_u32(mark.n);
        }
    }
}

fn read_actor(reader: &mut Reader<'_>) -> Result<Actor, InvalidMonitorState> {
    let mut actor = Actor {
        last: reader.i64()?,
        day: i32::from_be_bytes(reader.array()?),
        today: reader.u32()?,
        days: reader.u16()?,
        mean: reader.u32()?,
        ..Actor::default()
    };
    for _ in 0..count(reader, ITEMS)? {
        actor.seen.push_back(Seen { patient: reader.array()?, at: reader.i64()?, seq: reader.u64()? });
    }
    for burst in [&mut actor.denials, &mut actor.exports, &mut actor.sign_ins] {
        let mut marks = VecDeque::new();
        for _ in 0..count(reader, ITEMS)? {
            marks.push_back(Mark { at: reader.i64()?, seq: reader.u64()?, n: reader.u32()? });
        }
        *burst = Burst(marks);
    }
    Ok(actor)
}

/// A number of things that follow, no more than there can be.
fn count(reader: &mut Reader<'_>, most: usize) -> Result<usize, InvalidMonitorState> {
    let count = usize::try_from(reader.u32()?).map_err(|_| InvalidMonitorState)?;
    if count > most { Err(InvalidMonitorState) } else { Ok(count) }
}

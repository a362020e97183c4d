//! What frames are for.

use super::{BASE_MAX_LEN, MAX_LEN};

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Commit,
    /// The last frame of a segment.
    Seal,
    /// Rows and entries in a base (see [`crate::format::base`]).
    Base,
    /// Where the frames of a base start.
    BaseIndex,
    /// The last frame of a base.
    BaseSeal,
}

impl FrameKind {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Commit => 0,
            Self::Seal => 1,
            Self::Base => 2,
            Self::BaseIndex => 3,
            Self::BaseSeal => 4,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Commit,
            1 => Self::Seal,
            2 => Self::Base,
            3 => Self::BaseIndex,
            4 => Self::BaseSeal,
            _ => return None,
        })
    }

    /// Whether it belongs into a segment, rather than into a base.
    pub(crate) const fn is_of_a_segment(self) -> bool {
        matches!(self, Self::Commit | Self::Seal)
    }

    pub(super) const fn max_len(self) -> usize {
        if self.is_of_a_segment() { MAX_LEN } else { BASE_MAX_LEN }
    }
}

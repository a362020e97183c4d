//! Which rows decisions can depend on.

use super::PolicyRow;

impl PolicyRow {
    /// Whether what was resolved for sessions that are open is stale with it. A grant that was merely seen opened its session
    /// before.
    pub(super) fn decides(&self) -> bool {
        match self {
            Self::Case(_)
            | Self::Uses { .. }
            | Self::Kind { .. }
            | Self::SlotUse { .. }
            | Self::GrantUse(_)
            | Self::ChartLabel(_)
            | Self::Failures(_)
            | Self::LogRetention(_)
            | Self::Epoch(_)
            | Self::Round(_)
            | Self::Sink(_)
            | Self::Backup(_)
            | Self::Decision(_)
            | Self::Flag(_)
            | Self::Monitoring(_)
            | Self::MonitorState(_)
            | Self::Suppressor(_) => false,
            Self::Grant(row) => row.registered_by.is_some(),
            _ => true,
        }
    }
}

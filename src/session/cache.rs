//! Charts that the session has used lately, with their key schedules, so that the next access need not derive them.

use std::collections::HashMap;
use std::sync::Arc;

use super::order::Order;
use crate::committer::Stamp;
use crate::ids::PatientId;
use crate::unlocked::Chart;

/// Charts kept.
const CAPACITY: usize = 256;

/// Charts whose order is kept.
const ORDERS: usize = 8;
/// Records of a chart whose order is kept; larger ones are sorted again for each page.
const ORDER_RECORDS: usize = 100_000;

/// Wiped when dropped or closed, because every [`Chart`] is.
#[derive(Default)]
pub(super) struct Charts {
    kept: HashMap<PatientId, (Arc<Chart>, u64)>,
    orders: Vec<(PatientId, Arc<Order>, Stamp)>,
    uses: u64,
    /// Nothing is kept any more.
    closed: bool,
}

impl Charts {
    pub(super) fn get(&mut self, patient: PatientId) -> Option<Arc<Chart>> {
        self.uses += 1;
        let (chart, used) = self.kept.get_mut(&patient)?;
        *used = self.uses;
        Some(Arc::clone(chart))
    }

    /// Keeps a chart, if it still may be: asked while nobody can [`forget`](Self::forget). The one unused for longest makes
    /// room.
    pub(super) fn keep(&mut self, chart: Arc<Chart>, may_be: impl FnOnce(&Chart) -> bool) {
        if self.closed || !may_be(&chart) {
            return;
        }
        if self.kept.len() >= CAPACITY {
            let oldest = self.kept.iter().min_by_key(|(_, (_, used))| *used).map(|(patient, _)| *patient);
            oldest.and_then(|patient| self.kept.remove(&patient));
        }
        self.uses += 1;
        self.kept.insert(chart.patient, (chart, self.uses));
    }

    /// Wipes the keys of a chart that the session may not open any more, and forgets its order.
    pub(super) fn let_go_of(&mut self, patient: PatientId) {
        self.kept.remove(&patient);
        self.orders.retain(|(kept, ..)| *kept != patient);
    }

    /// The order of a chart, and when it was that.
    pub(super) fn order(&self, patient: PatientId) -> Option<(Arc<Order>, Stamp)> {
        let (_, order, stamp) = self.orders.iter().find(|(kept, ..)| *kept == patient)?;
        Some((Arc::clone(order), *stamp))
    }

    pub(super) fn keep_order(&mut self, patient: PatientId, order: Arc<Order>, stamp: Stamp) {
        self.orders.retain(|(kept, ..)| *kept != patient);
        if self.closed || order.places.len() > ORDER_RECORDS {
            return;
        }
        if self.orders.len() >= ORDERS {
            self.orders.remove(0);
        }
        self.orders.push((patient, order, stamp));
    }

    /// Forgets the charts' keys, which were derived from a keyring that is not in force any more.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// Forgets everything, and keeps nothing that a call under way still brings.
    pub(super) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.orders.is_empty()
    }
}

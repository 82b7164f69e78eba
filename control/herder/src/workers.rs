//! The workers of the group, as any of them knows it.
use crate::herder::{Done, Herder};
use elasticflow_plan::claims::Claim;
use elasticflow_plan::pools::Room;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time between two looks for workers that are gone.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// A worker that has held nothing for so long is taken for gone.
const GONE_AFTER: Duration = Duration::from_secs(600);

/// A worker, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerInfo {
    /// `host:port`, as in statuses.
    pub id: String,
    /// Where its REST endpoint is.
    pub url: String,
    /// Whether it leads the group.
    pub leader: bool,
    /// Whether it is to have no tasks.
    pub drained: bool,
    /// Slots that it holds.
    pub slots: usize,
    /// Pool that it serves, and what it offers there.
    #[serde(flatten)]
    pub room: Room,
}

impl Herder {
    /// What every worker has said last, this one included.
    pub(crate) fn workers(&self) -> BTreeMap<String, WorkerInfo> {
        let others = self.mapping.others();
        let leader = if self.is_leader() { Some(&self.cx.options.worker_id) } else { others.leader.as_ref() };
        let info = |id: &String, (url, room): (&str, &Room), slots: usize| WorkerInfo {
            id: id.clone(),
            url: url.to_owned(),
            leader: leader == Some(id),
            drained: self.state.drained().contains(id),
            slots,
            room: room.clone(),
        };
        let own = &self.leases.slots;
        let count = |slots: &BTreeSet<i32>| slots.iter().filter(|slot| !own.contains(slot)).count();
        let known = self.mapping.claims().iter().map(|(id, claim): (&String, &Claim)| {
            (id.clone(), info(id, (&claim.url, &claim.room), others.slots.get(id).map_or(0, count)))
        });
        let mut workers: BTreeMap<String, WorkerInfo> = known.collect();
        let id = &self.cx.options.worker_id;
        workers.insert(id.clone(), info(id, (&self.own_url(), &self.mapping.room), own.len()));
        workers
    }

    /// Forgets workers that have held nothing for long: their processes are gone, or will say again that they are there.
    pub(crate) fn sweep(&mut self) {
        self.mapping.sweeping = self.is_leader();
        if !self.mapping.sweeping {
            return self.mapping.idle_since.clear();
        }
        let now = self.cx.clock.monotonic();
        let idle: BTreeSet<String> = self.mapping.claims().keys().filter(|id| !self.is_alive(id)).cloned().collect();
        self.mapping.idle_since.retain(|id, _| idle.contains(id));
        for id in idle {
            let since = *self.mapping.idle_since.entry(id.clone()).or_insert(now);
            if now.saturating_sub(since) >= GONE_AFTER {
                tracing::info!(worker = id, "a worker has held nothing for long and is forgotten");
                self.statuses.forget_worker(&id);
            }
        }
        self.later(SWEEP_EVERY, Done::Sweep);
    }

    /// Shows the workers to whoever asks.
    pub(crate) fn publish_workers(&self) {
        *self.view.workers.write() = self.workers().into_values().collect();
    }
}

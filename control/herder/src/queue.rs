//! Worker pools: what this worker offers, what tasks ask for, and those that wait for room.
//!
//! Which tasks wait stands in the config topic, so that every worker can say it. For how long a task has waited and how
//! often it was stopped for others the leader keeps count of by itself: a leader that takes over counts from the start,
//! which stops tasks later and never sooner.
use crate::herder::{Done, Herder};
use elasticflow_config::flow::{PlacementSettings, ReasonCode, settings_of};
use elasticflow_config::{Properties, parse};
use elasticflow_plan::place::{Load, Slot};
use elasticflow_plan::pools::{DEFAULT_POOL, PREEMPTED, Room, Terms};
use elasticflow_plan::reconcile::TaskName;
use elasticflow_store::config::Connector;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A task that has waited so long may take the place of less important ones.
const URGENT_AFTER: Duration = Duration::from_secs(10);
/// A task is stopped for others at most so often within [`HOUR`].
const STOPS_MAX: usize = 3;
const HOUR: Duration = Duration::from_secs(3600);

/// What the leader counts of tasks that wait or were stopped.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    since: BTreeMap<TaskName, Duration>,
    stops: BTreeMap<TaskName, Vec<Duration>>,
}

impl Queue {
    /// Whether any task waits.
    pub(crate) fn is_waited_in(&self) -> bool {
        !self.since.is_empty()
    }

    fn spares(&self, task: &TaskName, now: Duration) -> bool {
        let recent = |at: &&Duration| now.saturating_sub(**at) < HOUR;
        self.stops.get(task).is_some_and(|stops| stops.iter().filter(recent).count() >= STOPS_MAX)
    }
}

/// What the tasks of a connector ask for, by its own word or by the worker's default.
pub(crate) fn terms(connector: &Connector, worker: &Properties) -> Terms {
    let settings = settings_of(&connector.config, worker);
    let priority = settings.value("flow.priority").and_then(|text| text.trim().parse().ok()).filter(|p| *p <= 9);
    let Ok(own) = parse::<PlacementSettings>(&settings) else { return Terms::default() };
    Terms {
        weight: own.weight,
        memory: own.memory,
        pool: own.pool.as_str().into(),
        priority: priority.unwrap_or(Terms::default().priority),
        preemptible: own.preemptible,
    }
}

/// What a worker offers.
pub(crate) fn room(worker: &Properties) -> Room {
    let number = |key: &str| worker.value(key).and_then(|text| text.trim().parse().ok());
    let pool = worker.value("worker.pool").map(str::trim).filter(|pool| !pool.is_empty());
    Room {
        pool: pool.unwrap_or(DEFAULT_POOL).to_owned(),
        units: number("worker.capacity"),
        memory: number("worker.memory.bytes"),
    }
}

/// A task of a connector that waits, as readers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// What stands in the place of its slot.
    pub(crate) slot: Slot,
    /// Since when this worker has known.
    pub(crate) since_ms: i64,
}

/// Why a task with this in the place of a slot waits.
pub(crate) fn reason_of(slot: Slot) -> ReasonCode {
    if slot == PREEMPTED { ReasonCode::Preempted } else { ReasonCode::Capacity }
}

impl Herder {
    /// What the tasks of a connector ask for, as it was read with the configuration.
    pub(crate) fn terms(&self, name: &str) -> Arc<Terms> {
        self.mapping.terms.get(name).cloned().unwrap_or_default()
    }

    /// What each worker offers, where that is more than nothing.
    pub(crate) fn rooms(&self) -> BTreeMap<String, Room> {
        let others = self.mapping.claims().iter().map(|(id, claim)| (id.clone(), claim.room.clone()));
        let own = std::iter::once((self.cx.options.worker_id.clone(), self.mapping.room.clone()));
        others.chain(own).filter(|(_, room)| !room.is_plain()).collect()
    }

    /// Whether the tasks of a connector may run on this worker: slots know no pools.
    pub(crate) fn welcomes(&self, name: &str) -> bool {
        let own = &self.mapping.room.pool;
        let pool = self.mapping.terms.get(name).map_or(DEFAULT_POOL, |terms| &*terms.pool);
        let rules = || self.state.pools().get(pool);
        pool == own || rules().is_some_and(|rules| rules.borrow.contains(own))
    }

    /// A task as the planner sees it.
    pub(crate) fn load(&self, task: &TaskName, connector: &Connector) -> Load {
        let (now, place) = (self.cx.clock.monotonic(), self.place(task));
        let waited = self.mapping.queue.since.get(task).map(|since| now.saturating_sub(*since));
        Load {
            terms: self.terms(&task.0),
            slot: place.map(|place| place.slot),
            movable: place.is_none_or(|place| self.has_arrived(task, place)),
            age: connector.tasks_revision.unwrap_or(i64::MAX),
            urgent: waited.is_some_and(|waited| waited >= URGENT_AFTER),
            spared: self.mapping.queue.spares(task, now),
        }
    }

    /// Takes note of who waits from here on, and of who was stopped.
    pub(crate) fn note_waiting(&mut self, loads: &BTreeMap<TaskName, Load>, changes: &BTreeMap<TaskName, Slot>) {
        let now = self.cx.clock.monotonic();
        let after = |task: &TaskName, load: &Load| changes.get(task).copied().or(load.slot);
        let waits = |task: &TaskName, load: &Load| after(task, load).is_some_and(|slot| slot < 0);
        let waiting: BTreeSet<&TaskName> =
            loads.iter().filter(|(task, load)| waits(task, load)).map(|(task, _)| task).collect();
        let queue = &mut self.mapping.queue;
        queue.since.retain(|task, _| waiting.contains(task));
        let mut fresh = false;
        for task in waiting {
            fresh |= queue.since.insert(task.clone(), *queue.since.get(task).unwrap_or(&now)).is_none();
        }
        for (task, _) in changes.iter().filter(|(_, slot)| **slot == PREEMPTED) {
            let stops = queue.stops.entry(task.clone()).or_default();
            stops.retain(|at| now.saturating_sub(*at) < HOUR);
            stops.push(now);
            tracing::info!(connector = task.0, task = task.1, "a task is stopped for a more important one");
        }
        if fresh {
            self.later(URGENT_AFTER, Done::MapAgain);
        }
    }

    /// Shows tasks that wait as UNASSIGNED: whoever ran them last may be gone and cannot say so.
    pub(crate) fn show_waiting(&mut self, name: &str) {
        if !self.is_leader() {
            return;
        }
        let count = self.state.connector(name).map_or(0, |connector| connector.tasks.len());
        let places = self.state.places(name).iter().take(count);
        let waiting: Vec<u32> =
            (0u32..).zip(places).filter(|(_, place)| place.slot < 0).map(|(index, _)| index).collect();
        for index in waiting {
            self.show_unassigned(name, index);
        }
    }

    /// Tasks of a connector that wait; those that were waiting before have done so since then.
    pub(crate) fn waiting_of(
        &self,
        name: &str,
        count: usize,
        before: &BTreeMap<u32, Waiting>,
    ) -> BTreeMap<u32, Waiting> {
        let now_ms = self.cx.clock.wall_ms();
        let since = |index: &u32| before.get(index).map_or(now_ms, |waiting| waiting.since_ms);
        let places = (0u32..).zip(self.state.places(name).iter().take(count)).filter(|(_, place)| place.slot < 0);
        places.map(|(index, place)| (index, Waiting { slot: place.slot, since_ms: since(&index) })).collect()
    }
}

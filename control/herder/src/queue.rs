//! Worker pools: what this worker offers, what tasks ask for, and those that wait for room.
//!
//! Which tasks wait stands in the config topic, so that every worker can say it. For how long a task has waited and how
//! often it was stopped for others the leader keeps count of by itself: a leader that takes over counts from the start,
//! which stops tasks later and never sooner.
use crate::command::Answer;
use crate::error::HerderError;
use crate::herder::{Done, Herder, Then, reply};
use crate::lanes::Progress;
use elasticflow_config::flow::{PlacementSettings, ReasonCode, settings_of};
use elasticflow_config::{Properties, parse};
use elasticflow_plan::place::{Load, Slot};
use elasticflow_plan::pools::{DEFAULT_POOL, PREEMPTED, Pool, Room, Terms};
use elasticflow_plan::reconcile::TaskName;
use elasticflow_store::config::{ConfigRecord, Connector};
use serde::Serialize;
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

/// A pool, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolInfo {
    /// Name.
    pub name: String,
    /// Its rules.
    #[serde(flatten)]
    pub rules: Pool,
    /// Workers that serve it and hold slots.
    pub workers: Vec<String>,
    /// Capacity units.
    pub units: Usage,
    /// Bytes that tasks reserve.
    pub memory: Usage,
    /// Tasks with a place, those of other pools on its workers included.
    pub tasks: usize,
    /// Tasks of it that wait, in the order in which they come.
    pub queued: Vec<QueuedTask>,
}

/// How much of something is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Used.
    pub used: u64,
    /// All of it; `None` where a worker of the pool has no limit.
    pub total: Option<u64>,
}

/// A task that waits for room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueuedTask {
    /// Connector.
    pub connector: String,
    /// Index.
    pub task: u32,
    /// Of its connector.
    pub priority: u8,
    /// Capacity units that it needs.
    pub weight: u32,
    /// Bytes that it needs.
    pub memory: u64,
    /// Code of the reason.
    pub reason: &'static str,
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

    /// Every pool that has workers, rules or tasks.
    pub(crate) fn pools(&self) -> Vec<PoolInfo> {
        let (group, loads) = (self.group(), self.loads());
        let mut names: BTreeSet<&str> = self.state.pools().keys().map(String::as_str).collect();
        names.extend(group.workers.keys().map(|worker| group.pool_of(worker)));
        names.extend(loads.values().map(|load| &*load.terms.pool));
        names.insert(DEFAULT_POOL);
        names.into_iter().map(|name| self.pool(name, &group, &loads)).collect()
    }

    fn pool(&self, name: &str, group: &elasticflow_plan::place::Group, loads: &BTreeMap<TaskName, Load>) -> PoolInfo {
        let workers: Vec<String> =
            group.workers.keys().filter(|worker| group.pool_of(worker) == name).cloned().collect();
        let plain = Room::default();
        let rooms: Vec<&Room> = workers.iter().map(|worker| group.rooms.get(worker).unwrap_or(&plain)).collect();
        let slots: BTreeSet<Slot> =
            workers.iter().filter_map(|worker| group.workers.get(worker)).flatten().copied().collect();
        let here: Vec<&Load> =
            loads.values().filter(|load| load.slot.is_some_and(|slot| slots.contains(&slot))).collect();
        let mut waiting: Vec<(&TaskName, &Load)> =
            loads.iter().filter(|(_, load)| load.waits() && &*load.terms.pool == name).collect();
        waiting.sort_by_key(|(task, load)| (load.rank(), *task));
        PoolInfo {
            name: name.to_owned(),
            rules: self.state.pools().get(name).cloned().unwrap_or_default(),
            units: Usage {
                used: here.iter().map(|load| u64::from(load.terms.weight)).sum(),
                total: rooms.iter().map(|room| room.units).sum(),
            },
            memory: Usage {
                used: here.iter().map(|load| load.terms.memory).sum(),
                total: rooms.iter().map(|room| room.memory).sum(),
            },
            tasks: here.len(),
            queued: waiting.into_iter().map(|(task, load)| queued(task, load)).collect(),
            workers,
        }
    }

    /// Stores the rules of a pool, or forgets them.
    pub(crate) fn set_pool(&mut self, name: String, rules: Option<Pool>, answer: Answer<()>) -> Progress {
        if self.state.pools().get(&name) == rules.as_ref() {
            let known = rules.is_some() || self.group().rooms.values().any(|room| room.pool == name);
            let unknown = || Err(HerderError::NotFound(format!("Unknown pool: {name}")));
            reply(answer, if known { Ok(()) } else { unknown() });
            return Progress::Done;
        }
        self.write("", vec![ConfigRecord::Pool { name, rules }], Then::Answer(answer))
    }
}

fn queued(task: &TaskName, load: &Load) -> QueuedTask {
    QueuedTask {
        connector: task.0.clone(),
        task: task.1,
        priority: load.terms.priority,
        weight: load.terms.weight,
        memory: load.terms.memory,
        reason: reason_of(load.slot.unwrap_or(elasticflow_plan::pools::QUEUED)).code(),
    }
}

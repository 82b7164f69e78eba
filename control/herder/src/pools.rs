//! Pools of workers as they are shown: how much room there is, who waits for it, and what their rules come to.
use crate::command::Answer;
use crate::error::HerderError;
use crate::herder::{Herder, Then, reply};
use crate::lanes::Progress;
use crate::queue::reason_of;
use elasticflow_plan::place::{Group, Load, Slot};
use elasticflow_plan::pools::{DEFAULT_POOL, Pool, QUEUED, Room};
use elasticflow_plan::reconcile::TaskName;
use elasticflow_store::config::ConfigRecord;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Units that its rules keep for important tasks; `None` where nothing is kept or a worker has no limit.
    pub reserved_units: Option<u64>,
    /// Tasks with a place, those of other pools on its workers included.
    pub tasks: usize,
    /// Its own tasks with a place, those on workers of other pools included: what `max_tasks` counts.
    pub placed: usize,
    /// What runs although the rules as they are now would not let it begin.
    pub over: Over,
    /// Tasks of it that wait, in the order in which they come.
    pub queued: Vec<QueuedTask>,
}

/// What a pool has beyond its rules, which came later than its tasks: nothing is stopped for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Over {
    /// Tasks above `max_tasks`.
    pub tasks: u64,
    /// Units of less important tasks in what is kept for important ones.
    pub units: u64,
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
    /// Since when the worker that is asked has known that it waits.
    pub since_ms: i64,
}

/// Who has a place where.
struct Census<'a> {
    group: &'a Group,
    loads: &'a BTreeMap<TaskName, Load>,
}

impl Census<'_> {
    fn workers(&self, pool: &str) -> Vec<String> {
        self.group.workers.keys().filter(|worker| self.group.pool_of(worker) == pool).cloned().collect()
    }

    /// Tasks on these workers.
    fn on(&self, workers: &[String]) -> Vec<&Load> {
        let slots: BTreeSet<Slot> =
            workers.iter().filter_map(|worker| self.group.workers.get(worker)).flatten().copied().collect();
        self.loads.values().filter(|load| load.slot.is_some_and(|slot| slots.contains(&slot))).collect()
    }

    /// Tasks of a pool that have a place, wherever that is.
    fn placed(&self, pool: &str) -> usize {
        self.loads.values().filter(|load| *load.terms.pool == *pool && load.slot.is_some_and(|slot| slot >= 0)).count()
    }

    fn waiting(&self, pool: &str) -> Vec<(&TaskName, &Load)> {
        let mut waiting: Vec<_> =
            self.loads.iter().filter(|(_, load)| load.waits() && *load.terms.pool == *pool).collect();
        waiting.sort_by_key(|(task, load)| (load.rank(), *task));
        waiting
    }
}

impl Herder {
    /// Every pool that has workers, rules or tasks.
    pub(crate) fn pools(&self) -> Vec<PoolInfo> {
        let (group, loads) = (self.group(), self.loads());
        let mut names: BTreeSet<&str> = self.state.pools().keys().map(String::as_str).collect();
        names.extend(group.workers.keys().map(|worker| group.pool_of(worker)));
        names.extend(loads.values().map(|load| &*load.terms.pool));
        names.insert(DEFAULT_POOL);
        let census = Census { group: &group, loads: &loads };
        names.into_iter().map(|name| self.pool(name, &census)).collect()
    }

    fn pool(&self, name: &str, census: &Census<'_>) -> PoolInfo {
        let workers = census.workers(name);
        let plain = Room::default();
        let rooms: Vec<&Room> = workers.iter().map(|worker| census.group.rooms.get(worker).unwrap_or(&plain)).collect();
        let (here, placed) = (census.on(&workers), census.placed(name));
        let rules = self.state.pools().get(name).cloned().unwrap_or_default();
        let units = Usage { used: weight(&here), total: rooms.iter().map(|room| room.units).sum() };
        let (reserved_units, over_units) = reserve(&rules, units.total, &here);
        let most = rules.max_tasks.map_or(u64::MAX, u64::from);
        PoolInfo {
            name: name.to_owned(),
            rules,
            units,
            memory: Usage {
                used: here.iter().map(|load| load.terms.memory).sum(),
                total: rooms.iter().map(|room| room.memory).sum(),
            },
            reserved_units,
            tasks: here.len(),
            placed,
            over: Over { tasks: (placed as u64).saturating_sub(most), units: over_units },
            queued: census.waiting(name).into_iter().map(|(task, load)| self.queued(task, load)).collect(),
            workers,
        }
    }

    fn queued(&self, task: &TaskName, load: &Load) -> QueuedTask {
        let view = self.view.connectors.read();
        let known = view.get(&task.0).and_then(|connector| connector.waiting.get(&task.1));
        QueuedTask {
            connector: task.0.clone(),
            task: task.1,
            priority: load.terms.priority,
            weight: load.terms.weight,
            memory: load.terms.memory,
            reason: reason_of(load.slot.unwrap_or(QUEUED)).code(),
            since_ms: known.map_or_else(|| self.cx.clock.wall_ms(), |waiting| waiting.since_ms),
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

/// What the rules of a pool keep from tasks that look for a place.
pub(crate) fn rules_in_words(rules: &Pool) -> String {
    let most = rules.max_tasks.map(|most| format!("; no more than {most} tasks of the pool have a place"));
    let kept = rules.reserved.map(|kept| {
        let (share, priority) = (f64::from(kept.share) * 100.0, kept.priority);
        format!("; {share} % of its units are kept for priority {priority} and above")
    });
    most.into_iter().chain(kept).collect()
}

fn weight(loads: &[&Load]) -> u64 {
    loads.iter().map(|load| u64::from(load.terms.weight)).sum()
}

/// Units that a pool keeps for important tasks, and how many of them less important ones have.
fn reserve(rules: &Pool, total: Option<u64>, here: &[&Load]) -> (Option<u64>, u64) {
    let (Some(reserved), Some(total)) = (rules.reserved, total) else { return (None, 0) };
    let open = reserved.share.rest_of(total);
    let lesser: Vec<&Load> = here.iter().filter(|load| load.terms.priority < reserved.priority).copied().collect();
    (Some(total.saturating_sub(open)), weight(&lesser).saturating_sub(open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_plan::pools::{Reserved, Terms};
    use std::sync::Arc;

    #[test]
    fn what_is_kept_for_important_tasks_is_told_with_what_others_have_of_it() {
        let load = |priority, weight| Load {
            terms: Arc::new(Terms { priority, weight, ..Terms::default() }),
            ..Load::default()
        };
        let (lesser, important) = (load(5, 7), load(9, 2));
        let share = 0.4.try_into().unwrap();
        let rules = Pool { reserved: Some(Reserved { priority: 7, share }), ..Pool::default() };
        assert_eq!(reserve(&rules, Some(10), &[&lesser, &important]), (Some(4), 1), "6 of 10 are open to all");
        assert_eq!(reserve(&rules, Some(10), &[&important]), (Some(4), 0));
        assert_eq!(reserve(&rules, None, &[&lesser]), (None, 0), "a part of any number is no number");
        assert_eq!(reserve(&Pool::default(), Some(10), &[&lesser]), (None, 0));
    }
}

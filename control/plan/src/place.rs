//! Where tasks run: slots, the workers that hold leases on them, and the leader's mapping of tasks to slots.
//!
//! A lease on a slot is given by Kafka's group protocol; which task belongs to which slot is the leader's decision. A
//! worker that fails hands its tasks on with its slots, without the leader. The leader then evens out what each worker
//! has to do: [`assign`] moves as few tasks as that takes.
//!
//! Slots know no pools: a slot may come to a worker that its tasks may not run on. They wait there, and the leader gives
//! them another slot.
use crate::desk::Desk;
use crate::pools::{PREEMPTED, Pool, QUEUED, Room, Terms};
use crate::reconcile::TaskName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Number of a slot: a partition of the slots topic. A negative one is no slot, see [`crate::pools`].
pub type Slot = i32;

/// The place of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Whoever holds this slot runs the task.
    pub slot: Slot,
    /// Grows with every change of the mapping.
    pub generation: i64,
    /// The slot that the task moves away from: its holder lets go first. `None` for a task that never moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Slot>,
}

impl Place {
    /// The place after this one. What has to let go first is the last slot that was one.
    pub fn moved_to(self, slot: Slot, generation: i64) -> Self {
        let from = if self.slot >= 0 { Some(self.slot) } else { self.from };
        Self { slot, generation, from }
    }

    /// The slot whose holder has to let go first. A task that comes back to the slot it has left needs nobody's word: whoever
    /// holds that slot is the only one who may have it.
    pub fn former(self) -> Option<Slot> {
        self.from.filter(|from| *from != self.slot)
    }
}

/// A task as the leader sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// What it asks for.
    pub terms: Arc<Terms>,
    /// Where it is; `None` before its first place, negative while it waits for one.
    pub slot: Option<Slot>,
    /// Whether it may move: a move that is under way is let end first.
    pub movable: bool,
    /// Of two tasks that wait the one with the smaller number came first.
    pub age: i64,
    /// Whether it has waited long enough to take the place of others.
    pub urgent: bool,
    /// Whether it has been stopped for others often enough.
    pub spared: bool,
}

impl Load {
    /// Whether it waits for a place.
    pub fn waits(&self) -> bool {
        self.slot.is_none_or(|slot| slot < 0)
    }

    /// Order of those that wait: the most important first, of equal ones the oldest.
    pub fn rank(&self) -> (std::cmp::Reverse<u8>, i64) {
        (std::cmp::Reverse(self.terms.priority), self.age)
    }
}

/// What is known of the group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Slots of each worker that holds any. No slot is in two of them.
    pub workers: BTreeMap<String, BTreeSet<Slot>>,
    /// Workers that are to have no tasks.
    pub drained: BTreeSet<String>,
    /// What workers offer, where they have said more than nothing.
    pub rooms: BTreeMap<String, Room>,
    /// Rules of pools, where there are any.
    pub pools: BTreeMap<String, Pool>,
    /// Whether slots have stayed where they are for a while: workers that have more tasks than room give some up then.
    pub quiet: bool,
}

/// Tasks that leave drained workers at the same time: softly, a few after the other.
pub const LEAVING_MAX: usize = 4;

impl Group {
    pub(crate) fn holder(&self, slot: Slot) -> Option<&str> {
        self.workers.iter().find(|(_, slots)| slots.contains(&slot)).map(|(name, _)| name.as_str())
    }

    /// The pool of a worker.
    pub fn pool_of(&self, worker: &str) -> &str {
        self.rooms.get(worker).map_or(crate::pools::DEFAULT_POOL, |room| room.pool.as_str())
    }

    /// Whether a task of a pool may run on the workers of another one.
    pub fn lends(&self, lender: &str, pool: &str) -> bool {
        lender == pool || self.pools.get(pool).is_some_and(|rules| rules.borrow.iter().any(|name| name == lender))
    }

    /// Whether a worker may have tasks. When every one of its pool is drained all of them may: tasks run somewhere rather
    /// than nowhere.
    pub(crate) fn is_open(&self, worker: &str) -> bool {
        let beside = || self.workers.keys().filter(|other| self.pool_of(other) == self.pool_of(worker));
        !self.drained.contains(worker) || beside().all(|other| self.drained.contains(other))
    }

    /// Tasks that have to leave a drained worker now.
    fn leaving<'a>(&self, tasks: &'a BTreeMap<TaskName, Load>) -> Vec<&'a TaskName> {
        if self.drained.is_empty() {
            return Vec::new();
        }
        let under_way = tasks.values().filter(|load| load.slot.is_some() && !load.movable).count();
        let is_closed = |slot: Slot| self.holder(slot).is_some_and(|worker| !self.is_open(worker));
        let leaving = tasks.iter().filter(|(_, load)| load.movable && load.slot.is_some_and(is_closed));
        leaving.map(|(task, _)| task).take(LEAVING_MAX.saturating_sub(under_way)).collect()
    }

    /// Tasks on slots of workers that they may not run on: they do not run there.
    fn strayed<'a>(&self, tasks: &'a BTreeMap<TaskName, Load>) -> Vec<&'a TaskName> {
        if self.rooms.is_empty() {
            let named = |load: &&Load| &*load.terms.pool != crate::pools::DEFAULT_POOL;
            if !tasks.values().any(|load| named(&load)) {
                return Vec::new();
            }
        }
        let strays = |load: &Load| {
            let holder = load.slot.and_then(|slot| self.holder(slot));
            load.movable && holder.is_some_and(|worker| !self.lends(self.pool_of(worker), &load.terms.pool))
        };
        tasks.iter().filter(|(_, load)| strays(load)).map(|(task, _)| task).collect()
    }
}

/// Slots of the tasks that get one, or another one, or none from here on.
///
/// Tasks without a place, those on workers that they may not run on, some of those on drained workers, and those that a
/// worker has no room for, go to the worker of their pool that has least to do, the most important first. Those that find
/// no room wait: [`QUEUED`], or [`PREEMPTED`] when an urgent one took their room. Tasks whose slot nobody holds wait for
/// Kafka to give it to somebody. With `even`, tasks move within a pool from the busiest worker to the idlest until no move
/// makes the two more equal: with weights of 1 all workers of a pool are then within one task of each other.
pub fn assign(group: &Group, tasks: &BTreeMap<TaskName, Load>, even: bool) -> BTreeMap<TaskName, Slot> {
    if group.workers.is_empty() {
        return BTreeMap::new();
    }
    let mut desk = Desk::of(group, tasks);
    let out: BTreeSet<&TaskName> = group.strayed(tasks).into_iter().chain(group.leaving(tasks)).collect();
    let mut homeless: Vec<(&TaskName, &Load)> = tasks.iter().filter(|(task, _)| out.contains(task)).collect();
    desk.take_out(&homeless);
    // A slot that is on its way from one worker to another says nothing about who is busy.
    let mut slots = tasks.values().filter(|load| !load.waits()).filter_map(|load| load.slot);
    let settled = slots.all(|slot| group.holder(slot).is_some());
    if group.quiet && settled {
        homeless.extend(desk.shed());
    }
    homeless.extend(tasks.iter().filter(|(_, load)| load.slot.is_none() || load.waits() && load.movable));
    let mut changes = settle(&mut desk, homeless);
    // A place that gets free may be one for a task that found none before.
    loop {
        let filled = fill(&mut desk, tasks, &mut changes);
        let moved = even && settled && desk.even_out(&mut changes);
        if !filled && !moved {
            break;
        }
    }
    changes.retain(|task, slot| tasks.get(task).is_none_or(|load| load.slot != Some(*slot)));
    changes
}

/// Gives places to tasks that wait, where nothing is stopped for them; whether one was given.
fn fill<'a>(desk: &mut Desk<'a>, tasks: &'a BTreeMap<TaskName, Load>, changes: &mut BTreeMap<TaskName, Slot>) -> bool {
    let waits = |(task, load): &(&TaskName, &Load)| {
        load.movable && changes.get(*task).copied().or(load.slot).is_some_and(|slot| slot < 0)
    };
    let mut waiting: Vec<_> = tasks.iter().filter(waits).collect();
    waiting.sort_by_key(|(task, load)| (load.rank(), std::cmp::Reverse(load.terms.weight), *task));
    let mut filled = false;
    for (task, load) in waiting {
        if let Some(slot) = desk.place_beside(task, load) {
            changes.insert(task.clone(), slot);
            filled = true;
        }
    }
    filled
}

/// Gives places to tasks that have none, in their order; those that are stopped for them look for another one.
fn settle<'a>(desk: &mut Desk<'a>, mut homeless: Vec<(&'a TaskName, &'a Load)>) -> BTreeMap<TaskName, Slot> {
    homeless.sort_by_key(|(task, load)| (load.rank(), std::cmp::Reverse(load.terms.weight), *task));
    let (mut changes, mut stopped) = (BTreeMap::new(), Vec::new());
    for (task, load) in homeless {
        match desk.place(task, load) {
            Some((slot, gone)) => {
                changes.insert(task.clone(), slot);
                stopped.extend(gone);
            }
            // Why it waits stays as it was.
            None if load.slot == Some(PREEMPTED) => {}
            None => drop(changes.insert(task.clone(), QUEUED)),
        }
    }
    for (task, load) in stopped {
        let slot = desk.place_beside(task, load);
        changes.insert(task.clone(), slot.unwrap_or(PREEMPTED));
    }
    changes
}

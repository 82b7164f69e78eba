//! Where tasks run: slots, the workers that hold leases on them, and the leader's mapping of tasks to slots.
//!
//! A lease on a slot is given by Kafka's group protocol; which task belongs to which slot is the leader's decision. A
//! worker that fails hands its tasks on with its slots, without the leader. The leader then evens out what each worker
//! has to do: [`assign`] moves as few tasks as that takes.
use crate::reconcile::TaskName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Number of a slot: a partition of the slots topic.
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

/// A task as the leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// What it costs a worker, at least 1.
    pub weight: u32,
    /// Where it is; `None` before its first place.
    pub slot: Option<Slot>,
    /// Whether it may move: a move that is under way is let end first.
    pub movable: bool,
}

/// What is known of the group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Slots of each worker that holds any. No slot is in two of them.
    pub workers: BTreeMap<String, BTreeSet<Slot>>,
    /// Workers that are to have no tasks.
    pub drained: BTreeSet<String>,
}

/// Tasks that leave drained workers at the same time: softly, a few after the other.
pub const LEAVING_MAX: usize = 4;

impl Group {
    fn holder(&self, slot: Slot) -> Option<&str> {
        self.workers.iter().find(|(_, slots)| slots.contains(&slot)).map(|(name, _)| name.as_str())
    }

    /// Whether a worker may have tasks. When every one is drained all may: tasks run somewhere rather than nowhere.
    fn is_open(&self, worker: &str) -> bool {
        !self.drained.contains(worker) || self.workers.keys().all(|worker| self.drained.contains(worker))
    }

    /// Tasks that have to leave a drained worker now.
    fn leaving<'a>(&self, tasks: &'a BTreeMap<TaskName, Load>) -> Vec<(&'a TaskName, u32)> {
        if self.drained.is_empty() {
            return Vec::new();
        }
        let under_way = tasks.values().filter(|load| load.slot.is_some() && !load.movable).count();
        let is_closed = |slot: Slot| self.holder(slot).is_some_and(|worker| !self.is_open(worker));
        let leaving = tasks.iter().filter(|(_, load)| load.movable && load.slot.is_some_and(is_closed));
        leaving.map(|(task, load)| (task, load.weight)).take(LEAVING_MAX.saturating_sub(under_way)).collect()
    }
}

/// Slots of the tasks that get one, or another one.
///
/// Tasks without a place, and some of those on drained workers, go to the worker that has least to do. Tasks whose slot
/// nobody holds wait for Kafka to give it to somebody. With `even`, tasks move from the busiest worker to the idlest until no move makes the two more equal:
/// with weights of 1 all workers are then within one task of each other.
pub fn assign(group: &Group, tasks: &BTreeMap<TaskName, Load>, even: bool) -> BTreeMap<TaskName, Slot> {
    let Some(mut desk) = Desk::of(group, tasks) else { return BTreeMap::new() };
    let mut homeless: Vec<(&TaskName, u32)> =
        tasks.iter().filter(|(_, load)| load.slot.is_none()).map(|(task, load)| (task, load.weight)).collect();
    homeless.extend(group.leaving(tasks));
    homeless.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let mut changes = BTreeMap::new();
    for (task, weight) in homeless {
        let slot = desk.take_in(task, weight, desk.idlest());
        changes.insert(task.clone(), slot);
    }
    // A slot that is on its way from one worker to another says nothing about who is busy.
    let settled = tasks.values().filter_map(|load| load.slot).all(|slot| group.holder(slot).is_some());
    if even && settled {
        desk.even_out(tasks, &mut changes);
    }
    changes
}

/// Orders slots so that neighbours stand far apart: Kafka gives runs of them to one worker.
fn scattered(slot: Slot) -> u32 {
    slot.unsigned_abs().reverse_bits()
}

/// A worker's part.
struct Part<'a> {
    slots: BTreeMap<Slot, u32>,
    weight: u64,
    tasks: BTreeMap<&'a TaskName, u32>,
}

/// The parts of all workers, by index in order of their names.
struct Desk<'a>(Vec<Part<'a>>);

impl<'a> Desk<'a> {
    fn of(group: &Group, tasks: &'a BTreeMap<TaskName, Load>) -> Option<Self> {
        let open = group.workers.iter().filter(|(worker, slots)| !slots.is_empty() && group.is_open(worker));
        let workers = open.map(|(_, slots)| slots);
        let empty = |slots: &BTreeSet<Slot>| Part {
            slots: slots.iter().map(|slot| (*slot, 0)).collect(),
            weight: 0,
            tasks: BTreeMap::new(),
        };
        let mut parts: Vec<Part<'a>> = workers.map(empty).collect();
        for (task, load) in tasks {
            let Some(slot) = load.slot else { continue };
            if let Some(part) = parts.iter_mut().find(|part| part.slots.contains_key(&slot)) {
                part.put(task, load.weight, slot);
            }
        }
        (!parts.is_empty()).then_some(Self(parts))
    }

    /// The worker that has least to do; of several the first.
    fn idlest(&self) -> usize {
        let parts = self.0.iter().enumerate();
        parts.min_by_key(|(index, part)| (part.weight, *index)).map_or(0, |(index, _)| index)
    }

    fn busiest(&self) -> usize {
        let parts = self.0.iter().enumerate();
        parts.max_by_key(|(index, part)| (part.weight, std::cmp::Reverse(*index))).map_or(0, |(index, _)| index)
    }

    /// Gives a task to a worker, on the slot with the fewest tasks: when the worker fails, they spread over the others.
    fn take_in(&mut self, task: &'a TaskName, weight: u32, worker: usize) -> Slot {
        let Some(part) = self.0.get_mut(worker) else { return 0 };
        let slot =
            part.slots.iter().min_by_key(|(slot, count)| (**count, scattered(**slot))).map_or(0, |(slot, _)| *slot);
        part.put(task, weight, slot);
        slot
    }

    /// Each move makes the sum of squares smaller, so that this ends.
    fn even_out(&mut self, tasks: &'a BTreeMap<TaskName, Load>, changes: &mut BTreeMap<TaskName, Slot>) {
        loop {
            let (from, to) = (self.busiest(), self.idlest());
            let weight = |worker: usize| self.0.get(worker).map_or(0, |part| part.weight);
            let gap = weight(from).saturating_sub(weight(to));
            let Some((task, load)) = self.best_to_move(from, gap, tasks) else { return };
            if let Some(part) = self.0.get_mut(from) {
                part.remove(task, load);
            }
            let slot = self.take_in(task, load.weight, to);
            changes.insert(task.clone(), slot);
        }
    }

    /// The task whose move comes nearest to closing the gap, if one narrows it.
    fn best_to_move(&self, from: usize, gap: u64, tasks: &'a BTreeMap<TaskName, Load>) -> Option<(&'a TaskName, Load)> {
        let candidates = self.0.get(from)?.tasks.keys().filter_map(|task| Some((*task, *tasks.get(*task)?)));
        let narrowing = candidates.filter(|(_, load)| load.movable && load.weight > 0 && u64::from(load.weight) < gap);
        narrowing.min_by_key(|(_, load)| (u64::from(load.weight) * 2).abs_diff(gap))
    }
}

impl<'a> Part<'a> {
    fn put(&mut self, task: &'a TaskName, weight: u32, slot: Slot) {
        *self.slots.entry(slot).or_default() += 1;
        self.weight += u64::from(weight);
        self.tasks.insert(task, weight);
    }

    fn remove(&mut self, task: &TaskName, load: Load) {
        if let Some(count) = load.slot.and_then(|slot| self.slots.get_mut(&slot)) {
            *count = count.saturating_sub(1);
        }
        self.weight = self.weight.saturating_sub(u64::from(load.weight));
        self.tasks.remove(task);
    }
}

//! The workers' parts while the leader shares tasks out: what each has to do, and what it has room for.
use crate::place::{Group, Load, Slot};
use crate::pools::{CLASSES_BELOW, DEFAULT_POOL, Pool, Room};
use crate::reconcile::TaskName;
use std::collections::{BTreeMap, BTreeSet};

/// Orders slots so that neighbours stand far apart: Kafka gives runs of them to one worker.
fn scattered(slot: Slot) -> u32 {
    slot.unsigned_abs().reverse_bits()
}

/// A worker's part.
struct Part<'a> {
    pool: &'a str,
    units: Option<u64>,
    memory: Option<u64>,
    slots: BTreeMap<Slot, u32>,
    weight: u64,
    reserved: u64,
    tasks: BTreeMap<&'a TaskName, (&'a Load, Slot)>,
}

/// Tasks by name.
type Tasks<'a> = Vec<(&'a TaskName, &'a Load)>;

/// The parts of all workers that may have tasks, by index in order of their names.
pub(crate) struct Desk<'a> {
    parts: Vec<Part<'a>>,
    pools: &'a BTreeMap<String, Pool>,
    /// Tasks of each pool that have a place, wherever that is.
    placed: BTreeMap<&'a str, u32>,
}

impl<'a> Desk<'a> {
    pub(crate) fn of(group: &'a Group, tasks: &'a BTreeMap<TaskName, Load>) -> Self {
        let open = group.workers.iter().filter(|(worker, slots)| !slots.is_empty() && group.is_open(worker));
        let parts = open.map(|(worker, slots)| Part::of(group.rooms.get(worker), slots)).collect();
        let mut desk = Self { parts, pools: &group.pools, placed: BTreeMap::new() };
        for (task, load) in tasks {
            let Some(slot) = load.slot.filter(|slot| *slot >= 0) else { continue };
            *desk.placed.entry(&load.terms.pool).or_default() += 1;
            if let Some(part) = desk.parts.iter_mut().find(|part| part.slots.contains_key(&slot)) {
                part.put(task, load, slot);
            }
        }
        desk
    }

    /// Takes tasks out of their places.
    pub(crate) fn take_out(&mut self, tasks: &[(&'a TaskName, &'a Load)]) {
        for (task, load) in tasks {
            self.parts.iter_mut().for_each(|part| {
                part.take(task);
            });
            self.one_less(load);
        }
    }

    fn one_less(&mut self, load: &Load) {
        if let Some(count) = self.placed.get_mut(&*load.terms.pool) {
            *count = count.saturating_sub(1);
        }
    }

    /// Takes out what workers have no room for: guests of other pools first, then the least important.
    pub(crate) fn shed(&mut self) -> Tasks<'a> {
        let mut gone = Vec::new();
        for part in &mut self.parts {
            while part.is_too_full() {
                let Some(task) = part.last_to_keep() else { break };
                gone.extend(part.take(task).map(|load| (task, load)));
            }
        }
        gone.iter().for_each(|(_, load)| self.one_less(load));
        gone
    }

    /// Gives a task a place: in its pool, then where the pool borrows, then in the place of guests of its pool, then, if it
    /// is urgent, of less important tasks. With the slot come the tasks that are stopped for it.
    pub(crate) fn place(&mut self, task: &'a TaskName, load: &'a Load) -> Option<(Slot, Tasks<'a>)> {
        if let Some(slot) = self.place_beside(task, load) {
            return Some((slot, Vec::new()));
        }
        if self.is_full(load) {
            return None;
        }
        let guests = |part: &Part<'a>, other: &Load| *other.terms.pool != *part.pool;
        let lesser = |_: &Part<'a>, other: &Load| {
            let below = other.terms.priority.saturating_add(CLASSES_BELOW) <= load.terms.priority;
            load.urgent && below && other.terms.preemptible && !other.spared
        };
        self.place_instead(task, load, &guests).or_else(|| self.place_instead(task, load, &lesser))
    }

    /// Gives a task a place where nothing is stopped for it.
    pub(crate) fn place_beside(&mut self, task: &'a TaskName, load: &'a Load) -> Option<Slot> {
        if self.is_full(load) {
            return None;
        }
        let own: &str = &load.terms.pool;
        let borrowed = self.pools.get(own).into_iter().flat_map(|rules| rules.borrow.iter().map(String::as_str));
        let part = std::iter::once(own).chain(borrowed).find_map(|pool| self.idlest_for(load, pool))?;
        self.put(task, load, part)
    }

    fn put(&mut self, task: &'a TaskName, load: &'a Load, part: usize) -> Option<Slot> {
        *self.placed.entry(&load.terms.pool).or_default() += 1;
        self.parts.get_mut(part).map(|part| part.take_in(task, load))
    }

    /// Whether the pool of a task has as many tasks as it may.
    fn is_full(&self, load: &Load) -> bool {
        let pool: &str = &load.terms.pool;
        let most = self.pools.get(pool).and_then(|rules| rules.max_tasks);
        most.is_some_and(|most| self.placed.get(pool).copied().unwrap_or(0) >= most)
    }

    /// The worker of a pool with room for a task that has least to do; of several the first.
    fn idlest_for(&self, load: &Load, pool: &str) -> Option<usize> {
        if !self.leaves_reserve(load, pool, 0) {
            return None;
        }
        let fitting = self.parts.iter().enumerate().filter(|(_, part)| part.pool == pool && part.fits(load));
        fitting.min_by_key(|(index, part)| (part.weight, *index)).map(|(index, _)| index)
    }

    /// Whether a task leaves the room alone that its pool keeps for more important ones, when so many units get free.
    fn leaves_reserve(&self, load: &Load, pool: &str, freed: u64) -> bool {
        let Some(reserved) = self.pools.get(pool).and_then(|rules| rules.reserved) else { return true };
        let members = || self.parts.iter().filter(|part| part.pool == pool);
        let total: Option<u64> = members().map(|part| part.units).sum();
        let Some(total) = total.filter(|_| load.terms.priority < reserved.priority) else { return true };
        let lesser = |load: &&Load| load.terms.priority < reserved.priority;
        let here = members().flat_map(|part| part.tasks.values().map(|(load, _)| *load)).filter(lesser);
        let used: u64 = here.map(|load| u64::from(load.terms.weight)).sum();
        used.saturating_sub(freed) + u64::from(load.terms.weight) <= reserved.share.rest_of(total)
    }

    /// Gives a task the place of others, as few of them as that takes.
    fn place_instead(
        &mut self,
        task: &'a TaskName,
        load: &'a Load,
        may_go: &dyn Fn(&Part<'a>, &Load) -> bool,
    ) -> Option<(Slot, Tasks<'a>)> {
        let own: &str = &load.terms.pool;
        let ways = self.parts.iter().enumerate().filter(|(_, part)| part.pool == own).filter_map(|(index, part)| {
            let going = part.going_for(load, may_go)?;
            let freed = going.iter().map(|(_, load)| u64::from(load.terms.weight)).sum();
            let most = going.iter().map(|(_, load)| load.terms.priority).max();
            self.leaves_reserve(load, own, freed).then_some((going.len(), most, index, going))
        });
        let (_, _, index, going) = ways.min_by_key(|(count, most, index, _)| (*count, *most, *index))?;
        self.take_out(&going);
        let slot = self.put(task, load, index)?;
        Some((slot, going))
    }

    /// Moves tasks within each pool until no move makes two workers more equal. Each move makes the sum of squares smaller,
    /// so that this ends. Whether one was moved.
    pub(crate) fn even_out(&mut self, changes: &mut BTreeMap<TaskName, Slot>) -> bool {
        let mut moved = false;
        let pools: BTreeSet<&str> = self.parts.iter().map(|part| part.pool).collect();
        for pool in pools {
            while let Some((task, slot)) = self.even_out_once(pool) {
                changes.insert(task.clone(), slot);
                moved = true;
            }
        }
        moved
    }

    fn even_out_once(&mut self, pool: &str) -> Option<(&'a TaskName, Slot)> {
        let members = || self.parts.iter().enumerate().filter(|(_, part)| part.pool == pool);
        let busiest = members().max_by_key(|(index, part)| (part.weight, std::cmp::Reverse(*index)))?.0;
        let idlest = members().min_by_key(|(index, part)| (part.weight, *index))?.0;
        let (from, to) = (self.parts.get(busiest)?, self.parts.get(idlest)?);
        let gap = from.weight.saturating_sub(to.weight);
        let movable = from.tasks.iter().map(|(task, (load, _))| (*task, *load)).filter(|(_, load)| {
            load.movable && *load.terms.pool == *pool && u64::from(load.terms.weight) < gap && to.fits(load)
        });
        let nearest = |load: &Load| (u64::from(load.terms.weight) * 2).abs_diff(gap);
        let (task, load) = movable.filter(|(_, load)| load.terms.weight > 0).min_by_key(|(_, load)| nearest(load))?;
        self.parts.get_mut(busiest)?.take(task);
        Some((task, self.parts.get_mut(idlest)?.take_in(task, load)))
    }
}

impl<'a> Part<'a> {
    fn of(room: Option<&'a Room>, slots: &BTreeSet<Slot>) -> Self {
        Self {
            pool: room.map_or(DEFAULT_POOL, |room| room.pool.as_str()),
            units: room.and_then(|room| room.units),
            memory: room.and_then(|room| room.memory),
            slots: slots.iter().map(|slot| (*slot, 0)).collect(),
            weight: 0,
            reserved: 0,
            tasks: BTreeMap::new(),
        }
    }

    fn fits(&self, load: &Load) -> bool {
        self.fits_after(load, (0, 0))
    }

    /// Whether there is room for a task once so many units and bytes are given back.
    fn fits_after(&self, load: &Load, (units, bytes): (u64, u64)) -> bool {
        let weight = self.weight.saturating_sub(units) + u64::from(load.terms.weight);
        let reserved = self.reserved.saturating_sub(bytes).saturating_add(load.terms.memory);
        self.units.is_none_or(|most| weight <= most) && self.memory.is_none_or(|most| reserved <= most)
    }

    fn is_too_full(&self) -> bool {
        self.units.is_some_and(|most| self.weight > most) || self.memory.is_some_and(|most| self.reserved > most)
    }

    /// Of the tasks that may move, the one to give up first.
    fn last_to_keep(&self) -> Option<&'a TaskName> {
        let movable = self.tasks.iter().filter(|(_, (load, _))| load.movable);
        let last = movable.max_by_key(|(task, (load, _))| (*load.terms.pool != *self.pool, load.rank(), **task));
        last.map(|(task, _)| *task)
    }

    /// The fewest tasks that have to go for another one, the least important first; `None` when that is not enough.
    fn going_for(&self, load: &Load, may_go: &dyn Fn(&Self, &Load) -> bool) -> Option<Tasks<'a>> {
        let candidates = self.tasks.iter().map(|(task, (load, _))| (*task, *load));
        let mut candidates: Vec<_> = candidates.filter(|(_, other)| other.movable && may_go(self, other)).collect();
        candidates.sort_by_key(|(task, other)| std::cmp::Reverse((other.rank(), *task)));
        let (mut going, mut freed) = (Vec::new(), (0, 0));
        for (task, other) in candidates {
            if self.fits_after(load, freed) {
                break;
            }
            going.push((task, other));
            freed = (freed.0 + u64::from(other.terms.weight), freed.1 + other.terms.memory);
        }
        (!going.is_empty() && self.fits_after(load, freed)).then_some(going)
    }

    /// Gives it a task, on the slot with the fewest tasks: when the worker fails, they spread over the others.
    fn take_in(&mut self, task: &'a TaskName, load: &'a Load) -> Slot {
        let slots = self.slots.iter();
        let slot = slots.min_by_key(|(slot, count)| (**count, scattered(**slot))).map_or(0, |(slot, _)| *slot);
        self.put(task, load, slot);
        slot
    }

    fn put(&mut self, task: &'a TaskName, load: &'a Load, slot: Slot) {
        *self.slots.entry(slot).or_default() += 1;
        self.weight += u64::from(load.terms.weight);
        self.reserved = self.reserved.saturating_add(load.terms.memory);
        self.tasks.insert(task, (load, slot));
    }

    fn take(&mut self, task: &'a TaskName) -> Option<&'a Load> {
        let (load, slot) = self.tasks.remove(task)?;
        if let Some(count) = self.slots.get_mut(&slot) {
            *count = count.saturating_sub(1);
        }
        self.weight = self.weight.saturating_sub(u64::from(load.terms.weight));
        self.reserved = self.reserved.saturating_sub(load.terms.memory);
        Some(load)
    }
}

//! What the leader does for the group: it gives every task a slot, and evens out what the workers have to do.
//!
//! Tasks move only for a worker that has joined, never because a connector has come or gone or a worker has left: what
//! runs is not stopped for the sake of balance.
use crate::answer::RunState;
use crate::command::Answer;
use crate::herder::{Done, Herder, Then, reply, write_failed};
use crate::workers::SWEEP_EVERY;
use elasticflow_plan::place::{Group, Load, Place, Slot, assign};
use elasticflow_plan::reconcile::TaskName;
use elasticflow_store::config::{ConfigRecord, WriteError, WriteToken};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A group that has changed goes on changing for a while: slots move in two rounds.
const QUIET: Duration = Duration::from_secs(1);
/// Wait before the mapping is written again after a failure.
const MAP_AGAIN: Duration = Duration::from_secs(1);
/// Wait before the end of the config topic is asked for again, when too many requests wait for it.
const CATCH_UP_AGAIN: Duration = Duration::from_millis(100);

impl Herder {
    /// This worker may write the config topic, or may not any more.
    pub(crate) fn on_leading(&mut self, leading: bool) {
        if self.leading == leading {
            return;
        }
        self.leading = leading;
        tracing::info!(leading, "leadership has changed");
        self.publish_workers();
        self.mapping.evened.clone_from(&self.mapping.settled);
        self.group_changed();
        self.claim();
        if leading && !std::mem::replace(&mut self.mapping.sweeping, true) {
            self.later(SWEEP_EVERY, Done::Sweep);
        }
        self.dirty.extend(self.wanted.keys().cloned());
    }

    /// Slots have changed hands.
    pub(crate) fn group_changed(&mut self) {
        let now = self.cx.clock.monotonic();
        let members = self.group().workers.into_keys().collect();
        let members = std::mem::replace(&mut self.mapping.members, members);
        if now >= self.mapping.quiet_from {
            self.mapping.settled = members;
        }
        self.mapping.quiet_from = now + QUIET;
        self.mapping.due = true;
        if self.is_leader() {
            self.later(QUIET, Done::MapAgain);
        }
    }

    /// Who holds what, this worker included.
    pub(crate) fn group(&self) -> Group {
        let own = &self.leases.slots;
        let others = self.mapping.others().slots.iter().map(|(id, slots)| (id.clone(), slots - own));
        let mut workers: BTreeMap<String, BTreeSet<Slot>> = others.collect();
        workers.insert(self.cx.options.worker_id.clone(), own.clone());
        workers.retain(|_, slots| !slots.is_empty());
        let quiet = self.cx.clock.monotonic() >= self.mapping.quiet_from;
        let (drained, pools) = (self.state.drained().clone(), self.state.pools().clone());
        Group { workers, drained, rooms: self.rooms(), pools, quiet }
    }

    /// Every task that is stored.
    pub(crate) fn loads(&self) -> BTreeMap<TaskName, Load> {
        let mut loads = BTreeMap::new();
        for (name, connector) in self.state.connectors() {
            for index in (0u32..).take(connector.tasks.len()) {
                let task = (name.clone(), index);
                let load = self.load(&task, connector);
                loads.insert(task, load);
            }
        }
        loads
    }

    /// Whether the last move of a task has ended. That its former worker still says that it runs means nothing: moved again
    /// then, the task would be waited for at a worker that has never had it.
    pub(crate) fn has_arrived(&self, task: &TaskName, place: Place) -> bool {
        let runs = |state| matches!(state, RunState::Running | RunState::Paused | RunState::Failed);
        let status = self.statuses.of(&task.0).and_then(|parts| parts.tasks.get(&task.1));
        let Some(former) = place.former() else { return true };
        // Who holds both slots gives up the task for the next one.
        self.holder(former).is_some_and(|holder| self.is_held_by(holder, place.slot))
            || self.mapping.is_released(task, place.generation)
            || status.is_some_and(|status| runs(status.state) && self.is_held_by(&status.worker_id, place.slot))
    }

    fn is_held_by(&self, worker: &str, slot: Slot) -> bool {
        self.holder(slot) == Some(worker)
    }

    /// The worker that holds a slot, as far as this one knows.
    fn holder(&self, slot: Slot) -> Option<&str> {
        if self.leases.slots.contains(&slot) {
            return Some(&self.cx.options.worker_id);
        }
        let other = self.mapping.others().holder(slot);
        other.filter(|worker| *worker != self.cx.options.worker_id)
    }

    /// Gives slots to tasks that have none, and evens out the load when a worker has joined.
    pub(crate) fn map_tasks(&mut self) {
        if !self.is_leader() || self.mapping.writing || !self.mapping.due {
            return;
        }
        self.mapping.due = false;
        let (group, loads) = (self.group(), self.loads());
        let quiet = group.quiet;
        let even = quiet && self.someone_is_new(&group, &loads);
        if even {
            self.mapping.evened = group.workers.keys().filter(|w| !group.drained.contains(*w)).cloned().collect();
        } else if quiet {
            let stays = |worker: &String| group.workers.contains_key(worker) && !group.drained.contains(worker);
            self.mapping.evened.retain(stays);
        }
        let mut changes = assign(&group, &loads, even);
        changes.retain(|(name, _), _| !self.mapping.placing.contains(name));
        self.note_waiting(&loads, &changes);
        if changes.is_empty() {
            return;
        }
        tracing::info!(tasks = changes.len(), even, "tasks get their slots");
        let rows = self.moved(&changes);
        self.mapping.moving = changes.into_keys().map(|(name, _)| name).collect();
        self.mapping.writing = true;
        self.write("", rows, Then::Places);
    }

    /// Whether a worker has joined since the tasks were evened out, or has nothing to do although others have plenty.
    fn someone_is_new(&self, group: &Group, loads: &BTreeMap<TaskName, Load>) -> bool {
        let open: Vec<(&String, &BTreeSet<Slot>)> =
            group.workers.iter().filter(|(worker, _)| !group.drained.contains(*worker)).collect();
        let new = open.iter().any(|(worker, _)| !self.mapping.evened.contains(*worker));
        let count = |slots: &BTreeSet<Slot>| {
            loads.values().filter(|load| load.slot.is_some_and(|slot| slots.contains(&slot))).count()
        };
        let mut counts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        open.iter().for_each(|(worker, slots)| counts.entry(group.pool_of(worker)).or_default().push(count(slots)));
        let idle = |counts: &Vec<usize>| counts.contains(&0) && counts.iter().max().is_some_and(|most| *most > 1);
        new || counts.values().any(idle)
    }

    /// The placement rows with changes made.
    fn moved(&self, changes: &BTreeMap<TaskName, Slot>) -> Vec<ConfigRecord> {
        let generation = self.next_generation();
        let mut rows: BTreeMap<&String, Vec<Place>> = BTreeMap::new();
        for ((name, index), slot) in changes {
            let places = rows.entry(name).or_insert_with(|| self.state.places(name).to_vec());
            // Tasks come in the order of their index, so that a new one stands at the end.
            match usize::try_from(*index).ok().and_then(|index| places.get_mut(index)) {
                Some(known) => *known = known.moved_to(*slot, generation),
                None => places.push(Place { slot: *slot, generation, from: None }),
            }
        }
        rows.into_iter().map(|(name, places)| ConfigRecord::Placement { name: name.clone(), places }).collect()
    }

    fn next_generation(&self) -> i64 {
        self.state.generation().max(self.mapping.generation()) + 1
    }

    /// The placement row of a connector that has more tasks than it ever had; `None` when its places stay, or are being
    /// written: the tasks that are new then get theirs afterwards.
    ///
    /// The places of tasks that are gone are kept: a worker that is cut off may still run one of them, and a task of that
    /// index that comes back must not run elsewhere beside it.
    pub(crate) fn places_for(&self, name: &str, count: u32) -> Option<ConfigRecord> {
        let known = self.state.places(name);
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        if known.len() >= wanted || self.mapping.moving.contains(name) {
            return None;
        }
        let (terms, mut loads) = (self.terms(name), self.loads());
        loads.retain(|(connector, index), _| connector != name || *index < count);
        for index in (0..count).skip(known.len()) {
            let fresh = Load { terms: Arc::clone(&terms), age: i64::MAX, ..Load::default() };
            loads.insert((name.to_owned(), index), fresh);
        }
        let changes = assign(&self.group(), &loads, false);
        let generation = self.next_generation();
        let fresh = (0..count).skip(known.len()).map_while(|index| {
            let slot = *changes.get(&(name.to_owned(), index))?;
            Some(Place { slot, generation, from: None })
        });
        let places: Vec<Place> = known.iter().copied().chain(fresh).collect();
        Some(ConfigRecord::Placement { name: name.to_owned(), places })
    }

    /// The mapping is written, or has to be tried again.
    pub(crate) fn mapped(&mut self, failed: bool) {
        self.mapping.writing = false;
        self.mapping.moving.clear();
        if failed {
            self.later(MAP_AGAIN, Done::MapAgain);
        } else {
            self.mapping.due = true;
        }
    }

    /// A connector's places are written with its tasks, or are not.
    pub(crate) fn placed(&mut self, name: &str) {
        self.mapping.due |= self.mapping.placing.remove(name);
    }

    // --- the end of the config topic ------------------------------------------------------------------------------

    pub(crate) fn sync(&mut self, answer: Answer<()>) {
        match self.ask_for_end() {
            Ok(token) => drop(self.syncs.insert(token, answer)),
            Err(busy) => reply(answer, Err(write_failed(&busy))),
        }
    }

    fn ask_for_end(&mut self) -> Result<WriteToken, WriteError> {
        self.token_last += 1;
        let token = WriteToken(self.token_last);
        self.config_topic.sync(token).map(|()| token)
    }

    /// Has the config topic read to its end as it is now, if a slot was gained.
    pub(crate) fn catch_up(&mut self) {
        if !self.fresh.is_waiting() {
            return;
        }
        match self.ask_for_end() {
            Ok(token) => self.fresh.asked(token),
            Err(_) => self.later(CATCH_UP_AGAIN, Done::CatchUpAgain),
        }
    }

    pub(crate) fn on_synced(&mut self, token: WriteToken) {
        if let Some(answer) = self.syncs.remove(&token) {
            reply(answer, Ok(()));
        }
        if self.fresh.caught_up(token) {
            self.dirty.extend(self.wanted.keys().cloned());
        }
    }
}

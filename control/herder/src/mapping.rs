//! Which tasks are this worker's: the leader's mapping of tasks to slots, this worker's leases, and the handing over
//! of a task that moves.
//!
//! A lease alone is not enough: when the leader has moved a task, the worker it moves to waits until the one before has
//! said that its instance has ended, at most as long as tasks have to stop. And a slot that was gained says nothing before
//! the mapping is known as it was then: see [`crate::fresh`].
use crate::answer::RunState;
use crate::handle::Leader;
use crate::herder::{Done, Herder};
use crate::queue::Queue;
use elasticflow_api::position::TaskId;
use elasticflow_plan::claims::{Claim, Holders};
use elasticflow_plan::place::{Place, Slot};
use elasticflow_plan::pools::{Room, Terms};
use elasticflow_plan::reconcile::{Phase, TaskName};
use elasticflow_store::status::ReleasedRow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// After the time that tasks have to stop: for the word that they have.
const WORD: Duration = Duration::from_secs(1);
/// Wait before this worker repeats what it holds, when somebody else has said something else.
const CLAIM_AGAIN: Duration = Duration::from_secs(1);

/// Who holds which slot, and which tasks are on their way.
#[derive(Default)]
pub(crate) struct Mapping {
    /// What other workers have said, by name.
    claims: BTreeMap<String, Claim>,
    /// What follows from that.
    others: Holders,
    /// The highest number of any claim, this worker's included.
    number: i64,
    /// What the tasks of each connector ask for.
    pub(crate) terms: BTreeMap<String, Arc<Terms>>,
    /// What this worker offers.
    pub(crate) room: Room,
    /// Tasks that wait for room.
    pub(crate) queue: Queue,
    /// Something has changed of which the member has to be told.
    pub(crate) untold: bool,
    /// Slots of instances on this worker.
    pub(crate) instances: BTreeMap<TaskName, Slot>,
    /// Generations up to which tasks have been let go.
    released: BTreeMap<TaskName, i64>,
    /// Tasks that wait for their former worker: generation and deadline.
    waits: BTreeMap<TaskName, (i64, Duration)>,
    /// What this worker has said.
    claimed: Option<Claim>,
    claims_again: bool,
    /// Since when workers have held nothing.
    pub(crate) idle_since: BTreeMap<String, Duration>,
    /// Somebody looks for workers that are gone.
    pub(crate) sweeping: bool,
    /// The mapping has to be looked at.
    pub(crate) due: bool,
    /// A change of it is being written.
    pub(crate) writing: bool,
    /// Connectors whose row of places that change writes, and those whose row is being written with new tasks. A row is
    /// written whole: a second change, made from what was read before, would undo the first.
    pub(crate) moving: BTreeSet<String>,
    pub(crate) placing: BTreeSet<String>,
    /// Workers among which the tasks were last evened out.
    pub(crate) evened: BTreeSet<String>,
    /// Workers after the last change of the group, and those that were there before it began to change: among them the
    /// tasks are evened out, whoever led. A leader that has joined just now, or beside one that has, knows whom to count.
    pub(crate) members: BTreeSet<String>,
    pub(crate) settled: BTreeSet<String>,
    /// When a group that has changed is looked at again: it may go on changing.
    pub(crate) quiet_from: Duration,
}

impl Mapping {
    /// Of a worker that offers something and knows nobody.
    pub(crate) fn offering(room: Room) -> Self {
        Self { room, ..Self::default() }
    }

    /// The highest generation that a task was let go with.
    pub(crate) fn generation(&self) -> i64 {
        self.released.values().copied().max().unwrap_or(0)
    }

    /// What other workers have said, by name.
    pub(crate) fn claims(&self) -> &BTreeMap<String, Claim> {
        &self.claims
    }

    /// What follows from what other workers have said.
    pub(crate) fn others(&self) -> &Holders {
        &self.others
    }

    /// Where the REST endpoint of a worker is.
    fn url(&self, worker: &str) -> Option<String> {
        self.claims.get(worker).map(|claim| claim.url.clone())
    }

    /// Whether a task has been let go by its former worker.
    pub(crate) fn is_released(&self, task: &TaskName, generation: i64) -> bool {
        self.released.get(task).is_some_and(|released| *released >= generation)
    }
}

impl Herder {
    pub(crate) fn place(&self, task: &TaskName) -> Option<Place> {
        self.state.places(&task.0).get(usize::try_from(task.1).ok()?).copied()
    }

    /// Whether a task is to run here, now.
    pub(crate) fn holds(&self, task: &TaskName) -> bool {
        let Some(place) = self.place(task) else { return false };
        self.may_act_on(place.slot) && self.welcomes(&task.0) && !self.must_wait(task, place)
    }

    /// Whether a slot is this worker's, and the mapping is known as it was when the slot was gained.
    fn may_act_on(&self, slot: Slot) -> bool {
        self.leases.slots.contains(&slot) && !self.fresh.contains(slot)
    }

    /// Whether an instance that was started is still the one that is to run here.
    pub(crate) fn is_current(&self, task: &TaskId, generation: u64) -> bool {
        let task: TaskName = (task.connector.to_string(), task.task.0);
        let up = self.actual.tasks.get(&task).is_some_and(|instance| instance.phase == Phase::Up);
        up && self.generations.get(&task) == Some(&generation) && self.holds(&task)
    }

    /// Whether the former worker of a task may still run it.
    fn must_wait(&self, task: &TaskName, place: Place) -> bool {
        let Some(from) = place.former() else { return false };
        if self.leases.slots.contains(&from) || self.mapping.is_released(task, place.generation) {
            return false;
        }
        let wait = self.mapping.waits.get(task).filter(|(generation, _)| *generation == place.generation);
        wait.is_none_or(|(_, deadline)| self.cx.clock.monotonic() < *deadline)
    }

    /// Begins to wait for the former workers of a connector's tasks.
    pub(crate) fn await_former(&mut self, name: &str) {
        let limit = self.membership.handover() + WORD;
        let deadline = self.cx.clock.monotonic() + limit;
        let mut begun = false;
        for (index, place) in (0u32..).zip(self.state.places(name).to_vec()) {
            let task = (name.to_owned(), index);
            if !self.may_act_on(place.slot) || !self.must_wait(&task, place) {
                continue;
            }
            let known = self.mapping.waits.get(&task).is_some_and(|(generation, _)| *generation == place.generation);
            if !known {
                self.mapping.waits.insert(task, (place.generation, deadline));
                begun = true;
            }
        }
        if begun {
            self.later(limit, Done::WaitOver { name: name.to_owned() });
        }
    }

    /// Says which tasks of a connector that have moved away have no instance here any more.
    pub(crate) fn let_go(&mut self, name: &str) {
        for (index, place) in (0u32..).zip(self.state.places(name).to_vec()) {
            let Some(from) = place.former() else { continue };
            let task = (name.to_owned(), index);
            let left = self.leases.slots.contains(&from) && !self.leases.slots.contains(&place.slot);
            if !left || self.actual.tasks.contains_key(&task) || self.mapping.is_released(&task, place.generation) {
                continue;
            }
            self.statuses.release(name, index, place.generation);
            self.mapping.released.insert(task, place.generation);
        }
    }

    pub(crate) fn note_slot(&mut self, task: &TaskName) {
        self.mapping.untold = true;
        if let Some(place) = self.place(task) {
            self.mapping.instances.insert(task.clone(), place.slot);
        }
    }

    /// Tells the member how far the leases have been acted on, and callers who leads.
    pub(crate) fn settled(&mut self) {
        self.tell_leader();
        if !std::mem::take(&mut self.mapping.untold) {
            return;
        }
        let moved: Vec<(TaskName, Slot)> = self
            .mapping
            .instances
            .iter()
            .filter_map(|(task, slot)| Some((task, *slot, self.place(task)?.slot)))
            .filter(|(_, old, new)| old != new && self.leases.slots.contains(new))
            .map(|(task, _, new)| (task.clone(), new))
            .collect();
        self.mapping.instances.extend(moved);
        let busy = self.mapping.instances.values().copied().collect();
        self.membership.settled(self.leases.version, busy);
    }

    fn tell_leader(&self) {
        let leader = self.known_leader();
        self.leader.send_if_modified(|known| {
            *known != leader && {
                *known = leader.clone();
                true
            }
        });
    }

    fn known_leader(&self) -> Leader {
        if self.is_leader() {
            return Leader::Here;
        }
        let leader = self.mapping.others.leader.as_ref();
        leader.and_then(|worker| self.mapping.url(worker)).map_or(Leader::Unknown, Leader::At)
    }

    /// The worker that runs a task, if it is another one.
    pub(crate) fn holder_of(&self, task: &TaskName) -> Option<String> {
        let slot = self.place(task)?.slot;
        self.mapping.url(self.mapping.others.holder(slot)?)
    }

    /// Whether another worker holds anything, as far as it and the others have said. What this one holds by now it has had
    /// from somebody: whoever has died does not say so.
    pub(crate) fn is_alive(&self, worker: &str) -> bool {
        let held = self.mapping.others.slots.get(worker);
        held.is_some_and(|slots| slots.iter().any(|slot| !self.leases.slots.contains(slot)))
    }

    /// Whether any worker has an instance of a connector's tasks.
    pub(crate) fn runs_anywhere(&self, name: &str) -> bool {
        let indices = self.statuses.of(name).map(|parts| parts.tasks.keys().copied().collect::<Vec<u32>>());
        self.has_instances(name) || indices.unwrap_or_default().into_iter().any(|i| self.runs_elsewhere(name, i))
    }

    /// Whether a worker that is alive has last said that it runs a task. Failed tasks have an instance too.
    pub(crate) fn runs_elsewhere(&self, name: &str, index: u32) -> bool {
        let status = self.statuses.of(name).and_then(|parts| parts.tasks.get(&index));
        status.is_some_and(|status| status.state != RunState::Unassigned && self.is_alive(&status.worker_id))
    }

    // --- what workers say ------------------------------------------------------------------------------------------

    /// The leases have changed.
    pub(crate) fn on_leases(&mut self) {
        let before = std::mem::replace(&mut self.leases, self.membership.leases());
        self.mapping.untold = true;
        self.fresh.change(&before, &self.leases);
        self.catch_up();
        tracing::info!(slots = self.leases.slots.len(), leads = self.leases.leads, "the leases have changed");
        self.config_topic.lead(self.leases.leads);
        self.publish_workers();
        self.group_changed();
        self.claim();
        self.dirty.extend(self.wanted.keys().cloned());
        self.dirty.extend(self.actual.tasks.keys().map(|(name, _)| name.clone()));
    }

    /// What a worker says that it holds.
    pub(crate) fn on_worker(&mut self, id: String, claim: Option<Claim>) {
        self.mapping.number = self.mapping.number.max(claim.as_ref().map_or(0, |claim| claim.number));
        self.view.tally.epoch_is(self.mapping.number);
        if id == self.cx.options.worker_id {
            // A leader that has heard nothing of this worker for long has taken it for gone.
            if claim.is_none() && self.mapping.claimed.is_some() {
                self.claim_again();
            }
            return;
        }
        let contradicts = |claim: &Claim| claim.slots.iter().any(|slot| self.leases.slots.contains(slot));
        let contradicted = claim.as_ref().is_some_and(contradicts);
        match claim {
            Some(claim) => drop(self.mapping.claims.insert(id, claim)),
            None => drop(self.mapping.claims.remove(&id)),
        }
        self.mapping.others = Holders::of(&self.mapping.claims);
        self.publish_workers();
        if contradicted && !std::mem::replace(&mut self.mapping.claims_again, true) {
            self.later(CLAIM_AGAIN, Done::ClaimAgain);
        }
        self.group_changed();
    }

    pub(crate) fn on_released(&mut self, task: TaskName, row: Option<ReleasedRow>) {
        let Some(row) = row else { return };
        let known = self.mapping.released.entry(task.clone()).or_default();
        *known = row.generation.max(*known);
        // What has arrived may move on: its slot may have come to a worker that does not run it.
        self.mapping.due = true;
        self.dirty.insert(task.0);
    }

    /// Where other workers reach this one.
    pub(crate) fn own_url(&self) -> String {
        self.cx.options.url.clone()
    }

    /// Says what this worker holds, when that has changed.
    pub(crate) fn claim(&mut self) {
        // Before that the topic may not exist, and a broker would make it with settings of its own.
        if !self.start.status {
            return;
        }
        let mut claim = Claim {
            url: self.own_url(),
            slots: self.leases.slots.iter().copied().collect(),
            leads: self.is_leader(),
            room: self.mapping.room.clone(),
            number: self.mapping.claimed.as_ref().map_or(0, |said| said.number),
        };
        if self.mapping.claimed.as_ref() != Some(&claim) {
            self.mapping.number += 1;
            self.view.tally.epoch_is(self.mapping.number);
            claim.number = self.mapping.number;
            self.statuses.claim(claim.clone());
            self.mapping.claimed = Some(claim);
        }
    }

    /// Says it again: somebody else has said that he holds the same, and the last word counts.
    pub(crate) fn claim_again(&mut self) {
        self.mapping.claims_again = false;
        self.mapping.claimed = None;
        self.claim();
    }
}

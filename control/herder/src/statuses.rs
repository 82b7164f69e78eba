//! What is known of every part's state, and how it reaches the status topic.
use crate::answer::{PartStatus, RunState};
use elasticflow_plan::claims::Claim;
use elasticflow_store::status::{ReleasedRow, StatusRecord, StatusRow, StatusTopic, TopicRow};
use std::collections::{BTreeMap, BTreeSet};

/// Statuses of a connector's parts.
#[derive(Debug, Default, Clone)]
pub(crate) struct Parts {
    /// The connector itself.
    pub(crate) connector: Option<PartStatus>,
    /// Tasks by index.
    pub(crate) tasks: BTreeMap<u32, PartStatus>,
    /// Topics in use since creation or reset.
    pub(crate) topics: BTreeSet<String>,
}

/// The table of statuses; what changes in it is written behind it.
pub(crate) struct Statuses {
    topic: StatusTopic,
    worker_id: String,
    /// Generation of what is written from here: above everything that stood in the topic at start.
    generation: i64,
    parts: BTreeMap<String, Parts>,
    /// Topics in use of which this worker has said something that it has not read back: connector, topic, whether used.
    said: BTreeMap<(String, String), bool>,
    /// Deletions of which the status topic has told, less those of which the config topic has: while there are more of them,
    /// what is known is of a successor that the config topic has not told of yet.
    buried: BTreeMap<String, i64>,
}

/// A state to show.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// State.
    pub(crate) state: RunState,
    /// Why, for failures.
    pub(crate) trace: Option<String>,
    /// The plug-in's version.
    pub(crate) version: String,
}

impl Statuses {
    pub(crate) fn new(topic: StatusTopic, worker_id: &str) -> Self {
        Self {
            topic,
            worker_id: worker_id.to_owned(),
            generation: 1,
            parts: BTreeMap::new(),
            said: BTreeMap::new(),
            buried: BTreeMap::new(),
        }
    }

    pub(crate) fn of(&self, name: &str) -> Option<&Parts> {
        self.parts.get(name)
    }

    /// Takes a row that was read. Rows about parts that this worker runs are its own older news: it knows better.
    pub(crate) fn read(&mut self, record: StatusRecord, runs_here: bool) -> Option<String> {
        let (name, index, row) = match record {
            StatusRecord::Connector { name, row } => (name, None, row),
            StatusRecord::Task { name, index, row } => (name, Some(index), row),
            StatusRecord::Topic { topic, name, row } => return self.read_topic(topic, name, row.is_some()),
            StatusRecord::Worker { .. } | StatusRecord::Released { .. } | StatusRecord::Unknown { .. } => return None,
        };
        if index.is_none() && row.is_none() {
            self.count_deletion(&name, 1);
        }
        if let Some(row) = &row {
            self.generation = self.generation.max(row.generation.saturating_add(1));
        }
        // A worker that was frozen takes for its own what it has lost meanwhile: only what it has said itself counts.
        if let Some(own) = self.own(&name, index).filter(|_| runs_here) {
            self.say_again(&name, index, (row.as_ref(), own));
            return None;
        }
        let status = row.and_then(from_row).map(|status| self.outlived(status));
        let parts = self.parts.entry(name.clone()).or_default();
        match (index, status) {
            (None, status) => parts.connector = status,
            (Some(index), Some(status)) => drop(parts.tasks.insert(index, status)),
            (Some(index), None) => drop(parts.tasks.remove(&index)),
        }
        Some(name)
    }

    /// What stood in the topics at start says nothing about which of them is ahead.
    pub(crate) fn loaded(&mut self) {
        self.buried.clear();
    }

    /// Counts a deletion that one of the topics has told of; how many the status topic was ahead before.
    fn count_deletion(&mut self, name: &str, by: i64) -> i64 {
        let before = self.buried.remove(name).unwrap_or(0);
        if before + by != 0 {
            self.buried.insert(name.to_owned(), before + by);
        }
        before
    }

    /// A row that names this worker for a part that it does not run is of a process that died under the same address:
    /// nothing runs until this one has started it.
    fn outlived(&self, mut status: PartStatus) -> PartStatus {
        let ran = matches!(status.state, RunState::Running | RunState::Paused | RunState::Restarting);
        if ran && status.worker_id == self.worker_id {
            status.state = RunState::Unassigned;
            status.activity = None;
        }
        status
    }

    /// What this worker was the last to say of a part.
    fn own(&self, name: &str, index: Option<u32>) -> Option<&PartStatus> {
        let parts = self.parts.get(name)?;
        let known = match index {
            None => parts.connector.as_ref(),
            Some(index) => parts.tasks.get(&index),
        };
        known.filter(|known| known.worker_id == self.worker_id)
    }

    /// A former worker has had the last word about a part that runs here, or somebody who was behind has taken it for gone:
    /// readers would believe it.
    fn say_again(&self, name: &str, index: Option<u32>, (read, own): (Option<&StatusRow>, &PartStatus)) {
        if read.is_some_and(|row| row.worker_id == self.worker_id) {
            return;
        }
        let (name, row) = (name.to_owned(), Some(self.row(own)));
        self.topic.put(&match index {
            None => StatusRecord::Connector { name, row },
            Some(index) => StatusRecord::Task { name, index, row },
        });
    }

    /// A topic in use, or forgotten. What this worker has said of it and not read back yet is newer.
    fn read_topic(&mut self, topic: String, name: String, used: bool) -> Option<String> {
        let key = (name.clone(), topic.clone());
        if let Some(said) = self.said.get(&key) {
            if *said == used {
                self.said.remove(&key);
            }
            return None;
        }
        let topics = &mut self.parts.entry(name.clone()).or_default().topics;
        let changed = if used { topics.insert(topic) } else { topics.remove(&topic) };
        changed.then_some(name)
    }

    /// Says which leases this worker holds.
    pub(crate) fn claim(&self, row: Claim) {
        self.topic.put(&StatusRecord::Worker { id: self.worker_id.clone(), row: Some(row) });
    }

    /// Forgets a worker that is gone.
    pub(crate) fn forget_worker(&self, id: &str) {
        self.topic.put(&StatusRecord::Worker { id: id.to_owned(), row: None });
    }

    /// Says that a task which moves has ended here.
    pub(crate) fn release(&self, name: &str, index: u32, generation: i64) {
        let row = Some(ReleasedRow { generation });
        self.topic.put(&StatusRecord::Released { name: name.to_owned(), index, row });
    }

    /// Sets a connector's state and has it written; an equal one is not written again.
    pub(crate) fn set_connector(&mut self, name: &str, shown: Shown) {
        let status = self.status(shown);
        let known = &mut self.parts.entry(name.to_owned()).or_default().connector;
        if known.as_ref() == Some(&status) {
            return;
        }
        let row = Some(self.row(&status));
        self.parts.entry(name.to_owned()).or_default().connector = Some(status);
        self.topic.put(&StatusRecord::Connector { name: name.to_owned(), row });
    }

    /// Sets a task's state and has it written.
    pub(crate) fn set_task(&mut self, name: &str, index: u32, shown: Shown) {
        let mut status = self.status(shown);
        let known = self.parts.get(name).and_then(|parts| parts.tasks.get(&index));
        let goes_on = |s: &PartStatus| matches!(s.state, RunState::Running | RunState::Paused);
        if goes_on(&status) {
            status.activity = known.filter(|s| goes_on(s)).and_then(|s| s.activity.clone());
        }
        self.put_task(name, index, status);
    }

    /// Sets what a task that runs does, and has it written; false if it does not run, or nothing changes.
    pub(crate) fn set_activity(&mut self, name: &str, index: u32, words: &str) -> bool {
        let known = self.parts.get(name).and_then(|parts| parts.tasks.get(&index));
        let runs = |s: &&PartStatus| matches!(s.state, RunState::Running | RunState::Paused);
        let Some(known) = known.filter(runs).filter(|s| s.activity.as_deref() != Some(words)) else { return false };
        let status = PartStatus { activity: Some(words.to_owned()), ..known.clone() };
        self.put_task(name, index, status);
        true
    }

    fn put_task(&mut self, name: &str, index: u32, status: PartStatus) {
        let row = Some(self.row(&status));
        self.parts.entry(name.to_owned()).or_default().tasks.insert(index, status);
        self.topic.put(&StatusRecord::Task { name: name.to_owned(), index, row });
    }

    /// Shows a part as UNASSIGNED unless this worker has said something of it; nothing is written, since it lasts a moment.
    pub(crate) fn expect(&mut self, name: &str, index: Option<u32>, version: &str) {
        let shown = Shown { state: RunState::Unassigned, trace: None, version: version.to_owned() };
        let status = self.status(shown);
        let parts = self.parts.entry(name.to_owned()).or_default();
        match index {
            None if parts.connector.as_ref().is_some_and(|known| known.worker_id == status.worker_id) => {}
            None => parts.connector = Some(status),
            Some(index) if parts.tasks.get(&index).is_some_and(|known| known.worker_id == status.worker_id) => {}
            Some(index) => drop(parts.tasks.insert(index, status)),
        }
    }

    /// Forgets a task.
    pub(crate) fn forget_task(&mut self, name: &str, index: u32) {
        let known = self.parts.get_mut(name).and_then(|parts| parts.tasks.remove(&index));
        if known.is_some() {
            self.topic.put(&StatusRecord::Task { name: name.to_owned(), index, row: None });
        }
    }

    /// Forgets a task whose instance here has ended for good. That is written whatever is known of it: what this worker has
    /// said of the instance may have come after everything of the connector was forgotten.
    pub(crate) fn bury_task(&mut self, name: &str, index: u32) {
        if let Some(parts) = self.parts.get_mut(name) {
            parts.tasks.remove(&index);
        }
        self.topic.put(&StatusRecord::Task { name: name.to_owned(), index, row: None });
    }

    /// Forgets everything of a connector; the leader writes that for everybody.
    pub(crate) fn forget(&mut self, name: &str, leads: bool) {
        let is_of_successor = self.count_deletion(name, -1) > 0;
        if leads {
            self.forget_topics(name);
        } else if is_of_successor {
            return;
        }
        let Some(parts) = self.parts.remove(name) else { return };
        if !leads {
            return;
        }
        for index in parts.tasks.into_keys() {
            self.topic.put(&StatusRecord::Task { name: name.to_owned(), index, row: None });
        }
        self.topic.put(&StatusRecord::Connector { name: name.to_owned(), row: None });
    }

    /// Notes a topic in use; false when it was known.
    pub(crate) fn use_topic(&mut self, name: &str, task: u32, topic: &str, now_ms: i64) -> bool {
        let fresh = self.parts.entry(name.to_owned()).or_default().topics.insert(topic.to_owned());
        if fresh {
            let row = TopicRow { name: topic.to_owned(), connector: name.to_owned(), task, discovered_ms: now_ms };
            self.said.insert((name.to_owned(), topic.to_owned()), true);
            self.topic.put(&StatusRecord::Topic { topic: topic.to_owned(), name: name.to_owned(), row: Some(row) });
        }
        fresh
    }

    /// Forgets the topics in use.
    pub(crate) fn forget_topics(&mut self, name: &str) {
        let Some(parts) = self.parts.get_mut(name) else { return };
        for topic in std::mem::take(&mut parts.topics) {
            self.said.insert((name.to_owned(), topic.clone()), false);
            self.topic.put(&StatusRecord::Topic { topic, name: name.to_owned(), row: None });
        }
    }

    /// Writes that nothing of this worker runs any more and waits until that is in the topic, or for long enough.
    pub(crate) async fn close(mut self, within: std::time::Duration) {
        let here = |status: &PartStatus| status.worker_id == self.worker_id && status.state != RunState::Failed;
        let mut parts = Vec::new();
        for (name, known) in &self.parts {
            parts.extend(known.connector.iter().filter(|s| here(s)).map(|s| (name.clone(), None, s.version.clone())));
            let tasks = known.tasks.iter().filter(|(_, s)| here(s));
            parts.extend(tasks.map(|(index, s)| (name.clone(), Some(*index), s.version.clone())));
        }
        for (name, index, version) in parts {
            let shown = Shown { state: RunState::Unassigned, trace: None, version };
            match index {
                None => self.set_connector(&name, shown),
                Some(index) => self.set_task(&name, index, shown),
            }
        }
        self.topic.close(within).await;
    }

    fn status(&self, shown: Shown) -> PartStatus {
        let (state, version, trace) = (shown.state, shown.version, shown.trace);
        PartStatus { state, worker_id: self.worker_id.clone(), version, trace, activity: None }
    }

    fn row(&self, status: &PartStatus) -> StatusRow {
        StatusRow {
            state: status.state.name().to_owned(),
            trace: status.trace.clone(),
            worker_id: status.worker_id.clone(),
            generation: self.generation,
            version: Some(status.version.clone()),
            activity: status.activity.clone(),
        }
    }
}

fn from_row(row: StatusRow) -> Option<PartStatus> {
    let state = RunState::from_name(&row.state)?;
    let version = row.version.unwrap_or_default();
    Some(PartStatus { state, worker_id: row.worker_id, version, trace: row.trace, activity: row.activity })
}

#[cfg(test)]
mod tests;

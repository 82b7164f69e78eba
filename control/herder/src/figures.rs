//! What the herder counts, for metrics: starts, times in a state, and how the membership in the group goes.
//!
//! Counts begin with the process. Times are of the worker's own monotonic clock.
use crate::answer::RunState;
use elasticflow_plan::reconcile::TaskName;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// Starts of one kind of part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Starts {
    /// Begun.
    pub attempts: u64,
    /// Came to run.
    pub succeeded: u64,
    /// Failed before.
    pub failed: u64,
}

/// A number of times and how long they took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Together.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.count += 1;
        self.total += time;
        self.longest = self.longest.max(time);
    }

    /// The average; `None` without any.
    pub fn average(&self) -> Option<Duration> {
        u32::try_from(self.count).ok().filter(|count| *count > 0).map(|count| self.total / count)
    }
}

/// How the membership in the worker group goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupFigures {
    /// Rebalances that ended with leases that are proved: from the moment that leases were asked back, or the wish to
    /// join, to the proof.
    pub rebalances: Times,
    /// Memberships that were lost.
    pub lost: u64,
    /// Proofs of the membership that the coordinator has given, with the time that it took to answer.
    pub proofs: Times,
    /// When the last proof was asked for.
    pub proved_at: Option<Duration>,
    /// When the last rebalance ended.
    pub rebalanced_at: Option<Duration>,
    /// Leases are on their way.
    pub rebalancing: bool,
}

/// Where an instance of a task has spent its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Share of RUNNING, 0 to 1.
    pub running: f64,
    /// Share of PAUSED, 0 to 1.
    pub paused: f64,
}

/// Everything, as asked for.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Starts of connectors, which are asked for their tasks where the leader is.
    pub connectors: Starts,
    /// Starts of task instances.
    pub tasks: Starts,
    /// Shares of each task that has an instance here.
    pub shares: BTreeMap<TaskName, Shares>,
    /// The membership.
    pub group: GroupFigures,
    /// URL of the leader's endpoint.
    pub leader: Option<String>,
    /// Highest number of what workers have said of their leases.
    pub epoch: i64,
    /// Now, on the clock of the times above.
    pub now: Duration,
}

/// An instance that is watched.
#[derive(Debug)]
struct Watched {
    began: Duration,
    state: RunState,
    since: Duration,
    running: Duration,
    paused: Duration,
    has_started: bool,
}

impl Watched {
    fn settle(&mut self, now: Duration) {
        let spent = now.saturating_sub(self.since);
        match self.state {
            RunState::Running => self.running += spent,
            RunState::Paused => self.paused += spent,
            _ => {}
        }
        self.since = now;
    }

    fn shares(&mut self, now: Duration) -> Shares {
        self.settle(now);
        let all = now.saturating_sub(self.began).as_secs_f64().max(f64::MIN_POSITIVE);
        Shares { running: self.running.as_secs_f64() / all, paused: self.paused.as_secs_f64() / all }
    }
}

#[derive(Debug, Default)]
struct Counted {
    connectors: Starts,
    tasks: Starts,
    watched: BTreeMap<TaskName, Watched>,
    epoch: i64,
}

/// Counts, written by the loop, read by whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counted>);

impl Tally {
    pub(crate) fn connector_asked(&self) {
        self.0.lock().connectors.attempts += 1;
    }

    pub(crate) fn connector_answered(&self, fine: bool) {
        let starts = &mut self.0.lock().connectors;
        *(if fine { &mut starts.succeeded } else { &mut starts.failed }) += 1;
    }

    pub(crate) fn task_begun(&self, task: &TaskName, now: Duration) {
        let mut counted = self.0.lock();
        counted.tasks.attempts += 1;
        let (running, paused) = Default::default();
        let state = RunState::Unassigned;
        let watched = Watched { began: now, state, since: now, running, paused, has_started: false };
        counted.watched.insert(task.clone(), watched);
    }

    pub(crate) fn task_is(&self, task: &TaskName, state: RunState, now: Duration) {
        let Counted { tasks, watched, .. } = &mut *self.0.lock();
        let Some(watched) = watched.get_mut(task) else { return };
        watched.settle(now);
        watched.state = state;
        if !watched.has_started && matches!(state, RunState::Running | RunState::Paused | RunState::Failed) {
            watched.has_started = true;
            *(if state == RunState::Failed { &mut tasks.failed } else { &mut tasks.succeeded }) += 1;
        }
    }

    pub(crate) fn task_ended(&self, task: &TaskName) {
        self.0.lock().watched.remove(task);
    }

    pub(crate) fn epoch_is(&self, epoch: i64) {
        self.0.lock().epoch = epoch;
    }

    pub(crate) fn figures(&self, now: Duration) -> Figures {
        let mut counted = self.0.lock();
        let shares = counted.watched.iter_mut().map(|(task, watched)| (task.clone(), watched.shares(now))).collect();
        Figures {
            connectors: counted.connectors,
            tasks: counted.tasks,
            shares,
            epoch: counted.epoch,
            now,
            ..Figures::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_time_of_an_instance_is_shared_out_among_its_states() {
        let (tally, task) = (Tally::default(), ("c".to_owned(), 0));
        tally.task_begun(&task, at(0));
        tally.task_is(&task, RunState::Running, at(2));
        tally.task_is(&task, RunState::Paused, at(7));
        let shares = tally.figures(at(10)).shares[&task];
        assert_eq!((shares.running, shares.paused), (0.5, 0.3));
        tally.task_ended(&task);
        assert!(tally.figures(at(10)).shares.is_empty());
    }

    #[test]
    fn an_instance_that_fails_after_it_ran_had_started() {
        let (tally, [a, b]) = (Tally::default(), [("c".to_owned(), 0), ("c".to_owned(), 1)]);
        for task in [&a, &b] {
            tally.task_begun(task, at(0));
        }
        tally.task_is(&a, RunState::Running, at(1));
        tally.task_is(&a, RunState::Failed, at(2));
        tally.task_is(&b, RunState::Failed, at(2));
        assert_eq!(tally.figures(at(3)).tasks, Starts { attempts: 2, succeeded: 1, failed: 1 });
    }
}

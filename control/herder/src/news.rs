//! News of tasks on their way to the loop.
use crate::ports::{TaskChange, TaskEvent};
use elasticflow_api::position::TaskId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;

/// A mailbox in which the newest state of each task waits, so that the runtime never waits for the herder and what waits
/// is bounded by the number of tasks and their topics.
#[derive(Clone, Default)]
pub struct TaskNews(Arc<Mailbox>);

#[derive(Default)]
struct Mailbox {
    waiting: Mutex<BTreeMap<TaskId, Waiting>>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    generation: u64,
    state: Option<TaskChange>,
    topics: BTreeSet<String>,
    doing: Option<String>,
}

impl TaskNews {
    /// Leaves news of a task; never blocks. A state that still waits is replaced, news of an older instance is dropped.
    pub fn push(&self, event: TaskEvent) {
        let mut mailbox = self.0.waiting.lock();
        let waiting = mailbox.entry(event.task).or_default();
        if event.generation < waiting.generation {
            return;
        }
        if event.generation > waiting.generation {
            *waiting = Waiting { generation: event.generation, ..Waiting::default() };
        }
        match event.change {
            TaskChange::TopicsUsed(topics) => waiting.topics.extend(topics),
            TaskChange::Doing(words) => waiting.doing = Some(words),
            state => waiting.state = Some(state),
        }
        drop(mailbox);
        self.0.arrived.notify_one();
    }

    /// What has arrived since the last call; waits for something to arrive. Cancel-safe.
    pub(crate) async fn take(&self) -> Vec<TaskEvent> {
        loop {
            let waiting = std::mem::take(&mut *self.0.waiting.lock());
            if !waiting.is_empty() {
                return waiting.into_iter().flat_map(|(task, w)| events(&task, w)).collect();
            }
            self.0.arrived.notified().await;
        }
    }
}

fn events(task: &TaskId, waiting: Waiting) -> Vec<TaskEvent> {
    let topics = (!waiting.topics.is_empty()).then(|| TaskChange::TopicsUsed(waiting.topics.into_iter().collect()));
    let event = |change| TaskEvent { task: task.clone(), generation: waiting.generation, change };
    waiting.state.into_iter().chain(topics).chain(waiting.doing.map(TaskChange::Doing)).map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::position::TaskIndex;

    fn event(task: u32, generation: u64, change: TaskChange) -> TaskEvent {
        let task = TaskId { group: "g".into(), connector: "c".into(), task: TaskIndex(task) };
        TaskEvent { task, generation, change }
    }

    #[tokio::test]
    async fn the_newest_state_of_each_task_and_all_its_topics_arrive() {
        let news = TaskNews::default();
        news.push(event(0, 1, TaskChange::Running));
        news.push(event(0, 1, TaskChange::TopicsUsed(vec!["a".to_owned()])));
        news.push(event(0, 1, TaskChange::TopicsUsed(vec!["b".to_owned()])));
        news.push(event(1, 1, TaskChange::Running));
        news.push(event(0, 1, TaskChange::Paused));
        let topics = TaskChange::TopicsUsed(vec!["a".to_owned(), "b".to_owned()]);
        let expected = [event(0, 1, TaskChange::Paused), event(0, 1, topics), event(1, 1, TaskChange::Running)];
        assert_eq!(news.take().await, expected);
    }

    #[tokio::test]
    async fn news_of_an_older_instance_does_not_replace_that_of_the_newer_one() {
        let news = TaskNews::default();
        news.push(event(0, 2, TaskChange::Running));
        news.push(event(0, 1, TaskChange::Failed { trace: "late".to_owned() }));
        assert_eq!(news.take().await, [event(0, 2, TaskChange::Running)]);
    }
}

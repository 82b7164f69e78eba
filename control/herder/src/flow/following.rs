//! Every worker's part: follow the flow topic, have limits enforced, report how tasks fare.
use super::board::Board;
use super::picture::{cap_of, priority_of};
use super::port::{Allowance, FlowPort, Order, Overruled, TaskFlow};
use super::quotas::waits_for_quota;
use super::ranks::Ranks;
use crate::handle::HerderHandle;
use elasticflow_api::clock::Clock;
use elasticflow_api::position::TaskId;
use elasticflow_flow::Shrinking;
use elasticflow_store::flow::{FlowRecord, FlowTopic, GrantRow, ReportRow, TaskReport, VERSION};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A report that says nothing new is sent once in so many periods.
const BEAT: u32 = 5;

/// What a worker keeps between periods.
pub(crate) struct Follower {
    pub(crate) worker: String,
    pub(crate) handle: HerderHandle,
    pub(crate) port: Arc<dyn FlowPort>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Arc<Mutex<Board>>,
    pub(crate) topic: Arc<FlowTopic>,
    /// What was ordered last, by task and instance.
    pub(crate) ordered: BTreeMap<TaskId, (u64, Order)>,
    /// How much less is read because of this worker's memory, and the share of it that was used at the last look.
    pub(crate) shrinking: Shrinking,
    pub(crate) memory: Option<f64>,
    /// The last report, and for how many periods it has said all there is.
    pub(crate) reported: (Vec<TaskReport>, u32),
}

impl Follower {
    /// One period: orders for tasks that run here, and a report of them.
    pub(crate) fn period(&mut self) {
        let tasks = self.port.tasks();
        self.enforce(&tasks);
        self.report(&tasks);
    }

    /// Orders what has changed; a new instance is told in any case.
    pub(crate) fn enforce(&mut self, tasks: &[TaskFlow]) {
        let halvings = self.shrink(tasks);
        let connectors = self.handle.view.all();
        let ranks = Ranks::of(&connectors, &self.handle.context.options.worker);
        let board = self.board.lock();
        let mut ordered = BTreeMap::new();
        for flow in tasks {
            let halvings = halvings.get(flow.task.connector.as_ref()).copied().unwrap_or(0);
            let precedence = ranks.of_sink(&flow.task.connector);
            let order = Order { halvings, precedence, ..order_for(&board, flow, self.waits(flow)) };
            let before = self.ordered.remove(&flow.task);
            if before.as_ref().is_none_or(|(instance, old)| *instance != flow.instance || *old != order) {
                self.port.order(&flow.task, &order);
            }
            ordered.insert(flow.task.clone(), (flow.instance, order));
        }
        self.ordered = ordered;
    }

    /// How often the batches of each source that runs here are halved, because of this worker's memory.
    fn shrink(&mut self, tasks: &[TaskFlow]) -> BTreeMap<String, u32> {
        let Some(used) = self.port.memory() else { return BTreeMap::new() };
        self.memory = Some((used * 1000.0).round() / 1000.0);
        let (connectors, worker) = (self.handle.view.connectors.read(), &self.handle.context.options.worker);
        let priority = |flow: &TaskFlow| {
            let name = flow.task.connector.as_ref();
            Some((name.to_owned(), priority_of(connectors.get(name)?, worker)?))
        };
        let priorities: BTreeMap<String, u8> = tasks.iter().filter_map(priority).collect();
        let classes: BTreeSet<u8> = priorities.values().copied().collect();
        let count = u32::try_from(classes.len()).unwrap_or(u32::MAX);
        self.shrinking = self.shrinking.step(used, count, self.clock.monotonic());
        let ranks: BTreeMap<u8, u32> = classes.into_iter().zip(0..).collect();
        let of = |(name, priority): (String, u8)| {
            (name, self.shrinking.of_class(ranks.get(&priority).copied().unwrap_or(0)))
        };
        priorities.into_iter().map(of).collect()
    }

    /// What a task's connector has that its tasks wait for.
    fn waits(&self, flow: &TaskFlow) -> Waits {
        let (connectors, worker) = (self.handle.view.connectors.read(), &self.handle.context.options.worker);
        let connector = connectors.get(flow.task.connector.as_ref());
        Waits {
            cap: connector.is_some_and(|connector| cap_of(connector, worker)),
            quota: connector.is_some_and(|connector| waits_for_quota(connector, worker)),
        }
    }

    fn report(&mut self, tasks: &[TaskFlow]) {
        let tasks: Vec<TaskReport> = tasks.iter().map(report_of).collect();
        let (last, same) = &mut self.reported;
        // The first report without news is sent: rates are differences, and now they are nothing.
        *same = if tasks == *last { *same + 1 } else { 0 };
        let is_due = *same <= 1 || same.is_multiple_of(BEAT);
        if !is_due || (tasks.is_empty() && last.is_empty()) {
            return;
        }
        last.clone_from(&tasks);
        let at_ms = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let load = self.port.load().map(|load| (load * 1000.0).round() / 1000.0);
        let row = Some(ReportRow { v: VERSION, at_ms, load, memory: self.memory, tasks });
        self.topic.put(&FlowRecord::Report { worker: self.worker.clone(), row });
    }
}

/// What a task must have been given before it may do anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Waits {
    cap: bool,
    quota: bool,
}

/// What a task's row says; without one it is free.
/// A capped source without a grant of its own may send nothing, and neither may a task without a part of its quota.
fn order_for(board: &Board, flow: &TaskFlow, waits: Waits) -> Order {
    let connector = flow.task.connector.as_ref();
    let index = flow.task.task.0;
    let limit = board.limits.get(connector).filter(|row| !row.observed);
    let rate = limit.and_then(|row| usize::try_from(index).ok().and_then(|at| row.tasks.get(at)).copied());
    let own = |row: &GrantRow| Some(row.tasks.iter().find(|g| g.task == index && g.instance == flow.instance)?.bytes);
    // A cap may also follow from the retention of a topic, which the leader alone knows.
    let is_capped = waits.cap || board.grants.contains_key(connector);
    let granted = is_capped.then(|| board.grants.get(connector).and_then(own).unwrap_or(0));
    Order {
        bytes_per_second: rate,
        granted_bytes: granted,
        quota: if waits.quota { allowance(board, flow) } else { Allowance::default() },
        reason: limit.and_then(|row| row.reasons.first()).map(|reason| reason.code.clone()),
        halvings: 0,
        breaker: board.breakers.get(connector).map(|row| if row.open { Overruled::Open } else { Overruled::Closed }),
        precedence: Arc::default(),
    }
}

fn allowance(board: &Board, flow: &TaskFlow) -> Allowance {
    let tasks = board.quotas.get(flow.task.connector.as_ref()).into_iter().flat_map(|row| &row.tasks);
    let mut own = tasks.filter(|task| task.task == flow.task.task.0 && task.instance == flow.instance);
    match own.next() {
        Some(task) => Allowance { records: task.granted[0], bytes: task.granted[1] },
        None => Allowance { records: Some(0), bytes: None },
    }
}

fn report_of(flow: &TaskFlow) -> TaskReport {
    TaskReport {
        connector: flow.task.connector.to_string(),
        task: flow.task.task.0,
        instance: flow.instance,
        records: flow.records,
        bytes: flow.bytes,
        arrived: flow.arrived,
        blocked_ms: u64::try_from(flow.blocked.as_millis()).unwrap_or(u64::MAX),
        state: flow.state.to_owned(),
        reason: flow.reason.map(str::to_owned),
        detail: flow.detail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::position::TaskIndex;
    use elasticflow_store::flow::{LimitRow, QuotaRow, QuotaTask, TaskGrant};
    use std::time::Duration;

    const NONE: Waits = Waits { cap: false, quota: false };
    const CAP: Waits = Waits { cap: true, quota: false };

    fn flow(instance: u64) -> TaskFlow {
        let task = TaskId { group: "g".into(), connector: "s".into(), task: TaskIndex(1) };
        let blocked = Duration::ZERO;
        TaskFlow {
            task,
            instance,
            records: 1,
            bytes: 100,
            arrived: None,
            blocked,
            state: "free",
            reason: None,
            detail: None,
        }
    }

    fn limit(observed: bool) -> LimitRow {
        LimitRow {
            v: VERSION,
            state: "limited".to_owned(),
            bytes_per_second: Some(100.0),
            observed,
            floor: 1.0,
            tasks: vec![60.0, 40.0],
            reasons: Vec::new(),
            caps: Vec::new(),
        }
    }

    #[test]
    fn a_task_gets_its_part_of_the_limit_and_nothing_when_it_is_only_observed() {
        let mut board = Board::default();
        assert_eq!(order_for(&board, &flow(1), NONE), Order::default());
        board.limits.insert("s".to_owned(), limit(false));
        assert_eq!(order_for(&board, &flow(1), NONE).bytes_per_second, Some(40.0));
        board.limits.insert("s".to_owned(), limit(true));
        assert_eq!(order_for(&board, &flow(1), NONE).bytes_per_second, None);
    }

    #[test]
    fn a_part_of_a_quota_is_for_one_instance_alone() {
        let mut board = Board::default();
        let tasks = vec![QuotaTask { task: 1, instance: 7, from: [0, 0], granted: [Some(50), None] }];
        let row = QuotaRow {
            v: VERSION,
            window: "1d".to_owned(),
            zone: "UTC".to_owned(),
            start_ms: 0,
            end_ms: None,
            resets: String::new(),
            most: [Some(100), None],
            holds: true,
            used: [0, 0],
            tasks,
        };
        board.quotas.insert("s".to_owned(), row);
        let of = |instance, quota| order_for(&board, &flow(instance), Waits { cap: false, quota }).quota.records;
        assert_eq!((of(7, true), of(8, true), of(7, false)), (Some(50), Some(0), None));
    }

    #[test]
    fn a_grant_is_for_one_instance_alone() {
        let mut board = Board::default();
        let tasks = vec![TaskGrant { task: 1, instance: 7, bytes: 500 }];
        board.grants.insert("s".to_owned(), GrantRow { v: VERSION, tasks });
        assert_eq!(order_for(&board, &flow(7), CAP).granted_bytes, Some(500));
        assert_eq!(
            order_for(&board, &flow(8), CAP).granted_bytes,
            Some(0),
            "a new instance waits for a grant of its own"
        );
        board.grants.clear();
        assert_eq!(order_for(&board, &flow(7), NONE).granted_bytes, None, "the cap was taken away");
    }
}

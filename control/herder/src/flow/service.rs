//! The tasks of flow control on one worker: one follows and reports, one leads while this worker does.
use super::board::Board;
use super::capping::Capping;
use super::following::Follower;
use super::hooks::HookPort;
use super::incidents::Incidents;
use super::leading::Lead;
use super::port::FlowPort;
use super::pressing::Pressing;
use super::quotas::Quotas;
use super::retention::Retention;
use super::sampling::Partitions;
use super::tracking::Tracking;
use crate::handle::HerderHandle;
use crate::ports::Membership;
use elasticflow_api::clock::Clock;
use elasticflow_config::Properties;
use elasticflow_flow::Shrinking;
use elasticflow_kafka::ports::Kafka;
use elasticflow_store::InternalTopic;
use elasticflow_store::flow::{FlowEvent, FlowRecord, FlowTopic};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time between samples: default, shortest and longest.
const INTERVAL_MS: u64 = 1_000;
const INTERVAL_LEAST_MS: u64 = 200;
const INTERVAL_MOST_MS: u64 = 10_000;
/// Share of its processors that a worker is steered to.
const CPU_GOAL: f64 = 0.85;
/// Longest wait at the end for the last rows.
const LAST_ROWS: Duration = Duration::from_secs(1);

/// What flow control works with.
pub struct FlowPorts {
    /// Kafka.
    pub kafka: Arc<dyn Kafka>,
    /// The runtime.
    pub tasks: Arc<dyn FlowPort>,
    /// Leadership.
    pub membership: Arc<dyn Membership>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// `flow.storage.topic`.
    pub topic: InternalTopic,
    /// Where incidents are told; `None`: nowhere.
    pub hook: Option<Arc<dyn HookPort>>,
}

/// What is known of limits, for answers and metrics. Cheap to clone; any worker knows the same.
#[derive(Clone)]
pub struct FlowHandle {
    pub(super) board: Arc<Mutex<Board>>,
    pub(super) herder: HerderHandle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) interval: Duration,
    /// Gone where there is no flow control, or none any more.
    pub(super) topic: Weak<FlowTopic>,
    /// Where incidents are told.
    pub(super) hook: Option<Arc<dyn HookPort>>,
}

/// The running tasks.
pub struct FlowService {
    stop: CancellationToken,
    runs: Vec<JoinHandle<()>>,
}

impl FlowHandle {
    /// A worker without flow control: every connector is free.
    pub fn off(herder: HerderHandle) -> Self {
        let clock = Arc::clone(&herder.context.clock);
        let interval = Duration::from_millis(INTERVAL_MS);
        Self { board: Arc::default(), herder, clock, interval, topic: Weak::new(), hook: None }
    }
}

impl FlowService {
    /// Ends following and leading; limits in force stay.
    pub async fn stop(self) {
        self.stop.cancel();
        for run in self.runs {
            if run.await.is_err() {
                tracing::warn!("a task of flow control ended unexpectedly");
            }
        }
    }
}

/// `flow.sample.interval.ms`, within its range.
fn interval(herder: &HerderHandle) -> Duration {
    let asked = herder.context.options.worker.value("flow.sample.interval.ms").and_then(|ms| ms.trim().parse().ok());
    Duration::from_millis(asked.unwrap_or(INTERVAL_MS).clamp(INTERVAL_LEAST_MS, INTERVAL_MOST_MS))
}

/// `worker.cpu.goal`, within its range.
fn goal(worker: &Properties) -> f64 {
    let asked = worker.value("worker.cpu.goal").and_then(|goal| goal.trim().parse().ok());
    asked.unwrap_or(CPU_GOAL).clamp(0.1, 1.0)
}

/// Starts flow control; answers at once.
pub fn start(herder: HerderHandle, ports: FlowPorts) -> (FlowHandle, FlowService) {
    let FlowPorts { kafka, tasks, membership, clock, topic, hook } = ports;
    let (topic, events) = FlowTopic::open(Arc::clone(&kafka), topic, Arc::clone(&clock));
    let (topic, board, stop) = (Arc::new(topic), Arc::new(Mutex::new(Board::default())), CancellationToken::new());
    let (interval, goal) = (interval(&herder), goal(&herder.context.options.worker));
    let handle = FlowHandle {
        board: Arc::clone(&board),
        herder: herder.clone(),
        clock: Arc::clone(&clock),
        interval,
        topic: Arc::downgrade(&topic),
        hook: hook.clone(),
    };
    let follower = Follower {
        worker: herder.context.options.worker_id.clone(),
        handle: herder.clone(),
        port: tasks,
        clock: Arc::clone(&clock),
        board: Arc::clone(&board),
        topic: Arc::clone(&topic),
        ordered: BTreeMap::new(),
        shrinking: Shrinking::default(),
        memory: None,
        reported: (Vec::new(), 0),
    };
    let lead = Lead {
        handle: herder,
        kafka,
        clock: Arc::clone(&clock),
        board,
        topic,
        interval,
        tracking: Tracking::default(),
        partitions: Partitions::default(),
        capping: Capping::default(),
        quota_memory: Quotas::default(),
        retention: Retention::default(),
        pressing: Pressing::default(),
        goal,
        incidents: Incidents::new(hook),
        periods: 0,
    };
    let leads = lead_while_told(lead, membership, stop.clone());
    let runs = vec![tokio::spawn(follow(follower, events, (interval, stop.clone()))), tokio::spawn(leads)];
    (handle, FlowService { stop, runs })
}

/// Reads rows and does its part once a period. Rows about limits take effect as they come.
async fn follow(
    mut follower: Follower,
    mut events: mpsc::Receiver<FlowEvent>,
    (interval, stop): (Duration, CancellationToken),
) {
    let clock = Arc::clone(&follower.clock);
    let mut tick = clock.sleep(interval);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = &mut tick => {
                tick = clock.sleep(interval);
                follower.period();
            }
            event = events.recv() => match event {
                Some(event) => on_event(&mut follower, event),
                None => break,
            },
        }
    }
    let gone = FlowRecord::Report { worker: follower.worker.clone(), row: None };
    follower.topic.put(&gone);
    // The topic ends its writing once the leader's task has let go of it, too; what is put is written then.
    drop(events);
    clock.sleep(LAST_ROWS.min(interval)).await;
}

fn on_event(follower: &mut Follower, event: FlowEvent) {
    let now = follower.clock.monotonic();
    match event {
        FlowEvent::Record(record) => {
            use FlowRecord::{Breaker, Grant, Limit, Quota};
            let orders = matches!(record, Limit { .. } | Grant { .. } | Breaker { .. } | Quota { .. });
            follower.board.lock().read(record, now);
            if orders {
                let tasks = follower.port.tasks();
                follower.enforce(&tasks);
            }
        }
        FlowEvent::Loaded => follower.board.lock().loaded = true,
        FlowEvent::Problem(problem) => {
            tracing::error!(%problem, "a record of the flow topic cannot be used; this worker does not lead flow control");
            follower.board.lock().unreadable = Some(problem.to_string());
        }
        FlowEvent::Waiting(reason) => tracing::debug!(reason, "the flow topic cannot be read"),
        FlowEvent::Refused(why) => tracing::error!(why, "there is no flow control: the flow topic cannot be used"),
    }
}

/// Leads once a period while this worker is the leader and knows what is in force.
async fn lead_while_told(mut lead: Lead, membership: Arc<dyn Membership>, stop: CancellationToken) {
    let clock = Arc::clone(&lead.clock);
    let mut led = false;
    let mut due = clock.monotonic() + lead.interval;
    while stop.run_until_cancelled(clock.sleep(due.saturating_sub(clock.monotonic()))).await.is_some() {
        due = (due + lead.interval).max(clock.monotonic());
        let leads = || membership.leases().leads;
        let may = {
            let board = lead.board.lock();
            board.loaded && board.unreadable.is_none()
        };
        if !leads() || !may {
            led = false;
            continue;
        }
        if !led {
            // What another leader has done meanwhile is in the rows, not in memory.
            (lead.tracking, lead.capping, led) = (Tracking::default(), Capping::default(), true);
            (lead.quota_memory, lead.retention) = (Quotas::default(), Retention::default());
            lead.pressing = Pressing::default();
            lead.incidents.begin(&lead.board.lock().alerts);
            tracing::info!("this worker leads flow control");
        }
        if stop.run_until_cancelled(lead.period(leads)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_of_the_processors_is_the_workers_key_within_its_range() {
        let of = |text: &str| goal(&Properties::from_iter([("worker.cpu.goal", text)]));
        assert_eq!((of(" 0.5 "), of("7"), of("much")), (0.5, 1.0, CPU_GOAL));
        assert_eq!(goal(&Properties::default()), CPU_GOAL);
    }
}

//! A runtime on the fake, with its events.
use super::connectors::{SourceScript, registry};
use super::state::FakeKafka;
use crate::{
    AlwaysAssigned, Happening, RestartPolicy, Runtime, RuntimeOptions, SeededRandom, TaskEvent, TaskKind, TaskLimits,
    TaskSpec, TaskState,
};
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::position::{TaskId, TaskIndex};
use elasticflow_api::registry::{Registry, TaskConfig};
use elasticflow_config::Properties;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Tokio's clock, which a test may pause.
struct TestClock(tokio::time::Instant);

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        1_700_000_000_000
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

/// A clock of the calendar whose hour a test turns.
struct TurnedClock(TestClock, Arc<AtomicI64>);

impl Clock for TurnedClock {
    fn wall_ms(&self) -> i64 {
        self.0.wall_ms() + self.1.load(Ordering::SeqCst) * 3_600_000
    }
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        self.0.sleep(for_)
    }
}

/// A clock that is so many hours ahead.
pub(crate) fn clock_at(hours: &Arc<AtomicI64>) -> Arc<dyn Clock> {
    Arc::new(TurnedClock(TestClock(tokio::time::Instant::now()), Arc::clone(hours)))
}

pub(crate) struct Fixture {
    pub(crate) kafka: FakeKafka,
    pub(crate) options: RuntimeOptions,
    events: Arc<Mutex<Vec<TaskEvent>>>,
}

impl Fixture {
    pub(crate) fn new(source: Option<Arc<SourceScript>>) -> Self {
        Self::with(registry(source))
    }

    pub(crate) fn with(registry: Registry) -> Self {
        let kafka = FakeKafka::default();
        kafka.create("offsets", 3);
        kafka.create("out", 1);
        let events: Arc<Mutex<Vec<TaskEvent>>> = Arc::default();
        let seen = Arc::clone(&events);
        let options = RuntimeOptions {
            group: "g".into(),
            kafka: Arc::new(kafka.clone()),
            registry: Arc::new(registry),
            clock: Arc::new(TestClock(tokio::time::Instant::now())),
            random: Arc::new(SeededRandom::new(7)),
            assignment: Arc::new(AlwaysAssigned),
            events: Arc::new(move |event| seen.lock().push(event)),
            worker: Properties::from_iter([
                ("key.converter", "test.Plain"),
                ("value.converter", "test.Plain"),
                ("header.converter", "test.PlainHeaders"),
            ]),
            offsets_topic: "offsets".to_owned(),
            decisions_topic: "decisions".to_owned(),
            decisions_replication: None,
            exactly_once_sources: true,
            topic_creation: true,
            offset_flush_interval: Duration::from_secs(60),
            graceful_timeout: Duration::from_secs(5),
            limits: TaskLimits::default(),
            restart: RestartPolicy::default(),
        };
        Self { kafka, options, events }
    }

    /// The same on a real client.
    pub(crate) fn on(mut self, kafka: Arc<dyn elasticflow_kafka::ports::Kafka>) -> Self {
        self.options.kafka = kafka;
        self
    }

    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::new(self.options.clone())
    }

    pub(crate) fn id(&self, connector: &str, task: u32) -> TaskId {
        TaskId { group: Arc::clone(&self.options.group), connector: connector.into(), task: TaskIndex(task) }
    }

    pub(crate) fn spec(&self, kind: TaskKind, keys: &[(&str, &str)]) -> TaskSpec {
        let class = if kind == TaskKind::Source { "test.Source" } else { "test.Sink" };
        TaskSpec {
            id: self.id("c", 0),
            kind,
            properties: keys
                .iter()
                .fold(Properties::default().with("connector.class", class), |p, (k, v)| p.with(k, *v)),
            task: TaskConfig::default(),
            tasks: 1,
            paused: false,
            generation: 1,
            version_epoch: 0,
        }
    }

    pub(crate) fn states(&self) -> Vec<TaskState> {
        let events = self.events.lock();
        let states = events.iter().filter_map(|e| match &e.what {
            Happening::State(s) => Some(s.clone()),
            _ => None,
        });
        states.collect()
    }

    /// Looks at what comes from now on.
    pub(crate) fn forget_events(&self) {
        self.events.lock().clear();
    }

    pub(crate) fn saw(&self, what: &Happening) -> bool {
        self.events.lock().iter().any(|e| e.what == *what)
    }

    /// The trace of the last FAILED.
    pub(crate) async fn failure(&self) -> String {
        until("the task fails", || matches!(self.states().last(), Some(TaskState::Failed { .. }))).await;
        match self.states().pop() {
            Some(TaskState::Failed { trace }) => trace,
            other => panic!("{other:?}"),
        }
    }
}

/// Waits for a condition, in the clock of the test.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..600_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("did not happen: {what}");
}

//! What the runtime gives to tasks, scripted, and a source that is run like the runtime runs it.
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::config::Properties;
use elasticflow_api::context::{
    ConnectorContext, Errant, Lease, Limits, SinkContext, SinkFlow, SourceContext, StoredOffsets, Unguarded,
};
use elasticflow_api::data::{Record, Value};
use elasticflow_api::error::{ConnectorError, ErrorClass, RecordError, Result};
use elasticflow_api::position::{SourceOffset, SourcePartition, SourcePosition, TaskId, TaskIndex, TopicPartition};
use elasticflow_api::registry::{Plugin, PluginKind, Registry, TaskConfig};
use elasticflow_api::sink::{SinkKind, SinkRecord, TwoPhaseSink};
use elasticflow_api::source::SourceTask;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that stands still but for sleeps, which take no time.
pub(crate) struct Leaping {
    wall_ms: i64,
    slept_ms: AtomicU64,
}

impl Leaping {
    pub(crate) fn new() -> Arc<Self> {
        let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
        Arc::new(Self { wall_ms, slept_ms: AtomicU64::new(0) })
    }

    pub(crate) fn leap(&self, ms: u64) {
        self.slept_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Leaping {
    fn wall_ms(&self) -> i64 {
        self.wall_ms + i64::try_from(self.slept_ms.load(Ordering::SeqCst)).unwrap()
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(1 + self.slept_ms.load(Ordering::SeqCst))
    }
    fn sleep(&self, wait: Duration) -> Boxed<'static, ()> {
        self.leap(wait.as_millis().try_into().unwrap());
        Box::pin(async {})
    }
}

/// Collects rejected offsets and their reasons, or refuses as `errors.tolerance=none` does.
#[derive(Default)]
pub(crate) struct Rejected {
    pub(crate) records: Mutex<Vec<(i64, String)>>,
    pub(crate) intolerant: bool,
}

impl Errant for Rejected {
    fn reject(&self, record: &SinkRecord, error: RecordError) -> Result<()> {
        if self.intolerant {
            return Err(ConnectorError {
                class: ErrorClass::Record,
                code: "TEST-0001",
                message: error.to_string(),
                source: None,
            });
        }
        self.records.lock().unwrap().push((record.origin.offset.0, error.reason));
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Flow {
    pub(crate) commits: AtomicU64,
}

impl SinkFlow for Flow {
    fn pause(&self, _: &[TopicPartition]) {}
    fn resume(&self, _: &[TopicPartition]) {}
    fn request_commit(&self) {
        self.commits.fetch_add(1, Ordering::SeqCst);
    }
}

struct Held;

impl Lease for Held {
    fn valid(&self) -> bool {
        true
    }
}

pub(crate) fn task_id(connector: &str) -> TaskId {
    TaskId { group: Arc::from("g"), connector: Arc::from(connector), task: TaskIndex(0) }
}

pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    for entry in elasticflow_file::plugins() {
        registry.add(entry).unwrap();
    }
    registry
}

pub(crate) fn sink_context(connector: &str, errant: Arc<Rejected>, flow: Arc<Flow>) -> SinkContext {
    SinkContext {
        task: task_id(connector),
        version_epoch: 0,
        clock: Leaping::new(),
        errant,
        buffer_max: Limits { records: 1000, bytes: 1 << 20 },
        flow,
        lease: Arc::new(Held),
        endpoint: Arc::new(Unguarded),
    }
}

/// A sink task with its context.
pub(crate) struct Sink {
    pub(crate) task: Box<dyn TwoPhaseSink>,
    pub(crate) cx: SinkContext,
    pub(crate) errant: Arc<Rejected>,
    pub(crate) flow: Arc<Flow>,
}

impl Sink {
    pub(crate) async fn start(connector: &str, properties: &Properties) -> Result<Self> {
        let registry = registry();
        let entry = registry.find(PluginKind::Sink, "elasticflow.connectors.FileSinkConnector").unwrap();
        let Plugin::Sink(plugin) = &entry.plugin else { panic!("no sink") };
        let SinkKind::TwoPhase(mut task) = plugin.task(properties, TaskConfig::default())? else {
            panic!("not two-phase")
        };
        let (errant, flow) = (Arc::new(Rejected::default()), Arc::new(Flow::default()));
        let cx = sink_context(connector, Arc::clone(&errant), Arc::clone(&flow));
        task.start(&cx).await?;
        Ok(Self { task, cx, errant, flow })
    }
}

pub(crate) struct Stored(pub(crate) Vec<(SourcePartition, SourceOffset)>);

impl StoredOffsets for Stored {
    fn get(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        Ok(self.0.iter().rev().find(|(p, _)| p == partition).map(|(_, o)| o.clone()))
    }
    fn all(&self) -> Result<Vec<(SourcePartition, SourceOffset)>> {
        Ok(self.0.clone())
    }
}

/// A source task and what Kafka would hold: records and the last position of each partition.
pub(crate) struct Source {
    pub(crate) task: Box<dyn SourceTask>,
    pub(crate) cx: SourceContext,
    pub(crate) clock: Arc<Leaping>,
    pub(crate) records: Vec<Record>,
    /// Reasons and bytes of what could not be read.
    pub(crate) rejected: Vec<(String, Option<String>)>,
    pub(crate) stored: Vec<SourcePosition>,
}

impl Source {
    pub(crate) async fn start(properties: &Properties, stored: &[SourcePosition]) -> Result<Self> {
        Self::start_as("elasticflow.connectors.FileSourceConnector", properties, stored, 3).await
    }

    pub(crate) async fn start_as(
        class: &str,
        properties: &Properties,
        stored: &[SourcePosition],
        records: usize,
    ) -> Result<Self> {
        let clock = Leaping::new();
        let registry = registry();
        let Plugin::Source(plugin) = &registry.find(PluginKind::Source, class).unwrap().plugin else {
            panic!("no source")
        };
        let planning = ConnectorContext { clock: Arc::<Leaping>::clone(&clock), replan: Arc::new(|| {}) };
        let tasks = plugin.plan(properties, 1, &planning).await?;
        let mut task = plugin.task(properties, tasks[0].clone())?;
        let offsets = stored.iter().map(|p| ((*p.partition).clone(), (*p.offset).clone())).collect();
        let cx = SourceContext {
            task: task_id("c"),
            clock: Arc::<Leaping>::clone(&clock),
            offsets: Arc::new(Stored(offsets)),
            batch_max: Limits { records, bytes: 1 << 20 },
            poll_max: Duration::from_millis(100),
        };
        task.start(&cx).await?;
        Ok(Self { task, cx, clock, records: Vec::new(), rejected: Vec::new(), stored: stored.to_vec() })
    }

    /// One poll; positions count as committed but the task is not told.
    pub(crate) async fn poll(&mut self) -> Result<usize> {
        let batch = self.task.poll(&self.cx).await?;
        let count = batch.records.len() + batch.rejected.len() + batch.progress.len();
        for record in batch.records {
            self.records.push(record.record);
            if let Some(position) = record.position {
                self.note(position);
            }
        }
        for bad in batch.rejected {
            let text = bad.value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            self.rejected.push((bad.error.to_string(), text));
            if let Some(position) = bad.position {
                self.note(position);
            }
        }
        for position in batch.progress {
            self.note(position);
        }
        Ok(count)
    }

    fn note(&mut self, position: SourcePosition) {
        self.stored.retain(|p| p.partition != position.partition);
        self.stored.push(position);
    }

    /// Polls until several polls in a row find nothing.
    pub(crate) async fn drain(&mut self) -> Result<()> {
        let mut idle = 0;
        while idle < 20 {
            idle = if self.poll().await? == 0 { idle + 1 } else { 0 };
        }
        Ok(())
    }

    pub(crate) async fn committed(&mut self) {
        self.task.committed(&self.stored.clone()).await.unwrap();
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.records.iter().map(|record| text(&record.value.value)).collect()
    }
}

/// A value in short: fields joined with a bar.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.to_string(),
        Value::Struct(row) => row.values.iter().map(text).collect::<Vec<_>>().join("|"),
        other => format!("{other:?}"),
    }
}

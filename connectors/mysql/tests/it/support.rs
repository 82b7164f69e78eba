//! What tests run a task with: a clock, stored offsets, a server to talk to.
use crate::converters::Converters;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::context::{Limits, SourceContext, StoredOffsets};
use elasticflow_api::convert::Converter;
use elasticflow_api::error::Result;
use elasticflow_api::position::{SourceOffset, SourcePartition, SourcePosition, TaskId, TaskIndex};
use elasticflow_api::source::{Boundary, SourceBatch, SourceRecord, SourceTask};
use elasticflow_config::{Properties, parse};
use elasticflow_mysql::config::CdcConfig;
use elasticflow_mysql::position::LogPosition;
use elasticflow_mysql::task::CdcTask;
use mysql_async::prelude::Queryable;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The system's time.
pub(crate) struct SystemClock(Instant);

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

/// The offsets topic of a test.
#[derive(Default)]
pub(crate) struct Offsets(Mutex<Option<(SourcePartition, SourceOffset)>>);

impl Offsets {
    pub(crate) fn set(&self, position: &SourcePosition) {
        *self.0.lock().unwrap() = Some(((*position.partition).clone(), (*position.offset).clone()));
    }
    /// The same in a topic of its own.
    pub(crate) fn copy(&self) -> Arc<Self> {
        Arc::new(Self(Mutex::new(self.0.lock().unwrap().clone())))
    }
    /// With an offset that another program has stored.
    pub(crate) fn of(server: &str, offset: serde_json::Value) -> Arc<Self> {
        let serde_json::Value::Object(offset) = offset else { panic!("no object: {offset}") };
        let partition = serde_json::Map::from_iter([("server".to_owned(), server.into())]);
        Arc::new(Self(Mutex::new(Some((SourcePartition(partition), SourceOffset(offset))))))
    }
    /// A field of the stored offset.
    pub(crate) fn field(&self, key: &str) -> Option<serde_json::Value> {
        self.0.lock().unwrap().as_ref()?.1.0.get(key).cloned()
    }
    /// Changes a field of the stored offset.
    pub(crate) fn change(&self, key: &str, value: &str) {
        let mut stored = self.0.lock().unwrap();
        stored.as_mut().unwrap().1.0.insert(key.to_owned(), value.into());
    }
}

impl StoredOffsets for Offsets {
    fn get(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        let stored = self.0.lock().unwrap();
        Ok(stored.as_ref().filter(|(p, _)| p == partition).map(|(_, offset)| offset.clone()))
    }
    fn all(&self) -> Result<Vec<(SourcePartition, SourceOffset)>> {
        Ok(self.0.lock().unwrap().iter().cloned().collect())
    }
}

/// A server that tests talk to.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Tests change global settings and count transactions: one at a time.
    pub(crate) _guard: Arc<tokio::sync::OwnedMutexGuard<()>>,
}

impl Server {
    /// The one of the environment, for this test alone; without it, the test is skipped and says so.
    pub(crate) async fn of(prefix: &str, test: &str) -> Option<Self> {
        static ALONE: LazyLock<Arc<tokio::sync::Mutex<()>>> = LazyLock::new(Arc::default);
        let Ok(address) = std::env::var(prefix) else {
            println!("skipped {test}: {prefix} is not set (scripts/services up)");
            return None;
        };
        let (host, port) = address.split_once(':').unwrap();
        let variable =
            |name: &str| std::env::var(format!("{prefix}_{name}")).unwrap_or_else(|_| "elasticflow".to_owned());
        let (user, password) = (variable("USER"), variable("PASSWORD"));
        let guard = Arc::new(Arc::clone(&ALONE).lock_owned().await);
        Some(Self { host: host.to_owned(), port: port.parse().unwrap(), user, password, _guard: guard })
    }

    pub(crate) async fn connect(&self) -> mysql_async::Conn {
        self.connect_as(&self.user, &self.password).await
    }

    pub(crate) async fn connect_as(&self, user: &str, password: &str) -> mysql_async::Conn {
        let opts = mysql_async::OptsBuilder::default()
            .ip_or_hostname(self.host.clone())
            .tcp_port(self.port)
            .user(Some(user))
            .pass(Some(password))
            .prefer_socket(false);
        let mut conn = mysql_async::Conn::new(opts).await.unwrap();
        conn.query_drop("SET NAMES utf8mb4").await.unwrap();
        conn
    }

    /// An empty database of this name.
    pub(crate) async fn database(&self, name: &str) -> mysql_async::Conn {
        let mut conn = self.connect().await;
        conn.query_drop(format!("DROP DATABASE IF EXISTS `{name}`")).await.unwrap();
        conn.query_drop(format!("CREATE DATABASE `{name}`")).await.unwrap();
        conn.query_drop(format!("USE `{name}`")).await.unwrap();
        // A dump by GTIDs looks through its file from the start: a short one.
        conn.query_drop("FLUSH BINARY LOGS").await.unwrap();
        conn
    }

    pub(crate) fn config(&self, extra: &[(&str, &str)]) -> CdcConfig {
        let mut properties = Properties::default()
            .with("database.hostname", self.host.as_str())
            .with("database.port", self.port.to_string())
            .with("database.user", self.user.as_str())
            .with("database.password", self.password.as_str())
            .with("database.ssl.mode", "disabled")
            .with("topic.prefix", "srv")
            .with("include.schema.changes", "false");
        for (key, value) in extra {
            properties = properties.with(key, *value);
        }
        parse(&properties).unwrap()
    }
}

/// A task with the worker's part played by the test: batches are committed at complete boundaries, with their offsets.
pub(crate) struct Harness {
    pub(crate) task: CdcTask,
    pub(crate) cx: SourceContext,
    pub(crate) offsets: Arc<Offsets>,
    /// Committed records.
    pub(crate) records: Vec<SourceRecord>,
    /// Set: the task writes its rows as JSON itself.
    converters: Option<Box<Converters>>,
    open: Vec<SourceRecord>,
    last: Option<SourcePosition>,
    /// Set: transactions are cut at batches, as at a limit of the worker.
    cuts: bool,
}

impl Harness {
    pub(crate) fn new(config: CdcConfig, offsets: &Arc<Offsets>, batch_records: usize) -> Self {
        let cx = SourceContext {
            // Of this process alone: other runs may use the same server.
            task: TaskId {
                group: format!("test{}", std::process::id()).into(),
                connector: "c".into(),
                task: TaskIndex(0),
            },
            clock: Arc::new(SystemClock::new()),
            offsets: Arc::clone(offsets) as Arc<dyn StoredOffsets>,
            batch_max: Limits { records: batch_records, bytes: 16 << 20 },
            poll_max: Duration::from_millis(100),
        };
        let offsets = Arc::clone(offsets);
        Self {
            task: CdcTask::new(config),
            cx,
            offsets,
            records: Vec::new(),
            converters: None,
            open: Vec::new(),
            last: None,
            cuts: false,
        }
    }

    /// Every batch is committed with its position, also one that ends inside a transaction.
    pub(crate) fn cutting(mut self) -> Self {
        self.cuts = true;
        self
    }

    /// The task writes rows as JSON itself, as it does before a JSON converter; with schemas, what is read back has them too.
    pub(crate) fn directly(mut self, schemas: bool) -> Self {
        let converters = Converters::new(&[("schemas.enable", if schemas { "true" } else { "false" })]);
        self.task.written_as(converters.0.json_form().unwrap(), converters.1.json_form().unwrap());
        self.converters = Some(Box::new(converters));
        self
    }

    pub(crate) async fn start(&mut self) -> Result<()> {
        self.task.start(&self.cx).await
    }

    /// One poll; the batch is committed when it is complete.
    pub(crate) async fn poll(&mut self) -> Result<bool> {
        let mut batch = self.task.poll(&self.cx).await?;
        let written = self.converters.as_ref().map(|converters| converters.read_back(&mut batch));
        let SourceBatch { records, progress, boundary, end_of_data, .. } = batch;
        let mut records = written.unwrap_or(records);
        for position in records.iter().filter_map(|r| r.position.clone()).chain(progress) {
            self.last = Some(position);
        }
        self.open.append(&mut records);
        if boundary == Boundary::Complete || self.cuts && self.last.is_some() {
            if let Some(last) = self.last.take() {
                self.offsets.set(&last);
            }
            self.records.append(&mut self.open);
        }
        Ok(end_of_data)
    }

    /// Polls until so many records are committed, within a time.
    pub(crate) async fn until(&mut self, records: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.records.len() < records {
            assert!(Instant::now() < deadline, "{} of {records} records after 30 s", self.records.len());
            self.poll().await.unwrap();
        }
    }

    /// Polls until everything that is in the log has been read.
    pub(crate) async fn caught_up(&mut self, conn: &mut mysql_async::Conn) {
        let mut row: mysql_async::Row = conn.query_first("SHOW MASTER STATUS").await.unwrap().unwrap();
        let target = LogPosition::new(&row.take::<String, _>(0).unwrap(), row.take(1).unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let standing = self.task.standing().unwrap();
            if standing.between && standing.position >= target {
                return;
            }
            assert!(Instant::now() < deadline, "not at {target} after 60 s: {standing:?}");
            self.poll().await.unwrap();
        }
    }

    /// Polls until nothing has come for a while.
    pub(crate) async fn quiet(&mut self) {
        let mut empty = 0;
        while empty < 5 {
            let before = self.records.len() + self.open.len();
            self.poll().await.unwrap();
            empty = if self.records.len() + self.open.len() == before { empty + 1 } else { 0 };
        }
    }

    pub(crate) async fn stop(mut self) -> Vec<SourceRecord> {
        self.task.stop().await;
        self.records
    }
}

//! Internal topics as tables: offsets and decisions, read once a worker and followed, shared by its tasks.
//!
//! One follower a topic owns the reader. A task that starts asks it to read to the end (the high watermark) and then
//! looks into the rows; requests that come together share one reading. Rows are grouped by connector, so that a task
//! looks at its own alone. Progress is not kept: a new worker reads the compacted topic from its start.
use crate::error::{Doing, TaskError};
use crate::supervise::{Owned, spawn};
use bytes::Bytes;
use elasticflow_kafka::ports::{Kafka, KafkaError, LogRecord, TopicLog};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for one follower; as many as tasks may start at the same time.
const WAITING_MAX: usize = 4096;

/// Which connector a key belongs to; `None` for keys that are not understood.
pub(crate) type Owner = fn(&[u8]) -> Option<String>;

type Rows = HashMap<String, HashMap<Bytes, Row>>;
type Answer = oneshot::Sender<Result<(), KafkaError>>;

struct Row {
    value: Bytes,
    first: i64,
    last: i64,
}

/// A key, and where its first and its last record stand in the topic.
pub(crate) struct Placed {
    pub(crate) key: Bytes,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The tables of a worker.
pub(crate) struct Tables {
    kafka: Arc<dyn Kafka>,
    by_topic: Mutex<HashMap<String, Arc<Table>>>,
}

/// One topic.
pub(crate) struct Table {
    rows: Arc<Mutex<Rows>>,
    version: Arc<AtomicU64>,
    requests: mpsc::Sender<Answer>,
    _follower: Owned<()>,
}

impl Tables {
    pub(crate) fn new(kafka: Arc<dyn Kafka>) -> Self {
        Self { kafka, by_topic: Mutex::default() }
    }

    /// The table of a topic; its follower starts with the first call.
    pub(crate) fn table(&self, topic: &str, owner: Owner) -> Arc<Table> {
        let mut tables = self.by_topic.lock();
        let table = tables.entry(topic.to_owned()).or_insert_with(|| {
            let (requests, waiting) = mpsc::channel(WAITING_MAX);
            let rows = Arc::new(Mutex::new(Rows::new()));
            let version = Arc::new(AtomicU64::new(0));
            let follower = Follower {
                kafka: Arc::clone(&self.kafka),
                topic: topic.to_owned(),
                owner,
                rows: Arc::clone(&rows),
                version: Arc::clone(&version),
                waiting,
            };
            Arc::new(Table { rows, version, requests, _follower: spawn(follower.run()) })
        });
        Arc::clone(table)
    }
}

impl Table {
    /// Returns once everything that was in the topic when the call began is in the table.
    pub(crate) async fn read_to_end(&self) -> Result<(), TaskError> {
        let gone = || KafkaError::Retriable("the reader of the topic has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(answer).await.map_err(|_| gone());
        let read = match sent {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(gone())),
            Err(e) => Err(e),
        };
        read.doing("reading an internal topic to its end")
    }

    /// The rows of a connector.
    pub(crate) fn rows(&self, connector: &str) -> Vec<(Bytes, Bytes)> {
        let rows = self.rows.lock();
        rows.get(connector)
            .map(|of| of.iter().map(|(k, row)| (k.clone(), row.value.clone())).collect())
            .unwrap_or_default()
    }

    /// Another number for each change of the rows.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// How many rows a connector has.
    pub(crate) fn count(&self, connector: &str) -> usize {
        self.rows.lock().get(connector).map_or(0, HashMap::len)
    }

    /// The keys of a connector's rows, with their places.
    pub(crate) fn placed(&self, connector: &str) -> Vec<Placed> {
        let rows = self.rows.lock();
        let of = rows.get(connector).into_iter().flatten();
        of.map(|(key, row)| Placed { key: key.clone(), first: row.first, last: row.last }).collect()
    }
}

struct Follower {
    kafka: Arc<dyn Kafka>,
    topic: String,
    owner: Owner,
    rows: Arc<Mutex<Rows>>,
    version: Arc<AtomicU64>,
    waiting: mpsc::Receiver<Answer>,
}

impl Follower {
    /// Waits for the first request, opens the topic, follows it; a reader that failed is replaced at the next request.
    async fn run(mut self) {
        while let Some(first) = self.waiting.recv().await {
            let log = match self.kafka.log(&self.topic).await {
                Ok(log) => log,
                Err(e) => {
                    let _ = first.send(Err(e));
                    continue;
                }
            };
            self.rows.lock().clear();
            self.version.fetch_add(1, Ordering::Release);
            if let Err(error) = self.follow(log.as_ref(), first).await {
                tracing::warn!(topic = self.topic, %error, "the reader of an internal topic failed and is replaced when it is needed");
            }
        }
    }

    async fn follow(&mut self, log: &dyn TopicLog, first: Answer) -> Result<(), KafkaError> {
        self.answer(log, first).await?;
        loop {
            tokio::select! {
                biased;
                record = log.next() => self.apply(record?),
                request = self.waiting.recv() => match request {
                    Some(answer) => self.answer(log, answer).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Reads to the end for one request and for those that came before the reading began.
    async fn answer(&mut self, log: &dyn TopicLog, first: Answer) -> Result<(), KafkaError> {
        let mut answers = vec![first];
        while let Ok(more) = self.waiting.try_recv() {
            answers.push(more);
        }
        let mut end = std::pin::pin!(log.read_to_end());
        let read = loop {
            // Delivered records are applied before the end counts, so that "read to the end" means "in the table".
            tokio::select! {
                biased;
                record = log.next() => match record {
                    Ok(record) => self.apply(record),
                    Err(e) => break Err(e),
                },
                done = &mut end => break done,
            }
        };
        let failed = read.as_ref().err().map(ToString::to_string);
        for answer in answers {
            let _ = answer.send(failed.clone().map_or(Ok(()), |text| Err(KafkaError::Retriable(text))));
        }
        read
    }

    fn apply(&self, record: LogRecord) {
        let Some(connector) = (self.owner)(&record.key) else { return };
        let mut rows = self.rows.lock();
        match record.value {
            Some(value) => {
                let at = record.offset.0;
                let row = Row { value, first: at, last: at };
                let of = rows.entry(connector).or_default();
                let first = of.get(&record.key).map_or(at, |row| row.first);
                of.insert(record.key, Row { first, ..row });
            }
            None => {
                if let Some(of) = rows.get_mut(&connector) {
                    of.remove(&record.key);
                }
            }
        }
        // Under the lock, so that no number tells of rows that are not there yet.
        self.version.fetch_add(1, Ordering::Release);
    }
}

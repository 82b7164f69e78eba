//! A read_committed reader of a topic that writes the observed side of a ledger.
use crate::ledger::{Ledger, Line, Report};
use anyhow::{Context, Result, bail};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, KafkaError, LogRecord, TopicLog, TopicSpec};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Pause between two looks at the ledger.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Every broker knows a new topic by then.
const KNOWN_MAX: Duration = Duration::from_secs(30);

/// Turns a record into a line; `None` is a record that the ledger does not count.
pub type Parse = fn(&LogRecord) -> Result<Option<Line>>;

/// A cluster, for readers and topics of a proof.
///
/// # Errors
/// The address is not one.
pub fn cluster(bootstrap: &str) -> Result<Arc<RdKafka>> {
    Ok(RdKafka::new(&ClientProperties::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]))?)
}

/// Creates a topic.
///
/// # Errors
/// The cluster refuses.
pub async fn create_topic(kafka: &RdKafka, name: &str, partitions: i32) -> Result<()> {
    // Generators with a logical clock write timestamps of the past, which a broker would delete at any moment.
    let configs = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
    let spec = TopicSpec { name: name.to_owned(), partitions, replication: None, configs };
    Ok(kafka.admin().ensure_topic(&spec).await?)
}

/// Opens a topic that was just created: the brokers of a cluster learn of it one after the other.
///
/// # Errors
/// The topic cannot be read, or is not known for long.
pub async fn open(kafka: &RdKafka, topic: &str) -> Result<Box<dyn TopicLog>> {
    let began = Instant::now();
    loop {
        match kafka.log(topic).await {
            Err(KafkaError::Retriable(_)) if began.elapsed() < KNOWN_MAX => tokio::time::sleep(LOOK_EVERY).await,
            opened => return Ok(opened?),
        }
    }
}

/// Follows a topic until it is dropped.
pub struct Follower {
    ledger: Arc<Mutex<Ledger>>,
    log: Arc<dyn TopicLog>,
    reading: JoinHandle<anyhow::Error>,
}

impl Follower {
    /// Reads the topic from its start.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub async fn start(kafka: &RdKafka, topic: &str, parse: Parse) -> Result<Self> {
        let log: Arc<dyn TopicLog> = open(kafka, topic).await?.into();
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let (into, from) = (Arc::clone(&ledger), Arc::clone(&log));
        let reading = tokio::spawn(async move {
            loop {
                let line = match from.next().await {
                    Ok(record) => parse(&record),
                    Err(error) => return error.into(),
                };
                match line {
                    Ok(Some(line)) => lock(&into).observe(line),
                    Ok(None) => {}
                    Err(error) => return error,
                }
            }
        });
        Ok(Self { ledger, log, reading })
    }

    /// The ledger, for a moment.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Tells how many lines have been read, whoever holds the follower.
    pub fn counter(&self) -> impl Fn() -> u64 + Send + use<> {
        let ledger = Arc::clone(&self.ledger);
        move || lock(&ledger).observed()
    }

    /// Waits until as many lines are read as are expected; gives up after `quiet` without a further one.
    ///
    /// # Errors
    /// The topic cannot be read any more, or a record is not as it should be.
    pub async fn settle(&self, expected: u64, quiet: Duration) -> Result<()> {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            if self.reading.is_finished() {
                bail!("the reader has ended");
            }
            let observed = self.ledger().observed();
            if observed >= expected {
                break;
            }
            if observed > last {
                (last, since) = (observed, Instant::now());
            }
            if since.elapsed() > quiet {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // What came too often stands behind the last expected line.
        self.log.read_to_end().await.context("the topic cannot be read to its end")
    }

    /// Compares what was read with what the ledger expects.
    pub fn report(&self) -> Report {
        self.ledger().compare()
    }

    /// Stops reading and gives the ledger out.
    pub async fn stop(self) -> Ledger {
        self.reading.abort();
        let ledger = Arc::clone(&self.ledger);
        drop(self.reading.await);
        std::mem::take(&mut *lock(&ledger))
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The task that owns the config topic: it follows the log and writes what the herder asks for, in order.
//!
//! A write is answered after its records have been handed over, through the same channel, so that whoever reads the
//! events in order sees the state that the write made before its answer. Whatever goes wrong with the clients ends in
//! the same way: new clients, fence, read everything again.
use super::record::{ConfigRecord, encode};
use super::writer::{Failure, Writer};
use crate::topic::InternalTopic;
use elasticflow_api::clock::Clock;
use elasticflow_kafka::ports::{Admin, Kafka, KafkaError, LogRecord, TopicLog};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Writes that may wait. One connector has one write at a time, so this bounds connectors that change at once.
const WRITES_MAX: usize = 1024;
/// Events that may wait for the herder.
const EVENTS_MAX: usize = 256;
/// Kafka is said to be away after this time without an answer; calls to it go on for longer by themselves.
const SLOW: Duration = Duration::from_secs(2);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(2);

/// Names a write in its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteToken(pub u64);

/// Why a write failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Nothing was written; the same request may succeed.
    #[error("Failed to write to the config topic: {0}. Nothing was changed; try again")]
    Refused(String),
    /// Another worker leads; nothing was written.
    #[error(
        "Failed to write to the config topic because another worker has taken over its writer. Nothing was changed; try again"
    )]
    Fenced,
    /// It may have been written.
    #[error(
        "Kafka did not confirm a write to the config topic: {0}. It may have taken effect; look before trying again"
    )]
    Unknown(String),
    /// Too many writes wait already.
    #[error("Too many changes wait for the config topic; try again later")]
    Busy,
}

/// What happens to the config topic, in order.
#[derive(Debug)]
pub enum ConfigEvent {
    /// The log is read from its start: what was known is replaced by what comes until `CaughtUp`.
    Restarted,
    /// The next record.
    Record(LogRecord),
    /// Everything that was there when reading began has been handed over.
    CaughtUp,
    /// A write has ended; what it wrote was handed over before.
    Written(WriteToken, Result<(), WriteError>),
    /// Kafka cannot be used for the moment; it is tried again.
    Waiting(String),
    /// Kafka will not do without a change by a person.
    Refused(String),
}

/// What the owner of the topic is told at start.
pub struct ConfigTopicOptions {
    /// The topic; it has one partition.
    pub topic: InternalTopic,
    /// `connect-cluster-<group.id>`, so that a Java leader that still runs is fenced.
    pub transactional_id: String,
    /// For the waits between attempts.
    pub clock: Arc<dyn Clock>,
}

struct Request {
    token: WriteToken,
    rows: Vec<ConfigRecord>,
}

/// Writes to the config topic; dropped, it ends the task that owns the topic.
pub struct ConfigTopic {
    requests: mpsc::Sender<Request>,
}

impl ConfigTopic {
    /// Starts the owner of the topic and answers at once.
    pub fn open(kafka: Arc<dyn Kafka>, options: ConfigTopicOptions) -> (Self, mpsc::Receiver<ConfigEvent>) {
        let (requests, asked) = mpsc::channel(WRITES_MAX);
        let (events, news) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(Owner { kafka, options, asked, events }.run());
        (Self { requests }, news)
    }

    /// Asks for rows to be written in one transaction; never waits. The outcome is a [`ConfigEvent::Written`].
    ///
    /// # Errors
    /// `Busy` when too many writes wait; then no event follows.
    pub fn write(&self, token: WriteToken, rows: Vec<ConfigRecord>) -> Result<(), WriteError> {
        self.requests.try_send(Request { token, rows }).map_err(|_| WriteError::Busy)
    }
}

/// The herder is gone.
struct Closed;

/// How a set of clients ended.
enum End {
    Closed,
    Kafka(KafkaError),
    Writer(Failure),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<KafkaError> for End {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

struct Owner {
    kafka: Arc<dyn Kafka>,
    options: ConfigTopicOptions,
    asked: mpsc::Receiver<Request>,
    events: mpsc::Sender<ConfigEvent>,
}

impl Owner {
    async fn run(mut self) {
        let mut backoff = BACKOFF_FIRST;
        loop {
            let reason = match self.session(&mut backoff).await {
                Ok(()) | Err(End::Closed) => return,
                Err(End::Kafka(KafkaError::Config(why))) => {
                    let _ = self.events.send(ConfigEvent::Refused(why)).await;
                    return;
                }
                Err(End::Kafka(error)) => error.to_string(),
                Err(End::Writer(failure)) => format!("the writer of the config topic is replaced: {failure:?}"),
            };
            if self.emit(ConfigEvent::Waiting(reason)).await.is_err() {
                return;
            }
            self.options.clock.sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MOST);
        }
    }

    /// One set of clients: fence, read everything, then follow and write.
    async fn session(&mut self, backoff: &mut Duration) -> Result<(), End> {
        let topic = self.options.topic.name.clone();
        // Fencing comes before reading: the open transaction of a dead writer would stand between us and the end.
        let open = async {
            tokio::join!(
                Writer::open(self.kafka.as_ref(), &self.options.transactional_id, &topic),
                ensure_single(self.kafka.admin(), &self.options.topic),
            )
        };
        let (writer, ensured) = self.patiently(open).await?;
        ensured?;
        let mut writer = writer?;
        let log = self.patiently(self.kafka.log(&topic)).await??;
        self.emit(ConfigEvent::Restarted).await?;
        self.read_to_end(log.as_ref()).await?;
        self.emit(ConfigEvent::CaughtUp).await?;
        *backoff = BACKOFF_FIRST;
        loop {
            tokio::select! {
                biased;
                request = self.asked.recv() => match request {
                    Some(request) => self.serve(request, &mut writer, log.as_ref()).await?,
                    None => return Ok(()),
                },
                record = log.next() => self.emit(ConfigEvent::Record(record?)).await?,
            }
        }
    }

    async fn serve(&mut self, request: Request, writer: &mut Writer, log: &dyn TopicLog) -> Result<(), End> {
        let rows: Vec<_> = request.rows.iter().filter_map(encode).collect();
        let (answer, end) = match writer.write(&rows).await {
            Ok(()) => (Ok(()), self.read_back(log, rows.last()).await.err()),
            Err(Failure::Refused(why)) => (Err(WriteError::Refused(why)), None),
            Err(Failure::Fenced) => (Err(WriteError::Fenced), Some(End::Writer(Failure::Fenced))),
            Err(Failure::Unknown(why)) => {
                (Err(WriteError::Unknown(why.clone())), Some(End::Writer(Failure::Unknown(why))))
            }
        };
        self.emit(ConfigEvent::Written(request.token, answer)).await?;
        end.map_or(Ok(()), Err)
    }

    async fn read_to_end(&self, log: &dyn TopicLog) -> Result<(), End> {
        self.read_back(log, None).await
    }

    /// Reads up to the last row of a transaction that is committed, or to the end: a row is there some time before the
    /// log can tell that nothing but the transaction's marker stands behind it.
    async fn read_back(&self, log: &dyn TopicLog, last: Option<&(String, Option<String>)>) -> Result<(), End> {
        let end = log.read_to_end();
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                reached = &mut end => return Ok(reached?),
                record = log.next() => {
                    let record = record?;
                    let is_last = last.is_some_and(|(key, value)| {
                        record.key == key.as_bytes() && record.value.as_deref() == value.as_deref().map(str::as_bytes)
                    });
                    self.emit(ConfigEvent::Record(record)).await?;
                    if is_last {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits for an answer of Kafka and says so when it takes long.
    async fn patiently<T>(&self, answer: impl Future<Output = T>) -> Result<T, Closed> {
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                () = self.options.clock.sleep(SLOW) => {
                    self.emit(ConfigEvent::Waiting("it does not answer; still trying".to_owned())).await?;
                }
            }
        }
    }

    async fn emit(&self, event: ConfigEvent) -> Result<(), Closed> {
        self.events.send(event).await.map_err(|_| Closed)
    }
}

/// Rows of one key order each other only within one partition.
async fn ensure_single(admin: Arc<dyn Admin>, topic: &InternalTopic) -> Result<(), KafkaError> {
    admin.ensure_topic(&InternalTopic { partitions: 1, ..topic.clone() }.spec()).await?;
    match admin.topics().await?.get(&topic.name) {
        None | Some(1) => Ok(()),
        Some(count) => Err(KafkaError::Config(format!(
            "Topic '{}' supplied via the 'config.storage.topic' property is required to have a single partition in order to guarantee consistency of connector configurations, but found {count} partitions.",
            topic.name
        ))),
    }
}

//! A compacted topic of news: one task reads and follows it, one writes what is newest. Writing never makes anybody wait.
use crate::config::send_with_room;
use crate::problem::Problem;
use crate::topic::InternalTopic;
use elasticflow_api::clock::Clock;
use elasticflow_kafka::ports::{ClientProperties, Kafka, KafkaError, OutRecord, Producer};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

const EVENTS_MAX: usize = 256;
const BACKOFF: Duration = Duration::from_millis(500);

/// Rows of a topic of news, from and to bytes.
pub trait NewsRow: Sized + Send + 'static {
    /// Reads a row.
    ///
    /// # Errors
    /// A key of a known kind whose rest or value is not what it must be.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, Problem>;
    /// Key and value; `None` for rows that are never written.
    fn encode(&self) -> Option<(String, Option<String>)>;
    /// Whether rows of this key must be read in the order in which different workers wrote them.
    fn is_ordered(key: &str) -> bool;
}

/// What is read from such a topic.
#[derive(Debug)]
pub enum NewsEvent<R> {
    /// A row.
    Record(R),
    /// A row that cannot be decoded.
    Problem(Problem),
    /// Everything that was there at start has been handed over.
    Loaded,
    /// Kafka cannot be used for the moment; it is tried again.
    Waiting(String),
    /// Kafka will not do without a change by a person.
    Refused(String),
}

/// Rows that wait to be written: the newest of each key. Bounded by the number of connectors, tasks and topics.
#[derive(Default)]
struct Pending {
    rows: Mutex<BTreeMap<String, Option<String>>>,
    changed: Notify,
}

/// Writes to such a topic; dropped, it ends the writing task.
pub struct NewsTopic<R> {
    pending: Arc<Pending>,
    stop: Arc<Notify>,
    writer: Option<tokio::task::JoinHandle<()>>,
    rows: PhantomData<fn(R)>,
}

impl<R> Drop for NewsTopic<R> {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

impl<R: NewsRow> NewsTopic<R> {
    /// Starts reading and writing and answers at once.
    pub fn open(
        kafka: Arc<dyn Kafka>,
        topic: InternalTopic,
        clock: Arc<dyn Clock>,
    ) -> (Self, mpsc::Receiver<NewsEvent<R>>) {
        let (events, news) = mpsc::channel(EVENTS_MAX);
        let pending = Arc::new(Pending::default());
        let stop = Arc::new(Notify::new());
        let reader = Reader { kafka: Arc::clone(&kafka), topic: topic.clone(), events, clock: Arc::clone(&clock) };
        tokio::spawn(reader.run());
        let ordered = R::is_ordered;
        let (waiting, ends) = (Arc::clone(&pending), Arc::clone(&stop));
        let writer = Writer { kafka, topic: topic.name, pending: waiting, clock, stop: ends, ordered };
        let writer = Some(tokio::spawn(writer.run()));
        (Self { pending, stop, writer, rows: PhantomData }, news)
    }

    /// Ends writing; returns when what was put is written, or after a time.
    pub async fn close(mut self, within: Duration) {
        self.stop.notify_one();
        let Some(writer) = self.writer.take() else {
            return;
        };
        if tokio::time::timeout(within, writer).await.is_err() {
            tracing::warn!("the last rows were not confirmed by Kafka in time");
        }
    }

    /// Has a row written; never waits. A row of the same key that still waits is replaced.
    pub fn put(&self, record: &R) {
        let Some((key, value)) = record.encode() else {
            return;
        };
        self.pending.rows.lock().insert(key, value);
        self.pending.changed.notify_one();
    }
}

struct Reader<R> {
    kafka: Arc<dyn Kafka>,
    topic: InternalTopic,
    events: mpsc::Sender<NewsEvent<R>>,
    clock: Arc<dyn Clock>,
}

impl<R: NewsRow> Reader<R> {
    async fn run(self) {
        loop {
            let event = match self.session().await {
                Ok(()) => return,
                Err(KafkaError::Config(why)) => NewsEvent::Refused(why),
                Err(error) => NewsEvent::Waiting(error.to_string()),
            };
            let refused = matches!(event, NewsEvent::Refused(_));
            if self.events.send(event).await.is_err() || refused {
                return;
            }
            self.clock.sleep(BACKOFF).await;
        }
    }

    /// Reads and follows until nobody listens. The last row of a key wins, so reading again from the start is fine.
    async fn session(&self) -> Result<(), KafkaError> {
        self.kafka.admin().ensure_topic(&self.topic.spec()).await?;
        let log = self.kafka.log(&self.topic.name).await?;
        let mut loaded = false;
        let end = log.read_to_end();
        tokio::pin!(end);
        loop {
            let event = tokio::select! {
                biased;
                () = self.events.closed() => return Ok(()),
                reached = &mut end, if !loaded => {
                    reached?;
                    loaded = true;
                    NewsEvent::Loaded
                }
                record = log.next() => {
                    let record = record?;
                    match R::decode(&record.key, record.value.as_deref()) {
                        Ok(row) => NewsEvent::Record(row),
                        Err(problem) => NewsEvent::Problem(problem),
                    }
                }
            };
            if self.events.send(event).await.is_err() {
                return Ok(());
            }
        }
    }
}

struct Writer {
    kafka: Arc<dyn Kafka>,
    topic: String,
    pending: Arc<Pending>,
    clock: Arc<dyn Clock>,
    stop: Arc<Notify>,
    ordered: fn(&str) -> bool,
}

impl Writer {
    async fn run(self) {
        let mut producer = None;
        loop {
            tokio::select! {
                biased;
                () = self.pending.changed.notified() => {}
                () = self.stop.notified() => break,
            }
            while !self.flush(&mut producer).await {
                self.clock.sleep(BACKOFF).await;
            }
        }
        // What was put before the end is written, once: nobody waits for it.
        self.flush(&mut producer).await;
    }

    /// Writes what waits; false when it has to be tried again, then the rows wait again unless newer ones do.
    async fn flush(&self, producer: &mut Option<Box<dyn Producer>>) -> bool {
        let rows = std::mem::take(&mut *self.pending.rows.lock());
        if rows.is_empty() {
            return true;
        }
        let Err(error) = self.write(producer, &rows).await else {
            return true;
        };
        tracing::warn!(topic = self.topic, %error, "news could not be written; trying again");
        *producer = None;
        let mut waiting = self.pending.rows.lock();
        for (key, value) in rows {
            waiting.entry(key).or_insert(value);
        }
        false
    }

    async fn write(
        &self,
        producer: &mut Option<Box<dyn Producer>>,
        rows: &BTreeMap<String, Option<String>>,
    ) -> Result<(), KafkaError> {
        if producer.is_none() {
            let at_once = ClientProperties::from([("linger.ms".to_owned(), "0".to_owned())]);
            *producer = Some(self.kafka.producer(&at_once)?);
        }
        let Some(producer) = producer else {
            return Ok(());
        };
        for (key, value) in rows {
            let record = OutRecord {
                topic: &self.topic,
                partition: (self.ordered)(key).then_some(0),
                key: Some(key.as_bytes()),
                value: value.as_deref().map(str::as_bytes),
                headers: &[],
                timestamp_ms: None,
            };
            send_with_room(producer.as_mut(), record).await?;
        }
        producer.drain().await
    }
}

//! The task that owns the config topic: it follows the log and, while this worker leads, writes what the herder asks for.
//!
//! A worker that begins to lead fences the writer before it and reads to the end: only then may it write. A write is answered after its records have been handed over, through the same channel, so that whoever reads the
//! events in order sees the state that the write made before its answer. Whatever goes wrong with the clients ends in
//! the same way: new clients, fence, read everything again. A write whose commit Kafka has not confirmed is answered then:
//! once the log has been read past whatever was open, its last row is there or it never will be.
use super::record::{ConfigRecord, encode};
use super::writer::{Failure, Writer};
use crate::topic::InternalTopic;
use elasticflow_api::clock::Clock;
use elasticflow_kafka::ports::{Admin, Kafka, KafkaError, LogRecord, TopicLog};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Writes that may wait. One connector has one write at a time, so this bounds connectors that change at once.
const WRITES_MAX: usize = 1024;
/// Writes that are carried out in one transaction, when so many wait: a transaction takes as long for one row as for many.
const WRITES_TOGETHER: usize = 64;
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
    /// Nothing was written because brokers did not answer in time; the same request succeeds once they do.
    #[error("Failed to write to the config topic: {0}. Nothing was changed; it is tried again")]
    Late(String),
    /// Another worker leads, none does, or the writer was lost before the commit; certainly nothing was written.
    #[error(
        "Failed to write to the config topic because another worker has taken over its writer. Nothing was changed; try again"
    )]
    Fenced,
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
    /// Whether this worker may write: everything that the writer before it wrote has been handed over.
    Leading(bool),
    /// Everything that was there when this was asked for has been handed over.
    Synced(WriteToken),
    /// A write has ended; what it wrote was handed over before.
    Written(WriteToken, Result<(), WriteError>),
    /// Kafka cannot be used for the moment; it is tried again.
    Waiting(String),
    /// Kafka has answered, and everything that was read is still known: what `Waiting` said is over.
    Answering,
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

/// Rows, and who waits for them.
type Write = (WriteToken, Vec<ConfigRecord>);

enum Request {
    Write { token: WriteToken, rows: Vec<ConfigRecord> },
    Sync(WriteToken),
}

/// Writes to the config topic; dropped, it ends the task that owns the topic.
pub struct ConfigTopic {
    requests: mpsc::Sender<Request>,
    lead: watch::Sender<bool>,
}

impl ConfigTopic {
    /// Starts the owner of the topic and answers at once.
    pub fn open(kafka: Arc<dyn Kafka>, options: ConfigTopicOptions) -> (Self, mpsc::Receiver<ConfigEvent>) {
        let (requests, asked) = mpsc::channel(WRITES_MAX);
        let (events, news) = mpsc::channel(EVENTS_MAX);
        let (lead, leads) = watch::channel(false);
        let (waiting, next) = Default::default();
        tokio::spawn(Owner { kafka, options, asked, events, leads, seen: -1, open: None, waiting, next }.run());
        (Self { requests, lead }, news)
    }

    /// Tells whether this worker leads its group; [`ConfigEvent::Leading`] follows once it may write, or may not any more.
    pub fn lead(&self, leads: bool) {
        self.lead.send_if_modified(|known| std::mem::replace(known, leads) != leads);
    }

    /// Asks to be told when everything that is in the topic has been handed over, by [`ConfigEvent::Synced`].
    ///
    /// # Errors
    /// `Busy` when too many requests wait.
    pub fn sync(&self, token: WriteToken) -> Result<(), WriteError> {
        self.requests.try_send(Request::Sync(token)).map_err(|_| WriteError::Busy)
    }

    /// Asks for rows to be written in one transaction; never waits. The outcome is a [`ConfigEvent::Written`].
    ///
    /// # Errors
    /// `Busy` when too many writes wait; then no event follows.
    pub fn write(&self, token: WriteToken, rows: Vec<ConfigRecord>) -> Result<(), WriteError> {
        self.requests.try_send(Request::Write { token, rows }).map_err(|_| WriteError::Busy)
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

impl Session {
    /// The end is needed, whoever waits for it.
    fn is_reading(&self) -> bool {
        !self.caught_up || (self.writer.is_some() && !self.told)
    }
}

struct Owner {
    kafka: Arc<dyn Kafka>,
    options: ConfigTopicOptions,
    asked: mpsc::Receiver<Request>,
    events: mpsc::Sender<ConfigEvent>,
    leads: watch::Receiver<bool>,
    /// Offset of the last record that was handed over.
    seen: i64,
    open: Option<OpenQuestion>,
    /// Who waits for the end that is being read to, and for the one after it: with whichever clients that is reached.
    waiting: Vec<WriteToken>,
    next: Vec<WriteToken>,
}

/// Writes whose commit was asked for and not confirmed.
struct OpenQuestion {
    tokens: Vec<WriteToken>,
    last: Option<(String, Option<String>)>,
    /// It stands behind this offset, if it was written.
    after: i64,
    found: bool,
}

/// Whether a record is a row.
fn is_row(record: &LogRecord, row: Option<&(String, Option<String>)>) -> bool {
    row.is_some_and(|(key, value)| {
        record.key == key.as_bytes() && record.value.as_deref() == value.as_deref().map(str::as_bytes)
    })
}

/// A set of clients.
struct Session {
    log: Box<dyn TopicLog>,
    writer: Option<Writer>,
    /// The herder was told that it may write.
    told: bool,
    caught_up: bool,
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
            let told = async {
                self.emit(ConfigEvent::Leading(false)).await?;
                self.emit(ConfigEvent::Waiting(reason)).await
            };
            if told.await.is_err() {
                return;
            }
            self.options.clock.sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MOST);
        }
    }

    /// One set of clients: read everything, then follow, and write while this worker leads.
    async fn session(&mut self, backoff: &mut Duration) -> Result<(), End> {
        let topic = self.options.topic.name.clone();
        self.patiently(ensure_single(self.kafka.admin(), &self.options.topic)).await??;
        let log = self.patiently(self.kafka.log(&topic)).await??;
        self.emit(ConfigEvent::Restarted).await?;
        let mut session = Session { log, writer: None, told: false, caught_up: false };
        loop {
            let reading = session.is_reading() || !self.waiting.is_empty() || !self.next.is_empty();
            let lead = *self.leads.borrow_and_update();
            if lead != session.writer.is_some() {
                // Fencing comes before reading: the open transaction of a dead writer would stand between us and the end.
                self.take_or_give_lead(lead, &mut session).await?;
            } else if reading {
                self.read_on(&mut session, backoff).await?;
            } else if !self.follow(&mut session).await? {
                return Ok(());
            }
        }
    }

    async fn take_or_give_lead(&mut self, lead: bool, session: &mut Session) -> Result<(), End> {
        session.writer = None;
        if lead {
            let open = Writer::open(self.kafka.as_ref(), &self.options.transactional_id, &self.options.topic.name);
            session.writer = Some(self.patiently(open).await??);
            if session.caught_up {
                self.emit(ConfigEvent::Answering).await?;
            }
        }
        if session.told {
            session.told = false;
            self.emit(ConfigEvent::Leading(false)).await?;
        }
        Ok(())
    }

    /// Reads to the end as it is now and tells everybody who waits for that; a change of leadership interrupts it.
    async fn read_on(&mut self, session: &mut Session, backoff: &mut Duration) -> Result<(), End> {
        self.waiting.append(&mut self.next);
        let end = session.log.read_to_end();
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                changed = self.leads.changed() => return changed.map_err(|_| End::Closed),
                reached = &mut end => { reached?; break; }
                record = session.log.next() => self.hand_over(record?).await?,
            }
        }
        if !session.caught_up {
            session.caught_up = true;
            self.emit(ConfigEvent::CaughtUp).await?;
            if let Some(OpenQuestion { tokens, found, .. }) = self.open.take() {
                let outcome = if found { Ok(()) } else { Err(WriteError::Fenced) };
                self.answer(&tokens, &outcome).await?;
            }
        }
        *backoff = BACKOFF_FIRST;
        for token in std::mem::take(&mut self.waiting) {
            self.emit(ConfigEvent::Synced(token)).await?;
        }
        if session.writer.is_some() && !session.told {
            self.refuse_what_waits().await?;
            session.told = true;
            self.emit(ConfigEvent::Leading(true)).await?;
        }
        Ok(())
    }

    /// Writes that were asked for before the herder hears that it may write are of an earlier term: carried out now, a
    /// deletion would undo what another leader has written since.
    async fn refuse_what_waits(&mut self) -> Result<(), Closed> {
        while let Ok(request) = self.asked.try_recv() {
            match request {
                Request::Sync(token) => self.next.push(token),
                Request::Write { token, .. } => {
                    self.emit(ConfigEvent::Written(token, Err(WriteError::Fenced))).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes in one thing; false when the herder is gone.
    async fn follow(&mut self, session: &mut Session) -> Result<bool, End> {
        tokio::select! {
            biased;
            changed = self.leads.changed() => changed.map_err(|_| End::Closed)?,
            request = self.asked.recv() => match request {
                Some(Request::Sync(token)) => self.next.push(token),
                Some(Request::Write { token, rows }) => {
                    let writes = self.with_what_waits((token, rows));
                    self.serve(writes, session).await?;
                }
                None => return Ok(false),
            },
            record = session.log.next() => self.hand_over(record?).await?,
        }
        Ok(true)
    }

    /// A write and those behind it.
    fn with_what_waits(&mut self, first: Write) -> Vec<Write> {
        let mut writes = vec![first];
        while writes.len() < WRITES_TOGETHER {
            match self.asked.try_recv() {
                Ok(Request::Write { token, rows }) => writes.push((token, rows)),
                Ok(Request::Sync(token)) => self.next.push(token),
                Err(_) => break,
            }
        }
        writes
    }

    /// Carries out writes in one transaction; where that is refused, one by one, so that each has an answer of its own.
    async fn serve(&mut self, writes: Vec<Write>, session: &mut Session) -> Result<(), End> {
        let refused = self.serve_together(&writes, session).await?;
        let Some(why) = refused else { return Ok(()) };
        if let [(token, _)] = writes.as_slice() {
            return Ok(self.answer(&[*token], &Err(WriteError::Refused(why))).await?);
        }
        let mut writes = writes.into_iter();
        while let Some(write) = writes.next() {
            let token = write.0;
            match self.serve_together(&[write], session).await {
                Ok(None) => {}
                Ok(Some(why)) => self.answer(&[token], &Err(WriteError::Refused(why))).await?,
                Err(end) => {
                    // Nobody has begun with the others.
                    let others: Vec<WriteToken> = writes.map(|(token, _)| token).collect();
                    self.answer(&others, &Err(WriteError::Fenced)).await?;
                    return Err(end);
                }
            }
        }
        Ok(())
    }

    /// Why nothing was written, if that is certain and the writer is still good; otherwise everybody has the answer.
    async fn serve_together(&mut self, writes: &[Write], session: &mut Session) -> Result<Option<String>, End> {
        let tokens: Vec<WriteToken> = writes.iter().map(|(token, _)| *token).collect();
        let Some(writer) = &mut session.writer else {
            self.answer(&tokens, &Err(WriteError::Fenced)).await?;
            return Ok(None);
        };
        let rows: Vec<_> = writes.iter().flat_map(|(_, rows)| rows).filter_map(encode).collect();
        let (answer, end) = match writer.write(&rows).await {
            Ok(()) => (Ok(()), self.read_back(session.log.as_ref(), rows.last()).await.err()),
            Err(Failure::Refused(why)) => return Ok(Some(why)),
            // None of them is the cause, so that none is tried alone; whoever asked does so again, and others get their turn.
            Err(Failure::Late(why)) => {
                tracing::warn!(why, "brokers do not take a change of the config topic");
                (Err(WriteError::Late(why)), None)
            }
            Err(Failure::Fenced) => (Err(WriteError::Fenced), Some(End::Writer(Failure::Fenced))),
            Err(Failure::Unknown(why)) => {
                self.open = Some(OpenQuestion { tokens, last: rows.last().cloned(), after: self.seen, found: false });
                return Err(End::Writer(Failure::Unknown(why)));
            }
        };
        self.answer(&tokens, &answer).await?;
        end.map_or(Ok(None), Err)
    }

    async fn answer(&self, tokens: &[WriteToken], outcome: &Result<(), WriteError>) -> Result<(), Closed> {
        for token in tokens {
            self.emit(ConfigEvent::Written(*token, outcome.clone())).await?;
        }
        Ok(())
    }

    async fn hand_over(&mut self, record: LogRecord) -> Result<(), Closed> {
        self.seen = record.offset.0;
        if let Some(open) = &mut self.open {
            open.found |= record.offset.0 > open.after && is_row(&record, open.last.as_ref());
        }
        self.emit(ConfigEvent::Record(record)).await
    }

    /// Reads up to the last row of a transaction that is committed, or to the end: a row is there some time before the
    /// log can tell that nothing but the transaction's marker stands behind it.
    async fn read_back(&mut self, log: &dyn TopicLog, last: Option<&(String, Option<String>)>) -> Result<(), End> {
        let end = log.read_to_end();
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                reached = &mut end => return Ok(reached?),
                record = log.next() => {
                    let record = record?;
                    let is_last = is_row(&record, last);
                    self.hand_over(record).await?;
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
                    let why = self.kafka.admin().complaint().unwrap_or_else(|| "it does not answer".to_owned());
                    self.emit(ConfigEvent::Waiting(format!("{why}; still trying"))).await?;
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
    match admin.partitions_of(&topic.name).await? {
        None | Some(1) => Ok(()),
        Some(count) => Err(KafkaError::Config(format!(
            "Topic '{}' supplied via the 'config.storage.topic' property is required to have a single partition in order to guarantee consistency of connector configurations, but found {count} partitions.",
            topic.name
        ))),
    }
}

//! Transactional producers.
use super::breath::Breath;
use super::client::Alive;
use super::delivery::Deliveries;
use super::errors::{self, Class};
use super::producer::{RdProducer, call};
use super::settings::Settings;
use crate::native::{Code, Handle, Partitions, Refusal};
use crate::ports::{
    CommitError, GroupMetadata, KafkaError, OutRecord, Producer, SendError, Sequence, TransactionalProducer,
};
use async_trait::async_trait;
use elasticflow_api::position::ConsumedOffsets;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest that one producer asks for its id: a new one finds a coordinator that the old one does not find any more.
const INIT_MAX: Duration = Duration::from_secs(15);

/// How long a flush lasts before the transaction is looked at again: one that has failed is never flushed.
const FLUSH_SLICE: Duration = Duration::from_millis(200);

/// How long an abort waits for the answers to records.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// A commit that takes longer is told in the log, at debug.
const LONG: Duration = Duration::from_millis(100);

/// Why a producer is unusable.
#[derive(Debug, Clone)]
enum Dead {
    Fenced,
    Broken(String),
}

/// One transactional id's producer.
pub(crate) struct RdTransactional {
    base: RdProducer,
    id: String,
    open: bool,
    /// Records and bytes of the open transaction.
    size: (u64, u64),
    breath: Arc<Mutex<Breath>>,
    /// An abortable refusal of a call, kept until the abort.
    refused: Option<String>,
    dead: Option<Dead>,
    limit: Duration,
    transaction: Duration,
}

impl RdTransactional {
    pub(crate) fn start(id: &str, settings: &Settings, alive: &Arc<Alive>) -> Result<Self, KafkaError> {
        Ok(Self {
            base: RdProducer::start(settings, true, alive)?,
            id: id.to_owned(),
            open: false,
            size: (0, 0),
            breath: Arc::default(),
            refused: None,
            dead: None,
            limit: settings.call_limit,
            transaction: settings.transaction_timeout,
        })
    }

    fn check(&self) -> Result<(), KafkaError> {
        match &self.dead {
            None => Ok(()),
            Some(Dead::Fenced) => Err(KafkaError::Fenced),
            Some(Dead::Broken(why)) => Err(KafkaError::Fatal(why.clone())),
        }
    }

    /// Keeps what an error means for later calls.
    fn remember(&mut self, error: KafkaError) -> KafkaError {
        match &error {
            KafkaError::Fenced => self.dead = Some(Dead::Fenced),
            KafkaError::Fatal(why) => self.dead = Some(Dead::Broken(why.clone())),
            KafkaError::Abortable(why) => self.refused = Some(why.clone()),
            KafkaError::Retriable(_) | KafkaError::Record(_) | KafkaError::Config(_) => {}
        }
        error
    }

    /// Runs a call that must not be dropped halfway: if it is, the producer is of no use any more.
    async fn whole<T: Send + 'static>(
        &mut self,
        run: impl FnOnce(&Arc<Handle>) -> T + Send + 'static,
    ) -> Result<T, KafkaError> {
        self.check()?;
        self.dead = Some(self.given_up());
        let done = call(self.base.handle(), run).await;
        self.dead = None;
        done.map_err(|error| self.remember(error))
    }

    /// What the producer is while a call lasts that must not be dropped halfway.
    fn given_up(&self) -> Dead {
        Dead::Broken(format!("a call of producer `{}` was given up halfway", self.id))
    }

    /// What is known to have failed before the end of the transaction is asked for.
    fn known_failure(&self) -> Option<KafkaError> {
        self.base.deliveries().failure().or_else(|| self.refused.clone().map(KafkaError::Abortable))
    }

    /// Waits for the answers to all records, at most so long.
    async fn settle(&mut self, limit: Duration) {
        self.dead = Some(self.given_up());
        drop(tokio::time::timeout(limit, self.base.settle()).await);
        self.dead = None;
    }

    /// Aborts what certainly was not committed.
    async fn give_up(&mut self, why: KafkaError) -> CommitError {
        match self.abort().await {
            Ok(()) => CommitError::NotCommitted(why),
            Err(KafkaError::Fenced) => CommitError::Fenced,
            // Not committed either, but open until the broker's time-out: nothing may be cleaned up yet.
            Err(error) => CommitError::Unknown(format!("{why}; and it could not be aborted: {error}")),
        }
    }
}

/// How far a commit came.
enum Finish {
    Committed,
    /// Refused before its end was asked for.
    Before(KafkaError),
    /// Another owner, seen before or after.
    Fenced,
    /// Asked for, not answered with a yes.
    Asked(Refusal),
}

/// Flushes, then asks for the end. `breath`: where every record has waited for this flush.
fn finish(handle: &Arc<Handle>, deliveries: &Deliveries, limit: Duration, breath: Option<&Mutex<Breath>>) -> Finish {
    let began = Instant::now();
    let deadline = began + limit;
    while let Err(refusal) = handle.flush(FLUSH_SLICE) {
        if Instant::now() >= deadline {
            let text = errors::sentence("records were not delivered in time", &refusal);
            return Finish::Before(KafkaError::Retriable(text));
        }
        if let Err(stop) = look(handle, deliveries) {
            return stop;
        }
    }
    if let Err(stop) = look(handle, deliveries) {
        return stop;
    }
    let flushed = began.elapsed();
    let breath = breath.map(|breath| breath.lock().after(flushed));
    match handle.commit_transaction(limit) {
        Ok(()) => {
            let ended = began.elapsed().saturating_sub(flushed);
            if flushed + ended >= LONG {
                let (flush_ms, end_ms) = (flushed.as_millis(), ended.as_millis());
                tracing::debug!(flush_ms, end_ms, "a transaction took long: its records to arrive, and its end");
            }
            // On a thread that may block, and finer than the executor's timers.
            std::thread::sleep(breath.unwrap_or_default());
            Finish::Committed
        }
        Err(refusal) if errors::class(&refusal) == Class::Fenced => Finish::Fenced,
        Err(refusal) => Finish::Asked(refusal),
    }
}

/// Whether the open transaction has failed already. Asking to begin another is refused without any effect, and the
/// refusal says in which state the transaction is.
fn look(handle: &Handle, deliveries: &Deliveries) -> Result<(), Finish> {
    if let Some(failure) = deliveries.failure() {
        return Err(match failure {
            KafkaError::Fenced => Finish::Fenced,
            failure => Finish::Before(failure),
        });
    }
    match handle.begin_transaction() {
        Err(refusal) if refusal.abortable || refusal.fatal => Err(match errors::class(&refusal) {
            Class::Fenced => Finish::Fenced,
            _ => Finish::Before(errors::refused("the transaction failed", &refusal)),
        }),
        // The state is the expected one: in a transaction.
        Err(_) => Ok(()),
        Ok(()) => Err(Finish::Before(KafkaError::Abortable("no transaction was open".to_owned()))),
    }
}

#[async_trait]
impl Producer for RdTransactional {
    fn send(&mut self, record: OutRecord<'_>) -> Result<Sequence, SendError> {
        self.check()?;
        let bytes = (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64;
        let sent = self.base.queue(record, |handle, refusal| {
            let doing = format!("cannot write to topic `{}`", record.topic);
            match (refusal.code, handle.fatal()) {
                (_, Some(fatal)) => errors::refused(&doing, &fatal),
                (Code::State, None) => KafkaError::Abortable(format!("{doing}: the transaction has failed")),
                _ => errors::refused(&doing, refusal),
            }
        });
        match sent {
            Ok(number) => {
                self.size = (self.size.0 + 1, self.size.1 + bytes);
                Ok(number)
            }
            Err(SendError::Kafka(error)) => {
                let error = self.base.deliveries().failure().unwrap_or(error);
                Err(SendError::Kafka(self.remember(error)))
            }
            Err(SendError::Full) => Err(SendError::Full),
        }
    }

    async fn room(&mut self) -> Result<(), KafkaError> {
        self.check()?;
        self.base.wait_for_room().await
    }

    fn acknowledged(&self) -> Result<Sequence, KafkaError> {
        self.check()?;
        self.base.lowest()
    }

    async fn drain(&mut self) -> Result<(), KafkaError> {
        self.check()?;
        self.base.settle().await
    }
}

#[async_trait]
impl TransactionalProducer for RdTransactional {
    async fn init(&mut self) -> Result<(), KafkaError> {
        let limit = self.limit.min(INIT_MAX);
        let done = self.whole(move |handle| handle.init_transactions(limit)).await?;
        done.map_err(|refusal| {
            let doing = format!("cannot initialise transactional id `{}`", self.id);
            let error = self.base.deliveries().complaint.explain(&doing, &refusal);
            // Before the first transaction there is nothing to abort.
            let error = match error {
                KafkaError::Abortable(why) => KafkaError::Retriable(why),
                error => error,
            };
            self.remember(error)
        })
    }

    fn begin(&mut self) -> Result<(), KafkaError> {
        self.check()?;
        let begun = self.base.handle().begin_transaction();
        begun.map_err(|refusal| {
            let error = errors::refused(&format!("cannot begin a transaction of `{}`", self.id), &refusal);
            self.remember(error)
        })?;
        self.open = true;
        self.size = (0, 0);
        Ok(())
    }

    async fn send_offsets(&mut self, offsets: &ConsumedOffsets, group: &GroupMetadata) -> Result<(), KafkaError> {
        self.check()?;
        let doing = "cannot add consumed offsets to the transaction";
        let rows = offsets.0.iter().map(|(at, offset)| (at, offset.0));
        let list = Partitions::of(rows).map_err(|refusal| errors::refused(doing, &refusal))?;
        let (group, limit) = (group.0.clone(), self.limit);
        let done = self.whole(move |handle| handle.send_offsets(&list, &group, limit)).await?;
        done.map_err(|refusal| {
            let error = errors::refused(doing, &refusal);
            self.remember(error)
        })
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        match &self.dead {
            Some(Dead::Fenced) => return Err(CommitError::Fenced),
            Some(Dead::Broken(why)) => return Err(CommitError::Unknown(why.clone())),
            None if !self.open => {
                let why = KafkaError::Abortable("no transaction is open".to_owned());
                return Err(CommitError::NotCommitted(why));
            }
            None => {}
        }
        match self.known_failure() {
            Some(KafkaError::Fenced) => {
                self.dead = Some(Dead::Fenced);
                return Err(CommitError::Fenced);
            }
            Some(failure) => return Err(self.give_up(failure).await),
            None => {}
        }
        let (deliveries, limit) = (Arc::clone(self.base.deliveries()), self.transaction);
        let breath = self.base.is_one_batch(self.size).then(|| Arc::clone(&self.breath));
        if breath.is_none() {
            // What fails or takes too long here is found and named below.
            self.settle(limit).await;
        }
        let finished = self.whole(move |handle| finish(handle, &deliveries, limit, breath.as_deref())).await;
        match finished.map_err(|error| CommitError::Unknown(error.to_string()))? {
            Finish::Committed => {
                self.open = false;
                Ok(())
            }
            Finish::Before(why) => Err(self.give_up(why).await),
            Finish::Fenced => {
                self.dead = Some(Dead::Fenced);
                Err(CommitError::Fenced)
            }
            Finish::Asked(refusal) => {
                let why = errors::sentence(&format!("the commit of `{}` has no answer", self.id), &refusal);
                self.dead = Some(Dead::Broken(why.clone()));
                Err(CommitError::Unknown(why))
            }
        }
    }

    async fn abort(&mut self) -> Result<(), KafkaError> {
        self.check()?;
        if !self.open {
            return Ok(());
        }
        let limit = self.transaction;
        // Until its records are answered the library may still be adding a partition. It goes on with that after an abort: it
        // opens a transaction that nobody ends, or ends the process when the client goes, since it counts the answer below zero.
        if self.known_failure().is_none() {
            self.settle(SETTLE_MAX.min(limit)).await;
        }
        let done = self.whole(move |handle| handle.abort_transaction(limit)).await?;
        if let Err(refusal) = done {
            let doing = format!("cannot abort a transaction of `{}`", self.id);
            let error = match errors::refused(&doing, &refusal) {
                KafkaError::Fenced => KafkaError::Fenced,
                KafkaError::Config(why) => KafkaError::Config(why),
                // The state of the transaction is not known here any more.
                error => KafkaError::Fatal(error.to_string()),
            };
            if !matches!(error, KafkaError::Fenced) {
                self.dead = Some(Dead::Broken(error.to_string()));
            }
            return Err(self.remember(error));
        }
        self.open = false;
        self.refused = None;
        self.base.deliveries().forgive().await;
        Ok(())
    }
}

//! The ports on librdkafka.
mod admin;
mod batch;
mod bearer;
mod breath;
mod client;
mod commit;
mod consumer;
mod delivery;
mod errors;
mod groupless;
mod groups;
mod lanes;
mod log;
mod member;
mod oauth;
mod page;
mod positions;
mod producer;
mod properties;
mod rights;
mod security;
mod settings;
mod transactional;

use crate::native::{EventKind, Kind};
use crate::ports::{
    Admin, ClientProperties, Consumer, Kafka, KafkaError, Producer, RecordPage, Subscription, TopicLog,
    TransactionalProducer,
};
use admin::RdAdmin;
use async_trait::async_trait;
use client::{Alive, Client, Complaints};
use consumer::RdConsumer;
use elasticflow_api::context::Limits;
use elasticflow_api::position::{Offset, TopicPartition};
use groups::Groups;
use log::RdTopicLog;
use producer::RdProducer;
use properties::ClientKind;
use settings::{Settings, Worker};
use std::sync::Arc;
use std::time::Duration;
use transactional::RdTransactional;

/// Every client property that is known, and what becomes of it, as a Markdown table.
pub fn property_table() -> String {
    properties::markdown()
}

/// How long a fenced id's open transaction may keep `fence` waiting: the producer made for it opens none of its own.
const FENCE_TRANSACTION_MS: &str = "60000";

/// A Kafka cluster through librdkafka.
pub struct RdKafka {
    worker: Arc<Worker>,
    alive: Arc<Alive>,
    admin: Arc<RdAdmin>,
}

impl RdKafka {
    /// Takes the worker's properties by the Java client's names: `bootstrap.servers`, security and connection without a
    /// prefix for every client, `producer.`, `consumer.` and `admin.` for one kind. Other keys are left alone.
    ///
    /// # Errors
    /// `Config` names the property that is missing or cannot be honoured. No I/O happens: an unreachable broker shows in
    /// the first call.
    pub fn new(properties: &ClientProperties) -> Result<Arc<Self>, KafkaError> {
        let (worker, alive) = (Arc::new(Worker::new(properties)), Arc::new(Alive::default()));
        // Every kind of client once, so that a wrong property is told at the start and not by the first task.
        let none = ClientProperties::new();
        for kind in [ClientKind::Producer, ClientKind::Consumer] {
            worker.client(kind, &none, None)?;
        }
        let settings = worker.client(ClientKind::Admin, &none, None)?.with("allow.auto.create.topics", "false");
        let handle = settings.start(Kind::Producer, EventKind::PRODUCER)?;
        let complaints = Arc::new(Complaints::default());
        let queue = handle.main_queue().ok_or_else(|| KafkaError::Fatal("a Kafka client has no queue".to_owned()))?;
        let client = Client::run(queue, Arc::clone(&complaints) as _, &alive)?;
        let (for_fencing, alive_for_fencing) = (Arc::clone(&worker), Arc::clone(&alive));
        let fencing: Box<admin::MakeProducer> = Box::new(move |id| {
            let overrides = [("transaction.timeout.ms".to_owned(), FENCE_TRANSACTION_MS.to_owned())].into();
            let settings = for_fencing.client(ClientKind::Producer, &overrides, Some(id))?;
            Ok(Box::new(RdTransactional::start(id, &settings, &alive_for_fencing)?))
        });
        let groups = Groups::new(&worker, &alive, settings.call_limit);
        let admin = Arc::new(RdAdmin::new((client, complaints), settings.call_limit, groups, fencing));
        Ok(Arc::new(Self { worker, alive, admin }))
    }

    /// Settings of a client that reads without a group.
    fn reader(&self) -> Result<Settings, KafkaError> {
        let settings = self.worker.client(ClientKind::Consumer, &ClientProperties::new(), None)?;
        // The end of a log whose last record is a transaction's marker shows in the fetch after it, which the broker
        // holds back for this long: the half second that is usual would stand in every start and every task's start.
        Ok(settings.with("enable.partition.eof", "true").with("fetch.wait.max.ms", "50"))
    }

    /// Waits until every client that was dropped has left its group and closed its connections, at most `limit`; called
    /// once, before the process ends, after the last client but this one was dropped. Whether all of them did.
    pub async fn close(self: Arc<Self>, limit: Duration) -> bool {
        let alive = Arc::clone(&self.alive);
        drop(self);
        client::blocking(move || alive.wait(limit)).await.unwrap_or(false)
    }
}

#[async_trait]
impl Kafka for RdKafka {
    fn producer(&self, overrides: &ClientProperties) -> Result<Box<dyn Producer>, KafkaError> {
        let settings = self.worker.client(ClientKind::Producer, overrides, None)?;
        Ok(Box::new(RdProducer::start(&settings, false, &self.alive)?))
    }

    fn transactional_producer(
        &self,
        transactional_id: &str,
        overrides: &ClientProperties,
    ) -> Result<Box<dyn TransactionalProducer>, KafkaError> {
        let settings = self.worker.client(ClientKind::Producer, overrides, Some(transactional_id))?;
        Ok(Box::new(RdTransactional::start(transactional_id, &settings, &self.alive)?))
    }

    fn consumer(
        &self,
        group: &str,
        subscription: &Subscription,
        overrides: &ClientProperties,
    ) -> Result<Box<dyn Consumer>, KafkaError> {
        let mut settings = self.worker.client(ClientKind::Consumer, overrides, None)?.with("group.id", group);
        let begin = settings.take_reset();
        Ok(Box::new(RdConsumer::start(group, subscription, (&settings, begin), &self.alive)?))
    }

    fn admin(&self) -> Arc<dyn Admin> {
        Arc::clone(&self.admin) as _
    }

    async fn log(&self, topic: &str) -> Result<Box<dyn TopicLog>, KafkaError> {
        Ok(Box::new(RdTopicLog::open(topic, &self.reader()?, &self.alive).await?))
    }

    async fn read(&self, at: &TopicPartition, from: Option<Offset>, max: Limits) -> Result<RecordPage, KafkaError> {
        page::read(page::Wanted { at, from, max }, &self.reader()?, &self.alive).await
    }

    async fn cluster_id(&self) -> Result<String, KafkaError> {
        self.admin.cluster_id().await
    }
}

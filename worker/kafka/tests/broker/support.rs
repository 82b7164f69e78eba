//! A cluster, names that are not taken, and readers.
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{
    ClientProperties, Consumed, Consumer, Kafka, OutRecord, Subscription, TopicSpec, TransactionalProducer,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster; the embedded broker lives as long as this does.
pub(crate) struct Cluster {
    pub(crate) kafka: Arc<RdKafka>,
    _broker: Option<elasticflow_devkafka::Broker>,
}

pub(crate) async fn cluster() -> Cluster {
    let (bootstrap, broker) = match std::env::var("EF_KAFKA") {
        Ok(address) => (address, None),
        Err(_) => {
            let broker = elasticflow_devkafka::Broker::start(elasticflow_devkafka::Config::default()).await.unwrap();
            (broker.addr().to_string(), Some(broker))
        }
    };
    Cluster { _broker: broker, ..Cluster::at(&bootstrap, &[]) }
}

pub(crate) fn properties(pairs: &[(&str, &str)]) -> ClientProperties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A name that no other test or run uses.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    format!("{prefix}-{}-{time}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition }
}

pub(crate) fn record<'a>(topic: &'a str, key: &'a str, value: &'a str) -> OutRecord<'a> {
    OutRecord {
        topic,
        partition: Some(0),
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[],
        timestamp_ms: None,
    }
}

impl Cluster {
    /// Brokers that somebody else has started.
    pub(crate) fn at(bootstrap: &str, more: &[(&str, &str)]) -> Self {
        let mut properties = properties(more);
        properties.insert("bootstrap.servers".to_owned(), bootstrap.to_owned());
        Self { kafka: RdKafka::new(&properties).unwrap(), _broker: None }
    }

    pub(crate) async fn topic(&self, prefix: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
        let name = unique(prefix);
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let spec = TopicSpec { name: name.clone(), partitions, replication: Some(1), configs };
        self.kafka.admin().ensure_topic(&spec).await.unwrap();
        name
    }

    pub(crate) async fn transactional(&self, id: &str) -> Box<dyn TransactionalProducer> {
        let mut producer = self.kafka.transactional_producer(id, &ClientProperties::new()).unwrap();
        producer.init().await.unwrap();
        producer
    }

    pub(crate) fn consumer(&self, group: &str, topic: &str) -> Box<dyn Consumer> {
        let overrides = properties(&[("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")]);
        self.kafka.consumer(group, &Subscription::Topics(vec![topic.to_owned()]), &overrides).unwrap()
    }

    /// The high watermark of partition 0.
    pub(crate) async fn end(&self, topic: &str) -> i64 {
        let at = at(topic, 0);
        self.kafka.admin().end_offsets(std::slice::from_ref(&at)).await.unwrap()[&at].0
    }

    /// Values of partition 0 as a read_committed reader sees them, up to the high watermark.
    pub(crate) async fn values(&self, topic: &str) -> Vec<String> {
        let log = self.kafka.log(topic).await.unwrap();
        let end = log.read_to_end();
        tokio::pin!(end);
        let mut values = Vec::new();
        tokio::time::timeout(PATIENCE, async {
            loop {
                tokio::select! {
                    biased;
                    record = log.next() => values.push(text(record.unwrap().value.as_deref())),
                    done = &mut end => return done.unwrap(),
                }
            }
        })
        .await
        .expect("the log is read to its end");
        values
    }
}

pub(crate) fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or(b"<null>")).into_owned()
}

pub(crate) async fn next(consumer: &mut dyn Consumer) -> Consumed {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("something happens").unwrap()
}

/// Waits for the assignment and starts it where the group stands.
pub(crate) async fn join(consumer: &mut dyn Consumer) -> Vec<TopicPartition> {
    loop {
        if let Consumed::Assigned(partitions) = next(consumer).await {
            let start: BTreeMap<_, _> = partitions.iter().map(|at| (at.clone(), None)).collect();
            consumer.start_at(&start).await.unwrap();
            return partitions;
        }
    }
}

pub(crate) fn offsets(topic: &str, offset: i64) -> ConsumedOffsets {
    ConsumedOffsets([(at(topic, 0), Offset(offset))].into())
}

//! The leader's transactions on the config topic.
use elasticflow_kafka::ports::{
    ClientProperties, CommitError, Kafka, KafkaError, OutRecord, Producer, SendError, TransactionalProducer,
};

/// The one producer of the config topic.
pub(super) struct Writer {
    producer: Box<dyn TransactionalProducer>,
    topic: String,
}

/// How the writer differs from other producers. A user waits for these few rows: nothing is gained by waiting for more, and
/// where a broker that holds the topic or coordinates the transaction has gone, the write is given up soon and done again.
const SETTINGS: [(&str, &str); 2] = [("request.timeout.ms", "10000"), ("transaction.timeout.ms", "20000")];

/// Why rows were not reported as written.
#[derive(Debug)]
pub(super) enum Failure {
    /// Certainly not written, and another try would not be either; the writer stays usable.
    Refused(String),
    /// Certainly not written, for lack of brokers that answer; the writer stays usable.
    Late(String),
    /// Another writer has taken over; this one is done.
    Fenced,
    /// Written or not; this writer is done.
    Unknown(String),
}

impl Writer {
    /// Fences the writer before this one and finishes its last transaction.
    pub(super) async fn open(kafka: &dyn Kafka, transactional_id: &str, topic: &str) -> Result<Self, KafkaError> {
        let settings: ClientProperties = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let mut producer = kafka.transactional_producer(transactional_id, &settings)?;
        producer.init().await?;
        Ok(Self { producer, topic: topic.to_owned() })
    }

    /// Writes rows in one transaction.
    pub(super) async fn write(&mut self, rows: &[(String, Option<String>)]) -> Result<(), Failure> {
        self.producer.begin().map_err(broken)?;
        if let Err(error) = self.send(rows).await {
            return Err(self.give_up(error).await);
        }
        self.producer.commit().await.map_err(|error| match error {
            CommitError::NotCommitted(why) => not_written(&why),
            // The answer to a commit that was carried out may have been lost before the other writer came.
            CommitError::Fenced => Failure::Unknown("another writer has taken over meanwhile".to_owned()),
            CommitError::Unknown(why) => Failure::Unknown(why),
        })
    }

    async fn send(&mut self, rows: &[(String, Option<String>)]) -> Result<(), KafkaError> {
        for (key, value) in rows {
            let record = OutRecord {
                topic: &self.topic,
                partition: Some(0),
                key: Some(key.as_bytes()),
                value: value.as_deref().map(str::as_bytes),
                headers: &[],
                timestamp_ms: None,
            };
            send_with_room(self.producer.as_mut(), record).await?;
        }
        Ok(())
    }

    /// Nothing was asked to be committed, so an abort that succeeds is certainty.
    async fn give_up(&mut self, error: KafkaError) -> Failure {
        if matches!(error, KafkaError::Fenced) {
            return Failure::Fenced;
        }
        match self.producer.abort().await {
            Ok(()) => not_written(&error),
            Err(abort) => broken(abort),
        }
    }
}

/// What is certainly not written, by whether the cause may pass.
fn not_written(why: &KafkaError) -> Failure {
    match why {
        KafkaError::Retriable(why) | KafkaError::Abortable(why) => Failure::Late(why.clone()),
        why => Failure::Refused(why.to_string()),
    }
}

/// A transaction that was never asked to commit is aborted by the next writer's `init`; this one cannot go on.
fn broken(error: KafkaError) -> Failure {
    match error {
        KafkaError::Fenced => Failure::Fenced,
        other => Failure::Unknown(other.to_string()),
    }
}

/// Queues a record, waiting for room.
pub(crate) async fn send_with_room<P: Producer + ?Sized>(
    producer: &mut P,
    record: OutRecord<'_>,
) -> Result<(), KafkaError> {
    loop {
        match producer.send(record) {
            Ok(_) => return Ok(()),
            Err(SendError::Full) => producer.room().await?,
            Err(SendError::Kafka(error)) => return Err(error),
        }
    }
}

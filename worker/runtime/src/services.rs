//! What all tasks of a worker share.
use crate::error::{Doing, TaskError};
use crate::options::RuntimeOptions;
use crate::table::Tables;
use elasticflow_kafka::ports::{ClientProperties, OutRecord, Producer, SendError};

/// Options and the shared readers of internal topics.
pub(crate) struct Services {
    pub(crate) options: RuntimeOptions,
    pub(crate) tables: Tables,
    /// Writes claims on error budgets; made with the first.
    /// Batches of all sources.
    pub(crate) batches: std::sync::OnceLock<std::sync::Arc<crate::batches::BatchTable>>,
    pub(crate) claims: tokio::sync::Mutex<Option<Box<dyn Producer>>>,
}

impl Services {
    pub(crate) fn new(options: RuntimeOptions) -> Self {
        let tables = Tables::new(std::sync::Arc::clone(&options.kafka));
        Self { options, tables, claims: tokio::sync::Mutex::new(None), batches: std::sync::OnceLock::new() }
    }

    /// Appends rows about error budgets to their topic and waits until every replica in sync has them.
    pub(crate) async fn append(&self, topic: &str, rows: &[(&str, Option<&str>)]) -> Result<(), TaskError> {
        const DOING: &str = "writing how far an error budget is used";
        let mut producer = self.claims.lock().await;
        let producer = match &mut *producer {
            Some(producer) => producer,
            none => {
                let id = format!("{}-budgets-producer", self.options.group);
                let client =
                    ClientProperties::from([("client.id".to_owned(), id), ("linger.ms".to_owned(), "0".to_owned())]);
                none.insert(self.options.kafka.producer(&client).doing("making a producer of error budgets")?)
            }
        };
        for (key, value) in rows {
            let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
            let record = OutRecord { topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
            loop {
                match producer.send(record) {
                    Ok(_) => break,
                    Err(SendError::Full) => producer.room().await.doing(DOING)?,
                    Err(SendError::Kafka(source)) => return Err(TaskError::Kafka { doing: DOING, source }),
                }
            }
        }
        producer.drain().await.doing(DOING)
    }
}

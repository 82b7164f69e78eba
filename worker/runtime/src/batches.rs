//! The topic of batches as a table: one reader a worker, which all of its tasks look into.
use crate::error::{Doing, TaskError};
use crate::services::Services;
use crate::table::Table;
use elasticflow_kafka::ports::TopicSpec;
use elasticflow_protocol::{BatchRecord, BatchRow, PublishedRow, batches_topic};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How old what was read may be for whoever asks again and again.
const RECENT: Duration = Duration::from_millis(400);

/// All rows stand together: sinks look at those of every source.
fn owner(_: &[u8]) -> Option<String> {
    Some(String::new())
}

/// What the topic says.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    pub(crate) runs: Vec<BatchRow>,
    pub(crate) published: Vec<PublishedRow>,
}

/// The table of a worker, decoded once for each change of it.
pub(crate) struct BatchTable {
    table: Arc<Table>,
    decoded: Mutex<Option<(u64, Arc<Batches>)>>,
    /// When it was last read to its end.
    read_at: tokio::sync::Mutex<Option<Duration>>,
}

impl BatchTable {
    /// Returns once everything that was in the topic when the call began is in the table.
    pub(crate) async fn read_to_end(&self) -> Result<(), TaskError> {
        self.table.read_to_end().await
    }

    /// The same, unless somebody has just done so: tasks that look often ask the broker once together.
    pub(crate) async fn read_recently(&self, now: impl Fn() -> Duration) -> Result<(), TaskError> {
        let mut read_at = self.read_at.lock().await;
        if read_at.is_some_and(|at| now().saturating_sub(at) < RECENT) {
            return Ok(());
        }
        let began = now();
        self.table.read_to_end().await?;
        *read_at = Some(began);
        Ok(())
    }

    /// The rows. What is not understood stops the task: a batch must not be overlooked.
    pub(crate) fn batches(&self) -> Result<Arc<Batches>, TaskError> {
        let version = self.table.version();
        let mut decoded = self.decoded.lock();
        if let Some((_, rows)) = decoded.as_ref().filter(|(of, _)| *of == version) {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(self.table.batches()?);
        *decoded = Some((version, Arc::clone(&rows)));
        Ok(rows)
    }
}

impl Services {
    /// The table; its topic is made if it is missing.
    pub(crate) async fn batches(&self) -> Result<Arc<BatchTable>, TaskError> {
        let options = &self.options;
        let name = batches_topic(&options.group);
        let spec = TopicSpec {
            name: name.clone(),
            partitions: 1,
            replication: options.decisions_replication,
            configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        options.kafka.admin().ensure_topic(&spec).await.doing("creating the topic of batches")?;
        let table = self.tables.table(&name, owner);
        let new = || Arc::new(BatchTable { table, decoded: Mutex::default(), read_at: tokio::sync::Mutex::new(None) });
        Ok(Arc::clone(self.batches.get_or_init(new)))
    }
}

impl Table {
    fn batches(&self) -> Result<Batches, TaskError> {
        let mut batches = Batches::default();
        for (key, value) in self.rows("") {
            match BatchRecord::read(&key, &value) {
                Some(BatchRecord::Run(row)) => batches.runs.push(row),
                Some(BatchRecord::Published(row)) => batches.published.push(row),
                None => {
                    return Err(TaskError::Definite(
                        "a record of the topic of batches cannot be read; it may be written by a later version, which must run this connector"
                            .to_owned(),
                    ));
                }
            }
        }
        batches.runs.sort_by(|a, b| (&a.connector, a.number).cmp(&(&b.connector, b.number)));
        Ok(batches)
    }
}

//! The topic of batches as a table.
use crate::error::{Doing, TaskError};
use crate::services::Services;
use crate::table::Table;
use elasticflow_kafka::ports::TopicSpec;
use elasticflow_protocol::{BatchRecord, BatchRow, PublishedRow, batches_topic};
use std::collections::BTreeMap;
use std::sync::Arc;

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

impl Services {
    /// The table; its topic is made if it is missing.
    pub(crate) async fn batches(&self) -> Result<Arc<Table>, TaskError> {
        let options = &self.options;
        let name = batches_topic(&options.group);
        let spec = TopicSpec {
            name: name.clone(),
            partitions: 1,
            replication: options.decisions_replication,
            configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        options.kafka.admin().ensure_topic(&spec).await.doing("creating the topic of batches")?;
        Ok(self.tables.table(&name, owner))
    }
}

impl Table {
    /// Its rows, of a table of batches. What is not understood stops the task: a batch must not be overlooked.
    pub(crate) fn batches(&self) -> Result<Batches, TaskError> {
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

//! What all tasks of a worker share.
use crate::options::RuntimeOptions;
use crate::table::Tables;
use elasticflow_kafka::ports::Producer;

/// Options and the shared readers of internal topics.
pub(crate) struct Services {
    pub(crate) options: RuntimeOptions,
    pub(crate) tables: Tables,
    /// Writes claims on error budgets; made with the first.
    pub(crate) claims: tokio::sync::Mutex<Option<Box<dyn Producer>>>,
}

impl Services {
    pub(crate) fn new(options: RuntimeOptions) -> Self {
        let tables = Tables::new(std::sync::Arc::clone(&options.kafka));
        Self { options, tables, claims: tokio::sync::Mutex::new(None) }
    }
}

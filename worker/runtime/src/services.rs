//! What all tasks of a worker share.
use crate::options::RuntimeOptions;
use crate::table::Tables;

/// Options and the shared readers of internal topics.
pub(crate) struct Services {
    pub(crate) options: RuntimeOptions,
    pub(crate) tables: Tables,
}

impl Services {
    pub(crate) fn new(options: RuntimeOptions) -> Self {
        let tables = Tables::new(std::sync::Arc::clone(&options.kafka));
        Self { options, tables }
    }
}

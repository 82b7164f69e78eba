//! `TimestampRouter`: another topic by the time of the record.
use crate::date_format::DateFormat;
use crate::error::{config, data};
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::Record;
use elasticflow_api::{RecordError, Result};
use parking_lot::RwLock;
use std::collections::HashSet;
use std::sync::Arc;

/// Names remembered; a full set is emptied.
const NAMES_MAX: usize = 4096;

elasticflow_config::settings! {
    /// Settings of `TimestampRouter`.
    pub(crate) struct TimestampRouterConfig {
        /// The new name; `${topic}` is the old one, `${timestamp}` the record's time.
        "topic.format" => topic_format: String { default: "${topic}-${timestamp}", importance: High },
        /// Pattern of the time, of Java's `SimpleDateFormat`, in UTC.
        "timestamp.format" => timestamp_format: String { default: "yyyyMMdd", importance: High },
    }
}

pub(crate) struct TimestampRouter {
    topic: String,
    timestamp: DateFormat,
    /// Names in use, so that records share them.
    names: RwLock<HashSet<Arc<str>>>,
}

impl Configured for TimestampRouter {
    type Config = TimestampRouterConfig;
    fn configured(c: TimestampRouterConfig, _: Side) -> Result<Self> {
        let timestamp = DateFormat::new(&c.timestamp_format).map_err(|reason| {
            let pattern = &c.timestamp_format;
            config(format!("Invalid value {pattern} for configuration timestamp.format: {reason}"))
        })?;
        Ok(Self { topic: c.topic_format, timestamp, names: RwLock::default() })
    }
}

impl Transform for TimestampRouter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        let Some(ms) = record.timestamp_ms else {
            return Err(data(format!("Timestamp missing on record: topic={}", record.topic)));
        };
        let named = self.topic.replace("${topic}", &record.topic);
        record.topic = self.shared(named.replace("${timestamp}", &self.timestamp.write(ms)));
        Ok(Some(record))
    }

    fn passes_plain_values(&self) -> bool {
        true
    }

    fn passes_headers(&self) -> bool {
        true
    }
}

impl TimestampRouter {
    fn shared(&self, name: String) -> Arc<str> {
        if let Some(known) = self.names.read().get(name.as_str()) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        let mut names = self.names.write();
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(Arc::clone(&name));
        name
    }
}

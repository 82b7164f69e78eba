//! `RegexRouter`: another topic by the name of the topic.
use crate::error::{config, data};
use crate::java_regex::{self, JavaRegex, Replacement};
use crate::side::{Configured, Side};
use crate::topics::ByTopic;
use elasticflow_api::convert::Transform;
use elasticflow_api::data::Record;
use elasticflow_api::{RecordError, Result};
use std::sync::Arc;

elasticflow_config::settings! {
    /// Settings of `RegexRouter`.
    pub(crate) struct RegexRouterConfig {
        /// Pattern, in Java's syntax, that the whole name of the topic must match.
        "regex" => regex: String { importance: High, valid: java_regex::VALID },
        /// What the match becomes; `$1` and `${name}` are groups.
        "replacement" => replacement: String { importance: High },
    }
}

pub(crate) struct RegexRouter {
    router: Router,
}

/// Names by a pattern, each worked out once.
pub(crate) struct Router {
    pattern: JavaRegex,
    replacement: Replacement,
    routed: ByTopic<Option<Arc<str>>>,
}

impl Router {
    /// A router.
    ///
    /// # Errors
    /// The pattern cannot be read.
    pub(crate) fn new(pattern: &str, replacement: &str) -> Result<Self> {
        let pattern = JavaRegex::new(pattern).map_err(config)?;
        Ok(Self { pattern, replacement: Replacement::new(replacement), routed: ByTopic::default() })
    }

    /// The new name; `None` when the pattern does not match.
    pub(crate) fn route(&self, topic: &Arc<str>) -> Result<Option<Arc<str>>, RecordError> {
        self.routed.of(topic, |topic| {
            if !self.pattern.matches(topic) {
                return Ok(None);
            }
            let routed = self.pattern.replace_first(topic, &self.replacement).map_err(data)?;
            Ok(Some(routed.into()))
        })
    }
}

impl Configured for RegexRouter {
    type Config = RegexRouterConfig;
    fn configured(c: RegexRouterConfig, _: Side) -> Result<Self> {
        Ok(Self { router: Router::new(&c.regex, &c.replacement)? })
    }
}

impl Transform for RegexRouter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        if let Some(routed) = self.router.route(&record.topic)? {
            record.topic = routed;
        }
        Ok(Some(record))
    }

    fn passes_plain_values(&self) -> bool {
        true
    }

    fn passes_headers(&self) -> bool {
        true
    }
}

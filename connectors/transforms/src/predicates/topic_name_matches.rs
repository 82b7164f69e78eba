//! `TopicNameMatches`: true for records of topics whose whole name matches a pattern.
use crate::error::config;
use crate::java_regex::{JavaRegex, VALID_NON_EMPTY};
use crate::topics::ByTopic;
use elasticflow_api::Result;
use elasticflow_api::convert::Predicate;
use elasticflow_api::data::Record;

elasticflow_config::settings! {
    /// Settings of `TopicNameMatches`.
    pub(crate) struct TopicNameMatchesConfig {
        /// Pattern, in Java's syntax, that the whole name of the topic must match.
        "pattern" => pattern: String { valid: VALID_NON_EMPTY },
    }
}

pub(crate) struct TopicNameMatches {
    pattern: JavaRegex,
    known: ByTopic<bool>,
}

impl TopicNameMatches {
    pub(crate) fn new(config_: &TopicNameMatchesConfig) -> Result<Self> {
        Ok(Self { pattern: JavaRegex::new(&config_.pattern).map_err(config)?, known: ByTopic::default() })
    }
}

impl Predicate for TopicNameMatches {
    fn test(&self, record: &Record) -> bool {
        self.known.of(&record.topic, |topic| Ok(self.pattern.matches(topic))).unwrap_or(false)
    }

    fn passes_plain_values(&self) -> bool {
        true
    }

    fn passes_headers(&self) -> bool {
        true
    }
}

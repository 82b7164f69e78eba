//! Under which name a schema is kept.
use elasticflow_formats::FormatError;

/// How subjects are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubjectNames {
    /// `<topic>-key` and `<topic>-value`.
    Topic,
    /// The record's full name.
    Record,
    /// `<topic>-<record's full name>`.
    TopicRecord,
}

/// Confluent's classes with their strategies.
const CLASSES: [(&str, SubjectNames); 3] = [
    ("TopicNameStrategy", SubjectNames::Topic),
    ("RecordNameStrategy", SubjectNames::Record),
    ("TopicRecordNameStrategy", SubjectNames::TopicRecord),
];
const PACKAGE: &str = "io.confluent.kafka.serializers.subject.";

impl SubjectNames {
    /// The strategy of a class, named with or without its package.
    pub(crate) fn of_class(class: &str) -> Option<Self> {
        let simple = class.trim();
        let simple = simple.strip_prefix(PACKAGE).unwrap_or(simple);
        CLASSES.iter().find(|(name, _)| *name == simple).map(|(_, strategy)| *strategy)
    }

    /// Checks a setting.
    pub(crate) fn check(class: &str) -> Result<(), String> {
        match Self::of_class(class) {
            Some(_) => Ok(()),
            None => Err(format!(
                "no such subject name strategy; known are TopicNameStrategy, RecordNameStrategy and \
                 TopicRecordNameStrategy of {}",
                PACKAGE.trim_end_matches('.')
            )),
        }
    }

    /// The subject of a schema.
    ///
    /// # Errors
    /// The strategy goes by record names and the schema has none.
    pub(crate) fn subject(self, topic: &str, is_key: bool, record: Option<&str>) -> Result<String, FormatError> {
        let named = || {
            record.ok_or_else(|| {
                FormatError::data(
                    "In configuration of the subject name strategy, the message must only be a record: its schema has \
                     no name; use TopicNameStrategy or name the schema",
                )
            })
        };
        Ok(match self {
            Self::Topic => format!("{topic}-{}", if is_key { "key" } else { "value" }),
            Self::Record => named()?.to_owned(),
            Self::TopicRecord => format!("{topic}-{}", named()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_named_as_their_strategy_says() {
        let of = |class: &str, is_key| {
            SubjectNames::of_class(class).unwrap().subject("t", is_key, Some("com.x.In")).unwrap()
        };
        assert_eq!(of("io.confluent.kafka.serializers.subject.TopicNameStrategy", true), "t-key");
        assert_eq!(of("TopicNameStrategy", false), "t-value");
        assert_eq!(of("io.confluent.kafka.serializers.subject.RecordNameStrategy", false), "com.x.In");
        assert_eq!(of("TopicRecordNameStrategy", true), "t-com.x.In");
    }

    #[test]
    fn a_schema_without_a_name_has_no_record_subject() {
        assert!(SubjectNames::Record.subject("t", false, None).is_err());
        assert_eq!(SubjectNames::Topic.subject("t", false, None).unwrap(), "t-value");
    }

    #[test]
    fn an_unknown_class_is_refused_with_those_that_are_known() {
        assert!(SubjectNames::check("com.x.Mine").unwrap_err().contains("TopicRecordNameStrategy"));
    }
}

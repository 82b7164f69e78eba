//! All problems of a configuration, by key.
use std::collections::BTreeMap;

/// Every problem of a configuration at once, by key, with values that would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidationReport {
    /// Key and messages. The empty key holds what belongs to no single key.
    pub errors: BTreeMap<String, Vec<String>>,
    /// Key and values that would do.
    pub recommended: BTreeMap<String, Vec<String>>,
    /// Key and what is odd but no error, such as an unknown key with the nearest known one.
    pub warnings: BTreeMap<String, Vec<String>>,
}

impl ValidationReport {
    /// Adds a problem.
    pub fn error(&mut self, key: &str, message: impl Into<String>) {
        self.errors.entry(key.to_owned()).or_default().push(message.into());
    }

    /// Adds a problem in Kafka's form: `Invalid value V for configuration K: reason`.
    pub fn invalid(&mut self, key: &str, value: &str, reason: &str) {
        self.error(key, format!("Invalid value {value} for configuration {key}: {reason}"));
    }

    /// Adds a warning.
    pub fn warning(&mut self, key: &str, message: impl Into<String>) {
        self.warnings.entry(key.to_owned()).or_default().push(message.into());
    }

    /// Whether there is no error.
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }

    /// Takes over everything of another report.
    pub fn merge(&mut self, other: Self) {
        for (into, from) in [
            (&mut self.errors, other.errors),
            (&mut self.recommended, other.recommended),
            (&mut self.warnings, other.warnings),
        ] {
            for (key, mut texts) in from {
                into.entry(key).or_default().append(&mut texts);
            }
        }
    }

    /// Number of messages.
    pub fn error_count(&self) -> usize {
        self.errors.values().map(Vec::len).sum()
    }
}

impl std::fmt::Display for ValidationReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<&str> = self.errors.values().flatten().map(String::as_str).collect();
        f.write_str(&texts.join("; "))
    }
}

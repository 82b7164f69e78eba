//! Log levels by logger name, with Connect's rules.
use elasticflow_herder::HerderHandle;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Connect's level names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are Log4j's")]
pub enum Level {
    Off,
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
    All,
}

impl Level {
    const NAMES: [(&'static str, Self); 8] = [
        ("OFF", Self::Off),
        ("FATAL", Self::Fatal),
        ("ERROR", Self::Error),
        ("WARN", Self::Warn),
        ("INFO", Self::Info),
        ("DEBUG", Self::Debug),
        ("TRACE", Self::Trace),
        ("ALL", Self::All),
    ];

    /// By its name, in any case.
    pub fn named(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, level)| *level)
    }

    /// As Log4j writes it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, level)| *level == self).map_or("INFO", |(name, _)| name)
    }

    /// The filter level that `tracing` knows.
    pub fn filter(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Fatal | Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace | Self::All => "trace",
        }
    }
}

/// A filter directive: a target of this product, empty for all, and its level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Beginning of the targets.
    pub target: String,
    /// Their level.
    pub level: Level,
}

/// One logger, as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Logger {
    level: Level,
    last_modified: Option<i64>,
}

/// Names under which clients of Connect know parts of this product.
const JAVA_NAMES: &[(&str, &[&str])] = &[
    ("org.apache.kafka.connect", &["elasticflow"]),
    ("org.apache.kafka.connect.runtime", &["elasticflow_runtime", "elasticflow_herder", "elasticflow_plan"]),
    ("org.apache.kafka.connect.runtime.distributed", &["elasticflow_herder", "elasticflow_plan"]),
    ("org.apache.kafka.connect.runtime.rest", &["elasticflow_rest"]),
    ("org.apache.kafka.connect.storage", &["elasticflow_store"]),
    ("org.apache.kafka.clients", &["elasticflow_kafka", "rdkafka", "librdkafka"]),
];

const ROOT: &str = "root";
/// Most loggers that are kept: each that is set stays.
const KNOWN_MAX: usize = 1_000;
/// Most bytes of a logger's name.
const NAME_BYTES_MAX: usize = 255;

/// Why a level cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoggerError {
    /// No name of a logger.
    #[error("a logger's name has letters, digits and . _ - $ :, and at most 255 bytes")]
    Name,
    /// Too many of them.
    #[error("1000 loggers have a level of their own; set a logger above, such as root, instead")]
    TooMany,
}

/// The loggers of this worker. What changes is handed to the process's log filter.
#[derive(Clone)]
pub struct Loggers {
    known: Arc<Mutex<BTreeMap<String, Logger>>>,
    apply: Arc<dyn Fn(&[Directive]) + Send + Sync>,
}

impl Loggers {
    /// Begins with one level for everything; `apply` gets the whole list of directives after each change.
    pub fn new(root: Level, apply: Arc<dyn Fn(&[Directive]) + Send + Sync>) -> Self {
        let known = BTreeMap::from([(ROOT.to_owned(), Logger { level: root, last_modified: None })]);
        Self { known: Arc::new(Mutex::new(known)), apply }
    }

    /// Sets what is asked for of every worker of the group; returns when the worker has ended.
    pub async fn follow(self, herder: HerderHandle) {
        let Some(mut asked) = herder.levels() else { return };
        while let Some((logger, level)) = asked.recv().await {
            let known = Level::named(&level).map(|level| self.set(&logger, level, herder.context().clock.wall_ms()));
            if !matches!(known, Some(Ok(_))) {
                tracing::warn!("a log level in the config topic cannot be set: no such level, or no name of a logger");
            }
        }
    }

    pub(crate) fn all(&self) -> BTreeMap<String, Logger> {
        self.known.lock().clone()
    }

    pub(crate) fn one(&self, name: &str) -> Option<Logger> {
        self.known.lock().get(name).cloned()
    }

    /// Sets a logger and every known one below it; names those whose level changed.
    ///
    /// # Errors
    /// The name is none, or there is no room for another one.
    pub(crate) fn set(&self, name: &str, level: Level, now_ms: i64) -> Result<Vec<String>, LoggerError> {
        // What is left becomes part of the log filter's text.
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-$:".contains(c);
        if name.len() > NAME_BYTES_MAX || !name.chars().all(fine) {
            return Err(LoggerError::Name);
        }
        let (changed, directives) = {
            let mut known = self.known.lock();
            if known.len() >= KNOWN_MAX && !known.contains_key(name) {
                return Err(LoggerError::TooMany);
            }
            let effective = effective(&known, name);
            known.entry(name.to_owned()).or_insert(Logger { level: effective, last_modified: None });
            let below = format!("{name}.");
            let mut changed = Vec::new();
            for (other, logger) in known.iter_mut().filter(|(n, _)| *n == name || n.starts_with(&below)) {
                if logger.level != level {
                    *logger = Logger { level, last_modified: Some(now_ms) };
                    changed.push(other.clone());
                }
            }
            (changed, directives(&known))
        };
        if !changed.is_empty() {
            (self.apply)(&directives);
        }
        Ok(changed)
    }
}

/// Level of the nearest known logger above.
fn effective(known: &BTreeMap<String, Logger>, name: &str) -> Level {
    let mut at = name;
    loop {
        if let Some(logger) = known.get(at) {
            return logger.level;
        }
        match at.rsplit_once('.') {
            Some((above, _)) => at = above,
            None => return known.get(ROOT).map_or(Level::Info, |root| root.level),
        }
    }
}

fn directives(known: &BTreeMap<String, Logger>) -> Vec<Directive> {
    let targets = |name: &str| -> Vec<String> {
        match JAVA_NAMES.iter().find(|(java, _)| *java == name) {
            Some((_, targets)) => targets.iter().map(|&t| t.to_owned()).collect(),
            None if name == ROOT => vec![String::new()],
            None => vec![name.replace('.', "::")],
        }
    };
    known
        .iter()
        .flat_map(|(name, logger)| targets(name).into_iter().map(|target| Directive { target, level: logger.level }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loggers() -> (Loggers, Arc<Mutex<Vec<Directive>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        (Loggers::new(Level::Info, Arc::new(move |d| *into.lock() = d.to_vec())), seen)
    }

    #[test]
    fn a_parent_sets_its_children_and_equal_levels_change_nothing() {
        let (loggers, _) = loggers();
        assert_eq!(loggers.set("p.q", Level::Warn, 1).unwrap(), ["p.q"]);
        assert_eq!(loggers.set("p", Level::Debug, 2).unwrap(), ["p", "p.q"]);
        assert_eq!(loggers.set("p", Level::Debug, 3).unwrap(), Vec::<String>::new());
        assert_eq!(loggers.one("p").unwrap().last_modified, Some(2));
        assert_eq!(loggers.set("new", Level::Info, 4).unwrap(), Vec::<String>::new(), "the level it has anyway");
        assert_eq!(loggers.one("new").unwrap().last_modified, None);
        assert_eq!(loggers.set("p.z", Level::Debug, 5).unwrap(), Vec::<String>::new(), "inherited");
    }

    #[test]
    fn java_names_reach_the_parts_of_this_product() {
        let (loggers, seen) = loggers();
        loggers.set("org.apache.kafka.connect.runtime.rest", Level::Trace, 1).unwrap();
        let wanted = Directive { target: "elasticflow_rest".to_owned(), level: Level::Trace };
        assert!(seen.lock().contains(&wanted), "{:?}", seen.lock());
    }

    #[test]
    fn names_that_are_none_and_loggers_without_end_are_refused() {
        let (loggers, _) = loggers();
        for name in ["a,trace", "a=b", "a[b]", "é", &"x".repeat(256)] {
            assert_eq!(loggers.set(name, Level::Warn, 1), Err(LoggerError::Name), "{name}");
        }
        for n in 1..KNOWN_MAX {
            loggers.set(&format!("a.{n}"), Level::Warn, 1).unwrap();
        }
        assert_eq!(loggers.set("one.more", Level::Warn, 1), Err(LoggerError::TooMany));
        assert!(loggers.set("a.1", Level::Info, 2).is_ok());
    }
}

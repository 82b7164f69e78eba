//! Keys of Debezium's connectors that have no effect here, or none but one value: none is accepted without a word.
use elasticflow_config::{KeyDef, Secret};
use std::collections::BTreeMap;

/// What is said about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is not needed: a warning with the reason.
    Needless(&'static str),
    /// Only these values, which say what is done anyway; others are refused with what to do.
    Only(&'static [&'static str], &'static str),
    /// Refused, with what to do.
    Refused(&'static str),
}

use Verdict::{Needless, Only, Refused};

const BOUNDED: &str =
    "what waits between the server and Kafka is bounded by max.batch.size and by the worker's source.batch.* keys";
const CHUNKS: &str = "tables are read in chunks of snapshot.chunk.rows, by one reader beside the stream";
const JAVA: &str = "there is no Java driver";
const SILENCE: &str = "a connection without a sign of life for three times binlog.heartbeat.ms is made anew";
const NO_HISTORY: &str = "there is no schema history and no DDL parser";
const RETRIES: &str =
    "lost connections are made anew within connection.retry.max.ms, and failed tasks are started again by the worker";
const STOPS: &str = "what cannot be read stops the task with its position; only `fail` is possible";
const PEM: &str =
    "key stores of Java are not read: set database.ssl.ca, database.ssl.cert and database.ssl.key to PEM files";
const OWN_CODE: &str = "Java classes cannot be run; use a transform";
const RENAMED_TABLES: &str = "is a key of Debezium 1: set table.include.list or table.exclude.list";
const FALSE: &[&str] = &["false"];
const FAIL: &[&str] = &["fail"];

/// Every key, in the order of the alphabet; a name that ends in `*` stands for all with that prefix.
const KEYS: &[(&str, Verdict)] = &[
    ("advanced.metrics.enable", Needless("every metric is there always")),
    ("binlog.buffer.size", Needless("a transaction that is rolled back is dropped without it")),
    ("binlog.metadata.based.schema", Needless("the schema comes from the log always")),
    ("binlog.net.read.timeout", Needless(SILENCE)),
    ("binlog.net.write.timeout", Needless("the server is asked for 600 s always")),
    ("column.blacklist", Refused("is a key of Debezium 1: set column.exclude.list")),
    ("column.whitelist", Refused("is a key of Debezium 1: set column.include.list")),
    ("connect.keep.alive", Needless(SILENCE)),
    ("connect.keep.alive.interval.ms", Needless(SILENCE)),
    ("connect.keep.alive.max.reconnect.attempts", Needless(RETRIES)),
    ("connection.validation.timeout.ms", Needless("validation connects within connect.timeout.ms")),
    ("custom.metric.tags", Needless("metrics have the labels connector and task; add others where they are collected")),
    (
        "database.allowPublicKeyRetrieval",
        Needless("the server's key is asked for where its way of logging in needs it"),
    ),
    ("database.blacklist", Refused("is a key of Debezium 1: set database.exclude.list")),
    ("database.characterEncoding", Needless("texts are read as utf8mb4")),
    ("database.connectionTimeZone", Needless("the connection's time zone is UTC always")),
    ("database.history", Needless(NO_HISTORY)),
    ("database.history.*", Needless(NO_HISTORY)),
    ("database.jdbc.driver", Needless(JAVA)),
    ("database.protocol", Needless(JAVA)),
    (
        "database.query.timeout.ms",
        Needless("a query of a snapshot that takes long is no error; a dead server is noticed by the connection"),
    ),
    ("database.server.id.offset", Needless("the connector has one task: database.server.id is used as it is")),
    ("database.server.name", Refused("is a key of Debezium 1: set topic.prefix")),
    ("database.serverTimezone", Needless("the connection's time zone is UTC always")),
    ("database.ssl.keystore", Refused(PEM)),
    ("database.ssl.keystore.password", Refused(PEM)),
    ("database.ssl.truststore", Refused(PEM)),
    ("database.ssl.truststore.password", Refused(PEM)),
    ("database.useSSL", Refused("set database.ssl.mode")),
    ("database.whitelist", Refused("is a key of Debezium 1: set database.include.list")),
    ("ddl.parser.type", Needless(NO_HISTORY)),
    ("driver.*", Needless(JAVA)),
    ("errors.max.retries", Needless(RETRIES)),
    (
        "event.converting.failure.handling.mode",
        Only(&["fail", "warn", "skip"], "must be fail, warn or skip; values that do not fit their type stop the task"),
    ),
    ("event.deserialization.failure.handling.mode", Only(FAIL, STOPS)),
    ("event.processing.failure.handling.mode", Only(FAIL, STOPS)),
    ("executor.shutdown.timeout.ms", Needless("the worker's task.shutdown.graceful.timeout.ms holds")),
    (
        "gtid.ignore.on.recovery",
        Only(
            FALSE,
            "a connector with GTIDs goes on by GTIDs; reset its offsets to file and pos without gtids to go on by place",
        ),
    ),
    ("guardrail.collections.limit.action", Needless("there is no limit of tables: table.include.list chooses them")),
    ("guardrail.collections.max", Only(&["0"], "there is no limit of tables: table.include.list chooses them")),
    ("heartbeat.topics.prefix", Refused("is a key of Debezium 1: set topic.heartbeat.prefix")),
    ("inconsistent.schema.handling.mode", Only(FAIL, STOPS)),
    ("incremental.snapshot.allow.schema.changes", Needless("tables may be altered while they are read")),
    ("incremental.snapshot.watermarking.strategy", Needless("nothing is written into the database")),
    ("legacy.snapshot.max.threads", Needless(CHUNKS)),
    ("max.queue.size", Needless(BOUNDED)),
    ("max.queue.size.in.bytes", Needless(BOUNDED)),
    ("memory.management.*", Needless("memory is bounded always")),
    ("min.row.count.to.stream.results", Needless(CHUNKS)),
    ("openlineage.integration.*", Needless("lineage is not told")),
    ("openlineage.integration.enabled", Only(FALSE, "lineage is not told; remove it")),
    ("poll.interval.ms", Needless("changes are sent as they come")),
    ("post.processors", Refused(OWN_CODE)),
    ("read.only", Needless("nothing is written into the database, but for heartbeat.action.query")),
    ("resolve.create.table.like.schema", Needless(NO_HISTORY)),
    ("retriable.restart.connector.wait.ms", Needless(RETRIES)),
    ("sanitize.field.names", Only(FALSE, "is a key of Debezium 1: set field.name.adjustment.mode=avro")),
    ("snapshot.fetch.size", Needless(CHUNKS)),
    ("snapshot.lock.timeout.ms", Needless("a lock is waited for at most 2 s, again and again")),
    ("snapshot.locking.mode.custom.name", Refused(OWN_CODE)),
    ("snapshot.max.threads", Needless(CHUNKS)),
    ("snapshot.max.threads.multiplier*", Needless(CHUNKS)),
    ("snapshot.mode.configuration.based.*", Refused("choose a snapshot.mode: initial, no_data, when_needed, ...")),
    ("snapshot.mode.custom.name", Refused(OWN_CODE)),
    ("snapshot.new.tables", Refused("is a key of Debezium 1: set snapshot.joined.tables")),
    (
        "snapshot.query.mode",
        Only(&["select_all"], "rows are chosen by column lists and by the additional-conditions of a signal"),
    ),
    ("snapshot.query.mode.custom.name", Refused(OWN_CODE)),
    (
        "snapshot.tables.order.by.row.count",
        Only(&["disabled"], "tables are read in the order of their names; remove it"),
    ),
    (
        "sourceinfo.struct.maker",
        Only(
            &[
                "io.debezium.connector.mysql.MySqlSourceInfoStructMaker",
                "io.debezium.connector.mariadb.MariaDbSourceInfoStructMaker",
            ],
            OWN_CODE,
        ),
    ),
    ("statistics.metrics.enabled", Needless("every metric is there always")),
    ("streaming.delay.ms", Needless("the log is read while the snapshot runs: there is no time between them")),
    ("table.blacklist", Refused(RENAMED_TABLES)),
    ("table.ignore.builtin", Only(&["true"], "tables of the server itself are never captured")),
    ("table.whitelist", Refused(RENAMED_TABLES)),
    ("topic.cache.size", Needless("names of topics are made once for each version of a table")),
    ("topic.regex.*", Refused("to name topics otherwise, use the transform ByLogicalTableRouter")),
    (
        "transaction.metadata.factory",
        Only(&["io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"], OWN_CODE),
    ),
    ("unavailable.value.placeholder", Needless("every value is in the log: binlog_row_image must be FULL")),
    ("use.nongraceful.disconnect", Needless(SILENCE)),
];

/// What validation says of one key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) is_error: bool,
}

/// What is to be said of posted keys.
pub(crate) fn judge(posted: &BTreeMap<String, String>) -> Vec<Said> {
    posted.iter().filter_map(|(key, value)| said(key, value.trim())).collect()
}

fn said(key: &str, value: &str) -> Option<Said> {
    let covers = |name: &str| name.strip_suffix('*').map_or(name == key, |prefix| key.starts_with(prefix));
    // A name of its own goes before a prefix.
    let exact = KEYS.iter().find(|(name, _)| *name == key);
    let (_, verdict) = exact.or_else(|| KEYS.iter().find(|(name, _)| covers(name)))?;
    let (text, is_error) = match verdict {
        Needless(reason) => (format!("{key} has no effect: {reason}"), false),
        Only(values, _) if values.iter().any(|v| v.eq_ignore_ascii_case(value)) => return None,
        Only(_, reason) => (format!("{key}={value} is not possible: {reason}"), true),
        Refused(reason) if reason.starts_with("is a key") => (format!("{key} {reason}"), true),
        Refused(reason) => (format!("{key} is not supported: {reason}"), true),
    };
    Some(Said { key: key.to_owned(), text, is_error })
}

/// The keys as they are declared: known, and in no table.
pub(crate) fn defs() -> Vec<KeyDef> {
    let doc = ["Of Debezium; without effect here."];
    let def = |name: &'static str| match name.ends_with("password") {
        true => KeyDef::new::<Option<Secret>>(name, &doc),
        false => KeyDef::new::<Option<String>>(name, &doc),
    };
    KEYS.iter().map(|(name, _)| def(name).hidden(true)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, value: &str) -> Option<Said> {
        said(key, value)
    }

    #[test]
    fn a_key_without_effect_says_why_and_one_that_would_do_harm_is_refused() {
        let needless = of("max.queue.size", "8192").unwrap();
        assert!(!needless.is_error && needless.text.starts_with("max.queue.size has no effect: "), "{needless:?}");
        let refused = of("table.whitelist", "a.b").unwrap();
        assert!(refused.is_error && refused.text.contains("table.include.list"), "{refused:?}");
        assert!(of("database.history.kafka.topic", "h").is_some_and(|said| !said.is_error));
        assert_eq!(of("database.hostname", "h"), None);
    }

    #[test]
    fn the_value_that_is_done_anyway_is_no_news() {
        assert_eq!(of("event.processing.failure.handling.mode", "FAIL"), None);
        assert!(of("event.processing.failure.handling.mode", "skip").unwrap().is_error);
        assert!(of("openlineage.integration.enabled", "true").unwrap().is_error);
        assert!(!of("openlineage.integration.job.owners", "a").unwrap().is_error);
    }

    #[test]
    fn no_key_stands_here_that_has_an_effect() {
        use elasticflow_config::Settings;
        for def in crate::config::CdcConfig::keys() {
            let known = KEYS.iter().any(|(name, _)| *name == def.name);
            assert!(!known, "{} has an effect", def.name);
        }
        let names: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted_by(|a, b| a.trim_end_matches('*') <= b.trim_end_matches('*')), "{names:?}");
    }
}

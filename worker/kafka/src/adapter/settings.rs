//! The settings of one client: worker, section, override, and what the worker demands, in this order.
use super::oauth::{Login, Logins, Tokens};
use super::properties::{ClientKind, How, Scope, find};
use super::security;
use crate::native::{Conf, Handle, Kind, Partitions};
use crate::ports::{ClientProperties, KafkaError};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest that a record of an open transaction waits for its batch to fill.
const LINGER_MAX_MS: u64 = 30_000;
/// `buffer.memory`: a record in the queue takes about twice its bytes.
const BUFFER_BYTES: u64 = 16_777_216;
/// librdkafka's `batch.size`.
const BATCH_BYTES: u64 = 1_000_000;

/// Most records of one batch.
pub(super) const BATCH_RECORDS: u64 = 20_000;

/// The worker's properties, split by section.
pub(crate) struct Worker {
    connection: ClientProperties,
    producer: ClientProperties,
    consumer: ClientProperties,
    admin: ClientProperties,
    /// Tokens that clients share.
    logins: Logins,
    /// What has been said in the log, so that each thing is said once.
    said: Mutex<BTreeSet<String>>,
}

/// What one client is made of.
#[derive(Default)]
pub(crate) struct Entries(Vec<Entry>, Option<Login>);

struct Entry {
    /// The property as the user wrote it.
    origin: String,
    key: &'static str,
    value: String,
    secret: bool,
}

impl Entries {
    /// Sets a property; the last one wins.
    pub(crate) fn set(&mut self, origin: &str, key: &'static str, value: String) {
        self.0.push(Entry { origin: origin.to_owned(), key, value, secret: false });
    }

    /// Has tokens asked for.
    pub(crate) fn login(&mut self, login: Login) {
        self.1 = Some(login);
    }

    /// Sets a property whose value must never be shown.
    pub(crate) fn secret(&mut self, origin: &str, key: &'static str, value: String) {
        self.0.push(Entry { origin: origin.to_owned(), key, value, secret: true });
    }

    #[cfg(test)]
    pub(crate) fn into_login(self) -> Option<Login> {
        self.1
    }

    #[cfg(test)]
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        self.0.iter().map(|entry| (entry.key.to_owned(), entry.value.clone())).collect()
    }
}

/// Settings of a client together with those that the adapter itself reads.
pub(crate) struct Settings {
    entries: Entries,
    tokens: Option<Arc<Tokens>>,
    /// Limit of one call that waits for a broker.
    pub(crate) call_limit: Duration,
    pub(crate) transaction_timeout: Duration,
    pub(crate) queue_records: u64,
    pub(crate) queue_bytes: u64,
    pub(crate) batch_records: usize,
    /// Bytes at which a producer's batch is full.
    pub(crate) batch_bytes: u64,
}

impl Worker {
    /// Sorts the worker's properties; keys without a prefix that are no client's are the worker's own and left alone.
    pub(crate) fn new(properties: &ClientProperties) -> Self {
        let section = |prefix: &str| -> ClientProperties {
            properties
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
                .collect()
        };
        let connection = properties
            .iter()
            .filter(|(key, _)| find(key).is_some_and(|row| row.scope == Scope::Connection && row.name != "client.id"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Self {
            connection,
            producer: section("producer."),
            consumer: section("consumer."),
            admin: section("admin."),
            logins: Logins::default(),
            said: Mutex::default(),
        }
    }

    /// The settings of a client. `transactional` is its transactional id.
    pub(crate) fn client(
        &self,
        kind: ClientKind,
        overrides: &ClientProperties,
        transactional: Option<&str>,
    ) -> Result<Settings, KafkaError> {
        let mut merged = self.connection.clone();
        let section = match kind {
            ClientKind::Producer => &self.producer,
            ClientKind::Consumer => &self.consumer,
            ClientKind::Admin => &self.admin,
        };
        merged.extend(section.iter().chain(overrides).map(|(key, value)| (key.clone(), value.clone())));
        if merged.get("bootstrap.servers").is_none_or(|servers| servers.trim().is_empty()) {
            return Err(KafkaError::Config(
                "`bootstrap.servers` is not set: name at least one broker, as in `bootstrap.servers=kafka-1:9092`"
                    .to_owned(),
            ));
        }
        if transactional.is_some() && merged.contains_key("linger.ms") {
            self.say_once("linger.ms", || {
                "`linger.ms` has no effect on producers of transactions: a batch leaves when it is full or at the end"
                    .to_owned()
            });
        }
        let mut entries = defaults(kind);
        self.translate(kind, &merged, &mut entries)?;
        security::translate(&merged, &mut entries)?;
        let tokens = entries.1.take().map(|login| self.logins.of(login));
        Ok(Settings { tokens, ..finish(kind, &merged, transactional, entries)? })
    }

    fn translate(&self, kind: ClientKind, merged: &ClientProperties, entries: &mut Entries) -> Result<(), KafkaError> {
        for (key, value) in merged {
            let Some(row) = find(key) else {
                self.say_once(key, || format!("`{key}` of a {kind} is not known and has no effect"));
                continue;
            };
            if !row.scope.covers(kind) {
                self.say_once(key, || format!("`{key}` is not a property of a {kind} and has no effect"));
                continue;
            }
            match row.how {
                How::Same => entries.set(key, row.name, value.trim().to_owned()),
                How::Named(name) => entries.set(key, name, value.trim().to_owned()),
                How::Rewritten(rewrite) => {
                    let pairs = rewrite(value).map_err(|end| KafkaError::Config(format!("`{key}` {end}")))?;
                    for (name, value) in pairs {
                        entries.set(key, name, value);
                    }
                }
                How::Read(_) => {}
                How::Fixed(demanded) if is_same(value, demanded) => {}
                How::Fixed(demanded) => {
                    self.say_once(key, || format!("`{key}` of a {kind} is replaced: the worker sets it to {demanded}"));
                }
                How::Ignored(_) if value.trim().is_empty() => {}
                How::Ignored(why) => self.say_once(key, || format!("`{key}` of a {kind} has no effect: {why}")),
                How::Refused(_) if value.trim().is_empty() => {}
                How::Refused(end) => return Err(KafkaError::Config(format!("`{key}` {end}"))),
            }
        }
        Ok(())
    }

    fn say_once(&self, key: &str, sentence: impl FnOnce() -> String) {
        if self.said.lock().insert(key.to_owned()) {
            tracing::warn!(property = key, "{}", sentence());
        }
    }
}

/// `acks=-1` is `acks=all`.
fn is_same(value: &str, demanded: &str) -> bool {
    let value = value.trim();
    value.eq_ignore_ascii_case(demanded) || (value == "-1" && demanded == "all") || value.is_empty()
}

fn defaults(kind: ClientKind) -> Entries {
    let pairs: &[(&'static str, &str)] = match kind {
        ClientKind::Producer => &[
            ("linger.ms", "5"),
            ("message.max.bytes", "1048576"),
            // Kafka's own: murmur2 of the key, spread where there is none.
            ("partitioner", "murmur2_random"),
        ],
        ClientKind::Consumer => &[
            ("auto.offset.reset", "earliest"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "10000"),
            // Fetched and not yet taken, per client: the bound of its memory.
            ("queued.max.messages.kbytes", "16384"),
            ("queued.min.messages", "10000"),
            ("fetch.queue.backoff.ms", "20"),
            ("fetch.message.max.bytes", "1048576"),
            ("fetch.max.bytes", "16777216"),
            ("receive.message.max.bytes", "100000000"),
            ("check.crcs", "true"),
            // How soon a subscribed topic that did not exist is found.
            ("topic.metadata.refresh.interval.ms", "2000"),
        ],
        ClientKind::Admin => &[],
    };
    let mut entries = Entries::default();
    entries.set("", "socket.keepalive.enable", "true".to_owned());
    // A small request must not wait for the answer to the one before it.
    entries.set("", "socket.nagle.disable", "true".to_owned());
    entries.set("", "topic.metadata.refresh.interval.ms", "60000".to_owned());
    entries.set("", "reconnect.backoff.max.ms", "1000".to_owned());
    for (key, value) in pairs {
        entries.set("", key, (*value).to_owned());
    }
    entries
}

/// What several properties decide together, and what the worker demands.
fn finish(
    kind: ClientKind,
    merged: &ClientProperties,
    transactional: Option<&str>,
    mut entries: Entries,
) -> Result<Settings, KafkaError> {
    let transaction_ms = number(merged, "transaction.timeout.ms", 60_000)?.max(1_000);
    let request_ms = number(merged, "request.timeout.ms", 30_000)?.clamp(100, 300_000);
    let bytes = number(merged, "buffer.memory", BUFFER_BYTES)?.clamp(1_048_576, 2_147_483_647);
    let records = number(merged, "queue.buffering.max.messages", 100_000)?.clamp(1, 2_147_483_647);
    // The client is refused unless socket.timeout.ms - 100 <= transaction.timeout.ms.
    let socket_ms = if transactional.is_some() { request_ms.min(transaction_ms) } else { request_ms };
    entries.set("request.timeout.ms", "socket.timeout.ms", socket_ms.to_string());
    if kind == ClientKind::Producer {
        entries.set("", "enable.idempotence", "true".to_owned());
        entries.set("", "acks", "all".to_owned());
        entries.set("", "batch.num.messages", BATCH_RECORDS.to_string());
        entries.set("queue.buffering.max.messages", "queue.buffering.max.messages", records.to_string());
        entries.set("buffer.memory", "queue.buffering.max.kbytes", (bytes / 1024).to_string());
        let delivery_ms = number(merged, "delivery.timeout.ms", 120_000)?;
        let delivery_ms = if delivery_ms >= 2_147_483_647 { 0 } else { delivery_ms };
        match transactional {
            Some(id) => {
                entries.set("", "transactional.id", id.to_owned());
                entries.set("transaction.timeout.ms", "transaction.timeout.ms", transaction_ms.to_string());
                // A delivery cannot outlive its transaction.
                let delivery_ms = if delivery_ms == 0 { transaction_ms } else { delivery_ms.min(transaction_ms) };
                entries.set("delivery.timeout.ms", "message.timeout.ms", delivery_ms.to_string());
                // Before the commit nobody sees a record, so a batch leaves when it is full or the transaction ends. With
                // a short linger librdkafka's sender spins for as long as a batch is on the wire and older records wait.
                entries.set("", "linger.ms", LINGER_MAX_MS.min(delivery_ms / 2).to_string());
            }
            None => {
                entries.set("delivery.timeout.ms", "message.timeout.ms", delivery_ms.to_string());
                if let Some(linger) = merged.get("linger.ms") {
                    entries.set("linger.ms", "linger.ms", linger.trim().to_owned());
                }
            }
        }
    }
    if kind == ClientKind::Consumer {
        entries.set("", "enable.auto.commit", "false".to_owned());
        entries.set("", "enable.auto.offset.store", "false".to_owned());
        entries.set("", "isolation.level", "read_committed".to_owned());
    }
    Ok(Settings {
        entries,
        tokens: None,
        batch_bytes: number(merged, "batch.size", BATCH_BYTES)?,
        call_limit: Duration::from_millis(number(merged, "default.api.timeout.ms", 60_000)?.clamp(1_000, 600_000)),
        transaction_timeout: Duration::from_millis(transaction_ms),
        queue_records: records,
        queue_bytes: bytes / 1024 * 1024,
        batch_records: usize::try_from(number(merged, "max.poll.records", 2_000)?.clamp(1, 100_000)).unwrap_or(2_000),
    })
}

fn number(merged: &ClientProperties, key: &str, default: u64) -> Result<u64, KafkaError> {
    match merged.get(key).map(|value| value.trim()) {
        None | Some("") => Ok(default),
        Some(value) => value.parse().map_err(|_| {
            KafkaError::Config(format!("`{key}` must be a whole number without a unit, such as {default}"))
        }),
    }
}

impl Settings {
    /// Adds what a particular client needs.
    pub(crate) fn with(mut self, key: &'static str, value: &str) -> Self {
        self.entries.set("", key, value.to_owned());
        self
    }

    /// Takes `auto.offset.reset` from the client, which knows no difference between a group without an offset and an offset
    /// that is not there any more: it is to tell both. Answers where partitions of the former begin; `None` is nowhere.
    pub(crate) fn take_reset(&mut self) -> Option<i64> {
        let key = "auto.offset.reset";
        let set = self.entries.0.iter().rev().find(|entry| entry.key == key).map(|entry| entry.value.clone());
        self.entries.set("", key, "error".to_owned());
        match set.as_deref() {
            Some("latest") => Some(Partitions::END),
            Some("error") => None,
            _ => Some(Partitions::BEGINNING),
        }
    }

    /// Starts the client.
    pub(crate) fn start(&self, kind: Kind, events: i32) -> Result<Arc<Handle>, KafkaError> {
        let mut conf = Conf::new().ok_or_else(|| KafkaError::Retriable("out of memory".to_owned()))?;
        for entry in &self.entries.0 {
            conf.set(entry.key, &entry.value).map_err(|reason| {
                let origin = if entry.origin.is_empty() { entry.key } else { &entry.origin };
                // The library's sentence repeats the value.
                let reason = if entry.secret { "its value is not accepted" } else { &reason };
                KafkaError::Config(format!("`{origin}`: {reason}"))
            })?;
        }
        if let Some(tokens) = &self.tokens {
            conf.tokens(Arc::clone(tokens) as _);
        }
        conf.events(events);
        Handle::start(kind, conf)
            .map_err(|reason| KafkaError::Config(format!("the Kafka client does not start: {reason}")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::properties::TABLE;
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> ClientProperties {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn value(settings: &Settings, key: &str) -> Option<String> {
        settings.entries.0.iter().rev().find(|entry| entry.key == key).map(|entry| entry.value.clone())
    }

    #[test]
    fn an_override_wins_over_the_section_and_that_over_the_worker() {
        let worker = Worker::new(&properties(&[
            ("bootstrap.servers", "a:1"),
            ("retry.backoff.ms", "1"),
            ("producer.retry.backoff.ms", "2"),
            ("producer.linger.ms", "3"),
            ("group.id", "workers"),
        ]));
        let none = ClientProperties::new();
        let producer = worker.client(ClientKind::Producer, &properties(&[("linger.ms", "9")]), None).unwrap();
        let consumer = worker.client(ClientKind::Consumer, &none, None).unwrap();
        assert_eq!(value(&producer, "retry.backoff.ms").as_deref(), Some("2"));
        assert_eq!(value(&producer, "linger.ms").as_deref(), Some("9"));
        assert_eq!(value(&consumer, "retry.backoff.ms").as_deref(), Some("1"));
        assert_eq!(value(&consumer, "group.id"), None);
    }

    #[test]
    fn demanded_values_cannot_be_overridden() {
        let worker = Worker::new(&properties(&[("bootstrap.servers", "a:1")]));
        let wrong = properties(&[("acks", "1"), ("enable.idempotence", "false")]);
        let producer = worker.client(ClientKind::Producer, &wrong, Some("id")).unwrap();
        assert_eq!(value(&producer, "acks").as_deref(), Some("all"));
        assert_eq!(value(&producer, "enable.idempotence").as_deref(), Some("true"));
        let wrong = properties(&[("isolation.level", "read_uncommitted")]);
        let consumer = worker.client(ClientKind::Consumer, &wrong, None).unwrap();
        assert_eq!(value(&consumer, "isolation.level").as_deref(), Some("read_committed"));
    }

    #[test]
    fn request_and_delivery_stay_below_the_transaction() {
        let worker = Worker::new(&properties(&[("bootstrap.servers", "a:1")]));
        for timeout in ["1000", "15000", "900000"] {
            let overrides = properties(&[("transaction.timeout.ms", timeout), ("delivery.timeout.ms", "2147483647")]);
            let settings = worker.client(ClientKind::Producer, &overrides, Some("id")).unwrap();
            let client = settings.start(Kind::Producer, 0);
            assert!(client.is_ok(), "{timeout}: {:?}", client.err());
            assert_eq!(value(&settings, "message.timeout.ms").as_deref(), Some(timeout));
        }
    }

    #[test]
    fn a_missing_bootstrap_is_explained() {
        let error =
            Worker::new(&ClientProperties::new()).client(ClientKind::Admin, &ClientProperties::new(), None).err();
        assert!(error.unwrap().to_string().contains("bootstrap.servers"));
    }

    #[test]
    fn a_value_that_is_refused_is_named_by_the_property_the_user_wrote_and_a_secret_is_not_repeated() {
        let worker = Worker::new(&properties(&[("bootstrap.servers", "a:1"), ("producer.max.request.size", "huge")]));
        let settings = worker.client(ClientKind::Producer, &ClientProperties::new(), None).unwrap();
        let error = settings.start(Kind::Producer, 0).err().unwrap().to_string();
        assert!(error.contains("`max.request.size`"), "{error}");
        let mut entries = Entries::default();
        entries.secret("sasl.jaas.config", "socket.timeout.ms", "canary".to_owned());
        let settings = Settings { entries, ..settings };
        let error = settings.start(Kind::Producer, 0).err().unwrap().to_string();
        assert!(!error.contains("canary") && error.contains("sasl.jaas.config"), "{error}");
    }

    #[test]
    fn every_property_that_is_passed_on_is_one_the_library_knows() {
        for row in TABLE {
            let (name, key) = match row.how {
                How::Same => (row.name, row.name),
                How::Named(key) => (row.name, key),
                _ => continue,
            };
            let reason = Conf::new().unwrap().set(key, "\u{1}").err().unwrap_or_default();
            assert!(!reason.contains("No such configuration property"), "{name}: {reason}");
        }
    }
}

//! Kafka's property names and what becomes of each: one table, from which `docs/configuration/kafka-security.md` and the
//! translation follow.
use std::fmt;

/// Which client a property is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientKind {
    Producer,
    Consumer,
    Admin,
}

impl fmt::Display for ClientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Admin => "admin",
        })
    }
}

/// Whose property it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Of every client; without a prefix it is the worker's, and every client's that does not say otherwise.
    Connection,
    Producer,
    Consumer,
    Admin,
}

impl Scope {
    pub(crate) fn covers(self, kind: ClientKind) -> bool {
        matches!(
            (self, kind),
            (Self::Connection, _)
                | (Self::Producer, ClientKind::Producer)
                | (Self::Consumer, ClientKind::Consumer)
                | (Self::Admin, ClientKind::Admin)
        )
    }
}

/// What becomes of a property.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// librdkafka has the same name and meaning.
    Same,
    /// librdkafka has another name for it.
    Named(&'static str),
    /// Value or name is rewritten; the error is the end of the sentence "`key` ...".
    Rewritten(fn(&str) -> Rewrite),
    /// Read by the adapter itself or together with others of its family.
    Read(&'static str),
    /// Set by the worker; another value is replaced with a warning.
    Fixed(&'static str),
    /// Has no effect here; said once in the log when set.
    Ignored(&'static str),
    /// Cannot be honoured; leaving it out would change security or delivery.
    Refused(&'static str),
}

/// One property.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    pub(crate) how: How,
}

const fn row(name: &'static str, scope: Scope, how: How) -> Row {
    Row { name, scope, how }
}

const JAVA_ONLY: &str = "a setting of the Java client alone";
const TOKENS: &str =
    "a token is asked for again after four fifths of its life, and every ten seconds when there is none";
const BROKERS_CHECK: &str = "brokers check tokens";
const ASSERTIONS: &str = "signs what a token is asked for with, which is not done here; use client credentials";
const FAMILY: &str = "read together with the other security properties";

/// Every property of the Java clients that is known here.
pub(crate) const TABLE: &[Row] = {
    use How::{Fixed, Ignored, Named, Read, Refused, Rewritten, Same};
    use Scope::{Admin, Connection, Consumer, Producer};
    &[
        row("bootstrap.servers", Connection, Same),
        row("bootstrap.controllers", Admin, Ignored("brokers answer every request")),
        row("client.dns.lookup", Connection, Same),
        row("client.id", Connection, Same),
        row("client.rack", Connection, Same),
        row("metadata.max.age.ms", Connection, Named("topic.metadata.refresh.interval.ms")),
        row("metadata.recovery.strategy", Connection, Rewritten(lower_recovery)),
        row("metadata.recovery.rebootstrap.trigger.ms", Connection, Same),
        row("request.timeout.ms", Connection, Read("the limit of one request; becomes socket.timeout.ms")),
        row("default.api.timeout.ms", Connection, Read("the limit of one call of the adapter")),
        row("retry.backoff.ms", Connection, Same),
        row("retry.backoff.max.ms", Connection, Same),
        row("reconnect.backoff.ms", Connection, Same),
        row("reconnect.backoff.max.ms", Connection, Same),
        row("connections.max.idle.ms", Connection, Rewritten(idle)),
        row("send.buffer.bytes", Connection, Rewritten(send_buffer)),
        row("receive.buffer.bytes", Connection, Rewritten(receive_buffer)),
        row("socket.connection.setup.timeout.ms", Connection, Same),
        row("socket.connection.setup.timeout.max.ms", Connection, Ignored("the first limit is used every time")),
        row("enable.metrics.push", Connection, Same),
        // --- security ---
        row("security.protocol", Connection, Read(FAMILY)),
        row("security.providers", Connection, Ignored(JAVA_ONLY)),
        row("sasl.mechanism", Connection, Read(FAMILY)),
        row("sasl.jaas.config", Connection, Read(FAMILY)),
        row("sasl.client.callback.handler.class", Connection, Read(FAMILY)),
        row("sasl.login.callback.handler.class", Connection, Read(FAMILY)),
        row("sasl.login.class", Connection, Read(FAMILY)),
        row("sasl.oauthbearer.token.endpoint.url", Connection, Read(FAMILY)),
        row("sasl.oauthbearer.client.credentials.client.id", Connection, Read(FAMILY)),
        row("sasl.oauthbearer.client.credentials.client.secret", Connection, Read(FAMILY)),
        row("sasl.oauthbearer.scope", Connection, Read(FAMILY)),
        row("sasl.oauthbearer.sub.claim.name", Connection, Read(FAMILY)),
        row("sasl.oauthbearer.header.urlencode", Connection, Read(FAMILY)),
        row("sasl.oauthbearer.jwt.retriever.class", Connection, Read(FAMILY)),
        row("sasl.login.connect.timeout.ms", Connection, Read(FAMILY)),
        row("sasl.login.read.timeout.ms", Connection, Read(FAMILY)),
        row("sasl.login.retry.backoff.ms", Connection, Ignored(TOKENS)),
        row("sasl.login.retry.backoff.max.ms", Connection, Ignored(TOKENS)),
        row("sasl.login.refresh.window.factor", Connection, Ignored(TOKENS)),
        row("sasl.login.refresh.window.jitter", Connection, Ignored(TOKENS)),
        row("sasl.login.refresh.min.period.seconds", Connection, Ignored(TOKENS)),
        row("sasl.login.refresh.buffer.seconds", Connection, Ignored(TOKENS)),
        row("sasl.oauthbearer.jwt.validator.class", Connection, Ignored(BROKERS_CHECK)),
        row("sasl.oauthbearer.scope.claim.name", Connection, Ignored(BROKERS_CHECK)),
        row("sasl.oauthbearer.clock.skew.seconds", Connection, Ignored(BROKERS_CHECK)),
        row("sasl.oauthbearer.expected.audience", Connection, Ignored(BROKERS_CHECK)),
        row("sasl.oauthbearer.expected.issuer", Connection, Ignored(BROKERS_CHECK)),
        row("sasl.oauthbearer.jwks.endpoint.url", Connection, Ignored(BROKERS_CHECK)),
        row("sasl.oauthbearer.assertion.file", Connection, Refused(ASSERTIONS)),
        row("sasl.oauthbearer.assertion.template.file", Connection, Refused(ASSERTIONS)),
        row("sasl.oauthbearer.assertion.private.key.file", Connection, Refused(ASSERTIONS)),
        row("sasl.oauthbearer.assertion.private.key.passphrase", Connection, Refused(ASSERTIONS)),
        row("ssl.truststore.type", Connection, Read(FAMILY)),
        row("ssl.truststore.location", Connection, Read(FAMILY)),
        row("ssl.truststore.password", Connection, Read(FAMILY)),
        row("ssl.truststore.certificates", Connection, Read(FAMILY)),
        row("ssl.keystore.type", Connection, Read(FAMILY)),
        row("ssl.keystore.location", Connection, Read(FAMILY)),
        row("ssl.keystore.password", Connection, Read(FAMILY)),
        row("ssl.keystore.key", Connection, Read(FAMILY)),
        row("ssl.keystore.certificate.chain", Connection, Read(FAMILY)),
        row("ssl.key.password", Connection, Read(FAMILY)),
        row("ssl.endpoint.identification.algorithm", Connection, Rewritten(endpoint)),
        row("ssl.enabled.protocols", Connection, Rewritten(protocols)),
        row("ssl.protocol", Connection, Ignored("the highest version both sides know is used")),
        row("ssl.cipher.suites", Connection, Rewritten(ciphers)),
        row("ssl.provider", Connection, Ignored(JAVA_ONLY)),
        row("ssl.keymanager.algorithm", Connection, Ignored(JAVA_ONLY)),
        row("ssl.trustmanager.algorithm", Connection, Ignored(JAVA_ONLY)),
        row("ssl.secure.random.implementation", Connection, Ignored(JAVA_ONLY)),
        row("ssl.engine.factory.class", Connection, Refused("is a Java class, which cannot run here; remove it")),
        // --- producers ---
        row("acks", Producer, Fixed("all")),
        row("enable.idempotence", Producer, Fixed("true")),
        row("transactional.id", Producer, Fixed("the task's own")),
        row(
            "transaction.timeout.ms",
            Producer,
            Read("at least 1000; request and delivery time-outs are kept below it"),
        ),
        row("delivery.timeout.ms", Producer, Read("becomes message.timeout.ms")),
        row(
            "linger.ms",
            Producer,
            Read("of producers without transactions; a batch of a transaction leaves when it is full or at its end"),
        ),
        row("batch.size", Producer, Same),
        row("buffer.memory", Producer, Read("becomes queue.buffering.max.kbytes")),
        row("queue.buffering.max.messages", Producer, Read("records in the queue, in addition to buffer.memory")),
        row("max.request.size", Producer, Named("message.max.bytes")),
        row("max.in.flight.requests.per.connection", Producer, Rewritten(in_flight)),
        row("compression.type", Producer, Same),
        row("compression.gzip.level", Producer, Named("compression.level")),
        row("compression.lz4.level", Producer, Named("compression.level")),
        row("compression.zstd.level", Producer, Named("compression.level")),
        row("retries", Producer, Ignored("deliveries are repeated until delivery.timeout.ms")),
        row("max.block.ms", Producer, Ignored("a full queue holds the task back without a limit of time")),
        row("metadata.max.idle.ms", Producer, Ignored(JAVA_ONLY)),
        row("partitioner.class", Producer, Rewritten(partitioner)),
        row("partitioner.ignore.keys", Producer, Rewritten(ignore_keys)),
        row("partitioner.adaptive.partitioning.enable", Producer, Ignored(JAVA_ONLY)),
        row("partitioner.availability.timeout.ms", Producer, Ignored(JAVA_ONLY)),
        row("key.serializer", Producer, Ignored("converters write keys")),
        row("value.serializer", Producer, Ignored("converters write values")),
        row("transaction.two.phase.commit.enable", Producer, Rewritten(two_phase)),
        // --- consumers ---
        row("group.id", Consumer, Fixed("the connector's group")),
        row("group.instance.id", Consumer, Same),
        row("group.protocol", Consumer, Rewritten(group_protocol)),
        row("group.remote.assignor", Consumer, Ignored("the classic group protocol is used")),
        row("session.timeout.ms", Consumer, Same),
        row("heartbeat.interval.ms", Consumer, Same),
        row("max.poll.interval.ms", Consumer, Same),
        row("max.poll.records", Consumer, Read("the most records of one batch")),
        row("partition.assignment.strategy", Consumer, Rewritten(strategy)),
        row("enable.auto.commit", Consumer, Fixed("false")),
        row("auto.commit.interval.ms", Consumer, Ignored("offsets are committed with the data")),
        row("auto.offset.reset", Consumer, Rewritten(reset)),
        row("isolation.level", Consumer, Fixed("read_committed")),
        row("fetch.min.bytes", Consumer, Same),
        row("fetch.max.bytes", Consumer, Same),
        row("fetch.max.wait.ms", Consumer, Named("fetch.wait.max.ms")),
        row("max.partition.fetch.bytes", Consumer, Same),
        row("queued.max.messages.kbytes", Consumer, Same),
        row("queued.min.messages", Consumer, Same),
        row("allow.auto.create.topics", Consumer, Same),
        row("check.crcs", Consumer, Same),
        row("exclude.internal.topics", Consumer, Ignored("a pattern matches what its regular expression says")),
        row("key.deserializer", Consumer, Ignored("converters read keys")),
        row("value.deserializer", Consumer, Ignored("converters read values")),
        // --- all of the Java client's own ---
        row("interceptor.classes", Connection, Ignored(JAVA_ONLY)),
        row("metric.reporters", Connection, Ignored(JAVA_ONLY)),
        row("metrics.num.samples", Connection, Ignored(JAVA_ONLY)),
        row("metrics.recording.level", Connection, Ignored(JAVA_ONLY)),
        row("metrics.sample.window.ms", Connection, Ignored(JAVA_ONLY)),
        row("config.providers", Connection, Ignored("references are resolved before they come here")),
    ]
};

/// The table as Markdown, for the page about it.
pub(crate) fn markdown() -> String {
    let mut text = String::from("| property | of | what becomes of it |\n|---|---|---|\n");
    for row in TABLE {
        let of = match row.scope {
            Scope::Connection => "every client",
            Scope::Producer => "producers",
            Scope::Consumer => "consumers",
            Scope::Admin => "admin",
        };
        let fate = match row.how {
            How::Same => "passed on".to_owned(),
            How::Named(name) => format!("passed on as `{name}`"),
            How::Rewritten(_) => "checked and translated".to_owned(),
            How::Read(what) => what.to_owned(),
            How::Fixed(value) => format!("always {value}; another value is replaced with a warning"),
            How::Ignored(why) => format!("no effect, with a warning: {why}"),
            How::Refused(end) => format!("refused: {end}"),
        };
        text.push_str(&format!("| `{}` | {of} | {fate} |\n", row.name));
    }
    text
}

/// The row of a name.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

/// Names and values for librdkafka, or the end of a sentence.
pub(crate) type Rewrite = Result<Vec<(&'static str, String)>, String>;

fn lower_recovery(value: &str) -> Rewrite {
    Ok(vec![("metadata.recovery.strategy", value.to_ascii_lowercase())])
}

fn idle(value: &str) -> Rewrite {
    let value = if value.starts_with('-') { "0" } else { value };
    Ok(vec![("connections.max.idle.ms", value.to_owned())])
}

fn send_buffer(value: &str) -> Rewrite {
    Ok(vec![("socket.send.buffer.bytes", system_default(value))])
}

fn receive_buffer(value: &str) -> Rewrite {
    Ok(vec![("socket.receive.buffer.bytes", system_default(value))])
}

/// Java's -1 is librdkafka's 0.
fn system_default(value: &str) -> String {
    if value.trim() == "-1" { "0".to_owned() } else { value.to_owned() }
}

fn endpoint(value: &str) -> Rewrite {
    let algorithm = if value.trim().is_empty() { "none".to_owned() } else { value.to_ascii_lowercase() };
    Ok(vec![("ssl.endpoint.identification.algorithm", algorithm)])
}

fn protocols(value: &str) -> Rewrite {
    let wanted: Vec<_> = value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if ["TLSv1.2", "TLSv1.3"].iter().all(|name| wanted.contains(name)) {
        return Ok(Vec::new());
    }
    Err("cannot leave out TLSv1.2 or TLSv1.3: both are offered; restrict the brokers' listeners instead".to_owned())
}

fn ciphers(value: &str) -> Rewrite {
    // Java's names start with TLS_; the negotiated suite is then the brokers' choice.
    if value.contains("TLS_") || value.trim().is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![("ssl.cipher.suites", value.to_owned())])
}

fn in_flight(value: &str) -> Rewrite {
    match value.trim().parse::<u32>() {
        Ok(count @ 1..=5) => Ok(vec![("max.in.flight.requests.per.connection", count.to_string())]),
        _ => Err("must be a number from 1 to 5: more would lose the order of records on a retry".to_owned()),
    }
}

fn partitioner(value: &str) -> Rewrite {
    match value.trim() {
        "" | "org.apache.kafka.clients.producer.internals.DefaultPartitioner" => Ok(Vec::new()),
        _ => {
            Err("is a Java class, which cannot run here; records go by their key as with Kafka's default partitioner; \
                  remove it, or set partitions with a transform"
                .to_owned())
        }
    }
}

fn ignore_keys(value: &str) -> Rewrite {
    match value.trim() {
        "" | "false" => Ok(Vec::new()),
        _ => Err("must be false: records with the same key stay in one partition".to_owned()),
    }
}

fn two_phase(value: &str) -> Rewrite {
    match value.trim() {
        "" | "false" => Ok(Vec::new()),
        _ => Err("must be false: the worker ends every transaction itself".to_owned()),
    }
}

fn group_protocol(value: &str) -> Rewrite {
    match value.trim().to_ascii_lowercase().as_str() {
        "" | "classic" => Ok(Vec::new()),
        _ => {
            Err("must be classic: revocations are confirmed by the member, which the consumer protocol has no room for"
                .to_owned())
        }
    }
}

fn strategy(value: &str) -> Rewrite {
    let names: Vec<_> = value.split(',').map(short_name).filter(|name| !name.is_empty()).collect();
    let name = match names.as_slice() {
        [] => return Ok(Vec::new()),
        // Java's default list; its eager members only serve a rolling upgrade.
        several if several.iter().any(|name| name == "cooperative-sticky") => "cooperative-sticky".to_owned(),
        several if several.iter().all(|name| name == "range" || name == "roundrobin") => several.join(","),
        _ => {
            return Err("must be RangeAssignor, RoundRobinAssignor or CooperativeStickyAssignor of \
                        org.apache.kafka.clients.consumer"
                .to_owned());
        }
    };
    Ok(vec![("partition.assignment.strategy", name)])
}

fn short_name(value: &str) -> String {
    let class = value.trim().trim_start_matches("class ");
    match class.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(class) {
        "RangeAssignor" => "range".to_owned(),
        "RoundRobinAssignor" => "roundrobin".to_owned(),
        "CooperativeStickyAssignor" => "cooperative-sticky".to_owned(),
        other => other.to_owned(),
    }
}

fn reset(value: &str) -> Rewrite {
    let value = match value.trim().to_ascii_lowercase().as_str() {
        "earliest" => "earliest",
        "latest" => "latest",
        "none" => "error",
        _ => return Err("must be earliest, latest or none".to_owned()),
    };
    Ok(vec![("auto.offset.reset", value.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_has_two_rows() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(TABLE.iter().skip(index + 1).all(|other| other.name != row.name), "{} twice", row.name);
        }
    }

    #[test]
    fn values_are_rewritten_to_what_librdkafka_says() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("ssl.endpoint.identification.algorithm", "", Some("none")),
            ("ssl.endpoint.identification.algorithm", "HTTPS", Some("https")),
            ("max.in.flight.requests.per.connection", "5", Some("5")),
            ("max.in.flight.requests.per.connection", "6", None),
            ("auto.offset.reset", "none", Some("error")),
            ("auto.offset.reset", "by_duration:PT1H", None),
            ("send.buffer.bytes", "-1", Some("0")),
            ("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor", Some("range")),
            (
                "partition.assignment.strategy",
                "class org.apache.kafka.clients.consumer.RangeAssignor,class \
                 org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
                Some("cooperative-sticky"),
            ),
            ("partition.assignment.strategy", "org.apache.kafka.clients.consumer.StickyAssignor", None),
            ("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner", None),
            ("group.protocol", "consumer", None),
        ];
        for (name, value, expected) in cases {
            let Some(Row { how: How::Rewritten(rewrite), .. }) = find(name) else { panic!("{name} is not rewritten") };
            let actual = rewrite(value).ok().and_then(|pairs| pairs.first().map(|pair| pair.1.clone()));
            assert_eq!(actual.as_deref(), *expected, "{name}={value}");
        }
    }
}

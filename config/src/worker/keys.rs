//! Which keys a worker knows beside its typed ones.

/// Keys of Kafka clients that go to the client library.
const CLIENT: &[&str] = &[
    "client.id",
    "connections.max.idle.ms",
    "metadata.max.age.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.client.callback.handler.class",
    "sasl.jaas.config",
    "sasl.kerberos.kinit.cmd",
    "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.service.name",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.login.connect.timeout.ms",
    "sasl.login.read.timeout.ms",
    "sasl.mechanism",
    "sasl.oauthbearer.assertion.algorithm",
    "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.exp.seconds",
    "sasl.oauthbearer.assertion.claim.iss",
    "sasl.oauthbearer.assertion.claim.jti.include",
    "sasl.oauthbearer.assertion.claim.nbf.seconds",
    "sasl.oauthbearer.assertion.claim.sub",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.template.file",
    "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.header.urlencode",
    "sasl.oauthbearer.jwt.retriever.class",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.sub.claim.name",
    "sasl.oauthbearer.token.endpoint.url",
    "security.protocol",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
    "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.protocol",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys of Connect that are accepted and do nothing here, each with the reason.
pub const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("client.dns.lookup", "the client library tries every address of a name"),
    ("connect.protocol", "workers find each other through an ordinary consumer group"),
    ("header.converter.plugin.version", "there is one version of each plug-in"),
    ("inter.worker.key.generation.algorithm", "workers do not sign requests to each other"),
    ("inter.worker.key.size", "workers do not sign requests to each other"),
    ("inter.worker.key.ttl.ms", "workers do not sign requests to each other"),
    ("inter.worker.signature.algorithm", "workers do not sign requests to each other"),
    ("internal.key.converter", "internal topics are always JSON without schemas"),
    ("internal.key.converter.schemas.enable", "internal topics are always JSON without schemas"),
    ("internal.value.converter", "internal topics are always JSON without schemas"),
    ("internal.value.converter.schemas.enable", "internal topics are always JSON without schemas"),
    ("key.converter.plugin.version", "there is one version of each plug-in"),
    ("metadata.recovery.rebootstrap.trigger.ms", "the client library decides"),
    ("metadata.recovery.strategy", "the client library decides"),
    ("metric.reporters", "metrics are served at /metrics"),
    ("metrics.num.samples", "rates and averages in /metrics are over the last minute"),
    ("metrics.recording.level", "every metric is always recorded"),
    ("metrics.sample.window.ms", "rates and averages in /metrics are over the last minute"),
    ("offset.flush.timeout.ms", "a flush waits until its records are acknowledged or have failed"),
    ("offset.storage.file.filename", "offsets are kept in Kafka"),
    ("plugin.discovery", "plug-ins are compiled into the binary"),
    ("plugin.path", "plug-ins are compiled into the binary"),
    ("rest.host.name", "use listeners"),
    ("rest.port", "use listeners"),
    ("sasl.kerberos.ticket.renew.jitter", "the client library has its own"),
    ("sasl.kerberos.ticket.renew.window.factor", "the client library has its own"),
    ("sasl.login.refresh.buffer.seconds", "a token is asked for again after four fifths of its life"),
    ("sasl.login.refresh.min.period.seconds", "a token is asked for again after four fifths of its life"),
    ("sasl.login.refresh.window.factor", "a token is asked for again after four fifths of its life"),
    ("sasl.login.refresh.window.jitter", "a token is asked for again after four fifths of its life"),
    ("sasl.login.retry.backoff.max.ms", "a token is asked for again every ten seconds"),
    ("sasl.login.retry.backoff.ms", "a token is asked for again every ten seconds"),
    ("sasl.oauthbearer.clock.skew.seconds", "the client library does not check tokens"),
    ("sasl.oauthbearer.expected.audience", "the client library does not check tokens"),
    ("sasl.oauthbearer.expected.issuer", "the client library does not check tokens"),
    ("sasl.oauthbearer.jwks.endpoint.refresh.ms", "the client library does not check tokens"),
    ("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", "the client library does not check tokens"),
    ("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "the client library does not check tokens"),
    ("sasl.oauthbearer.jwks.endpoint.url", "the client library does not check tokens"),
    ("sasl.oauthbearer.jwt.validator.class", "the client library has its own"),
    ("sasl.oauthbearer.scope.claim.name", "the client library does not check tokens"),
    (
        "scheduled.rebalance.max.delay.ms",
        "a worker that is started again within session.timeout.ms has its tasks back, and nobody waits for longer",
    ),
    ("ssl.cipher.suites", "its names are Java's"),
    ("ssl.engine.factory.class", "the client library has its own"),
    ("ssl.keymanager.algorithm", "a setting of Java"),
    ("ssl.provider", "a setting of Java"),
    ("ssl.secure.random.implementation", "a setting of Java"),
    ("ssl.trustmanager.algorithm", "a setting of Java"),
    ("value.converter.plugin.version", "there is one version of each plug-in"),
    ("worker.sync.timeout.ms", "a worker that lags reads on by itself"),
    ("worker.unsync.backoff.ms", "a worker that lags reads on by itself"),
];

/// Beginnings of keys that belong to a family.
const FAMILIES: &[&str] = &[
    "producer.",
    "consumer.",
    "admin.",
    "config.storage.",
    "offset.storage.",
    "status.storage.",
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "config.providers.",
    "listeners.https.",
    super::super::flow::DEFAULTS,
];

/// Whether a key goes to the worker's own Kafka clients.
pub fn is_client_key(key: &str) -> bool {
    CLIENT.contains(&key)
}

/// Whether a key chooses or configures a converter.
pub fn is_converter_key(key: &str) -> bool {
    let below = |name: &str| key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    ["key.converter", "value.converter", "header.converter"].into_iter().any(below)
}

/// Whether a key belongs to a family whose members are not listed.
pub fn is_of_a_family(key: &str) -> bool {
    FAMILIES.iter().any(|family| key.starts_with(family))
}

/// Why a key does nothing.
pub fn without_effect(key: &str) -> Option<&'static str> {
    WITHOUT_EFFECT.iter().find(|(name, _)| *name == key).map(|(_, reason)| *reason)
}

/// Every key with a name of its own.
pub fn known() -> impl Iterator<Item = &'static str> {
    let typed = <super::WorkerSettings as crate::Settings>::keys().iter().map(|k| k.name);
    typed.chain(CLIENT.iter().copied()).chain(WITHOUT_EFFECT.iter().map(|(name, _)| *name))
}

//! The typed keys.
use crate::secret::Secret;
use crate::value::Millis;
use crate::{choice, settings};

choice! {
    /// Whether sources write exactly once.
    pub enum ExactlyOnceSourceSupport {
        /// They do not.
        Disabled = "disabled",
        /// The leader's writes are transactional; tasks are not yet.
        Preparing = "preparing",
        /// They do.
        Enabled = "enabled",
    }
}

/// Where a worker listens that is told nothing: Connect's port, on loopback.
pub(super) const LISTENERS: &str = "http://127.0.0.1:8083";

/// What connectors may override of their Kafka clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverridePolicy {
    /// Everything.
    All,
    /// Nothing.
    None,
    /// Their identity: `security.protocol`, `sasl.mechanism`, `sasl.jaas.config`.
    Principal,
    /// The keys of `connector.client.config.override.allowlist`.
    Allowlist,
}

impl OverridePolicy {
    /// By its name or the name of its Java class.
    pub fn named(text: &str) -> Option<Self> {
        let simple =
            text.trim().strip_prefix("org.apache.kafka.connect.connector.policy.").unwrap_or_else(|| text.trim());
        match simple.strip_suffix("ConnectorClientConfigOverridePolicy").unwrap_or(simple) {
            "All" => Some(Self::All),
            "None" => Some(Self::None),
            "Principal" => Some(Self::Principal),
            "Allowlist" => Some(Self::Allowlist),
            _ => None,
        }
    }

    /// As in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
            Self::Allowlist => "Allowlist",
        }
    }
}

impl crate::ConfigValue for OverridePolicy {
    const KIND: crate::KeyType = crate::KeyType::String;
    fn read(text: &str) -> Result<Self, String> {
        Self::named(text).ok_or_else(|| "unknown policy; known: All, None, Principal, Allowlist".to_owned())
    }
}

settings! {
    /// Typed settings of a worker.
    pub struct WorkerSettings {
        /// Kafka brokers to begin with, as host:port.
        "bootstrap.servers" => bootstrap_servers: Vec<String> { importance: High, group: "Cluster", valid: Validity::Check(some_server) },
        /// Name of the worker group; workers of one group share connectors.
        "group.id" => group_id: String { importance: High, group: "Cluster", valid: Validity::Check(filled) },

        /// Time after which a worker that is not heard of has lost its tasks to others.
        "session.timeout.ms" => session_timeout: Millis { default: "10000", importance: High, group: "Cluster", valid: Validity::Range(1000.0, 1_800_000.0) },
        /// Time between two signs of life of a worker; also how soon the others learn that tasks are to be handed on. Connect has 3000.
        "heartbeat.interval.ms" => heartbeat_interval: Millis { default: "1000", importance: High, group: "Cluster", valid: Validity::Range(100.0, 60_000.0) },
        /// Longest time the workers have to agree on who runs what.
        "rebalance.timeout.ms" => rebalance_timeout: Millis { default: "60000", importance: High, group: "Cluster" },
        /// Number of parts in which work is handed from one worker to another, when the topic group.id-slots has to be created: at least one for each worker there will ever be. A key of this product.
        "worker.slots" => worker_slots: i32 { default: "64", importance: Low, group: "Cluster", valid: Validity::Range(1.0, 1024.0) },
        /// Whether a worker that ends keeps its place until session.timeout.ms, so that one with the same advertised address goes on with its tasks; otherwise they move to others at once. A key of this product.
        "worker.keep.place" => keep_place: bool { default: "true", importance: Low, group: "Cluster" },
        /// Pool that the worker serves: connectors whose flow.pool is the same run on it. A key of this product.
        "worker.pool" => pool: String { default: "default", importance: Low, group: "Cluster", valid: Validity::Check(crate::flow::pool_name) },
        /// Capacity units that the worker offers: the flow.task.weight of its tasks is never more; what finds no room waits. No limit if not set. A key of this product.
        "worker.capacity" => capacity: Option<u64> { importance: Low, group: "Cluster", valid: Validity::Range(1.0, 1.0e9) },
        /// Memory in bytes that this worker has. Its tasks may reserve so much of it with flow.task.memory.bytes, and what finds no room waits; no limit if not set. Above nine tenths of it the less important sources that run there read smaller batches, down to a sixteenth, until less than eight tenths are used; 70 % of the machine's memory, or of what its control group may use, if not set. A key of this product.
        "worker.memory.bytes" => memory: Option<u64> { importance: Low, group: "Cluster", valid: Validity::Range(1_048_576.0, 1.0e15) },
        /// Whether sources are slowed down when the consumers of their topics fall behind. Static limits of connectors hold either way. A key of this product.
        "flow.enable" => flow_enable: bool { default: "true", importance: Low, group: "Flow" },
        /// Topic of limits in force and of what they rest on; compacted, one partition; group.id-flow if not set. A key of this product.
        "flow.storage.topic" => flow_topic: Option<String> { importance: Low, group: "Flow" },
        /// Time between two looks at lag and rates. A key of this product.
        "flow.sample.interval.ms" => flow_interval: Millis { default: "1000", importance: Low, group: "Flow", valid: Validity::Range(200.0, 10_000.0) },
        /// Share of the processors it may use that a worker is steered to once it has used nearly all of them for three sample intervals: the less important sources that run there are slowed down. The worker that leads reads it: give every worker the same. A key of this product.
        "worker.cpu.goal" => cpu_goal: f64 { default: "0.85", importance: Low, group: "Flow", valid: Validity::Range(0.1, 1.0) },
        /// Where incidents are told by POST, once when they begin and once when they are over; an http or https URL. Every worker of the group needs the same: the one that leads tells. A key of this product.
        "flow.hook.url" => hook_url: Option<Secret> { importance: Low, group: "Flow", valid: Validity::Check(http_url) },
        /// Signs what is told: the header X-Flow-Signature is sha256= and the HMAC-SHA256 of the body in hexadecimal. Not signed if not set. A key of this product.
        "flow.hook.secret" => hook_secret: Option<Secret> { importance: Low, group: "Flow" },

        /// Topic of connector configurations; compacted, one partition.
        "config.storage.topic" => config_topic: String { importance: High, group: "Internal topics", valid: Validity::Check(filled) },
        /// Its replication factor when it has to be created; -1 is the broker's default.
        "config.storage.replication.factor" => config_replication: i16 { default: "3", importance: Low, group: "Internal topics", valid: Validity::Check(positive_or_default) },
        /// Topic of source offsets; compacted.
        "offset.storage.topic" => offset_topic: String { importance: High, group: "Internal topics", valid: Validity::Check(filled) },
        /// Its partitions when it has to be created; -1 is the broker's default.
        "offset.storage.partitions" => offset_partitions: i32 { default: "25", importance: Low, group: "Internal topics", valid: Validity::Check(positive_or_default) },
        /// Its replication factor when it has to be created; -1 is the broker's default.
        "offset.storage.replication.factor" => offset_replication: i16 { default: "3", importance: Low, group: "Internal topics", valid: Validity::Check(positive_or_default) },
        /// Topic of connector and task states; compacted.
        "status.storage.topic" => status_topic: String { importance: High, group: "Internal topics", valid: Validity::Check(filled) },
        /// Its partitions when it has to be created; -1 is the broker's default.
        "status.storage.partitions" => status_partitions: i32 { default: "5", importance: Low, group: "Internal topics", valid: Validity::Check(positive_or_default) },
        /// Its replication factor when it has to be created; -1 is the broker's default.
        "status.storage.replication.factor" => status_replication: i16 { default: "3", importance: Low, group: "Internal topics", valid: Validity::Check(positive_or_default) },

        /// Converter of keys for connectors that name none.
        "key.converter" => key_converter: String { kind: KeyType::Class, importance: High, group: "Connectors", valid: Validity::Check(filled) },
        /// Converter of values for connectors that name none.
        "value.converter" => value_converter: String { kind: KeyType::Class, importance: High, group: "Connectors", valid: Validity::Check(filled) },
        /// Converter of headers for connectors that name none.
        "header.converter" => header_converter: String { kind: KeyType::Class, default: "org.apache.kafka.connect.storage.SimpleHeaderConverter", importance: Low, group: "Connectors" },
        /// What connectors may override of their Kafka clients: All, None, Principal (their identity), Allowlist.
        "connector.client.config.override.policy" => override_policy: OverridePolicy { default: "All", group: "Connectors" },
        /// Client keys, without a prefix, that connectors may override under the policy Allowlist.
        "connector.client.config.override.allowlist" => override_allowlist: Vec<String> { default: "", importance: Low, group: "Connectors" },
        /// Whether sources write exactly once. To turn it on in a running group: preparing on every worker, then enabled.
        "exactly.once.source.support" => exactly_once: ExactlyOnceSourceSupport { default: "disabled", importance: High, group: "Connectors" },
        /// Time between two commits of offsets of sources without exactly-once delivery, and of sinks.
        "offset.flush.interval.ms" => offset_flush_interval: Millis { default: "60000", importance: Low, group: "Connectors" },
        /// Longest time for all tasks together to stop before they are abandoned.
        "task.shutdown.graceful.timeout.ms" => graceful_timeout: Millis { default: "5000", importance: Low, group: "Connectors" },
        /// Whether sources may create topics as their topic.creation. keys say.
        "topic.creation.enable" => topic_creation: bool { default: "true", importance: Low, group: "Connectors" },
        /// Whether connectors that are for tests alone can be used: the ledger. A key of this product.
        "plugins.test.enabled" => test_plugins: bool { default: "false", importance: Low, group: "Connectors" },
        /// Whether the topics that a connector uses are recorded.
        "topic.tracking.enable" => topic_tracking: bool { default: "true", importance: Low, group: "Connectors" },
        /// Whether that record may be reset over REST.
        "topic.tracking.allow.reset" => topic_tracking_reset: bool { default: "true", importance: Low, group: "Connectors" },
        /// Names of the providers of references such as ${file:/path:key}.
        "config.providers" => config_providers: Vec<String> { default: "", importance: Low, group: "Connectors" },
        /// Longest time a connector may take to check a configuration against the outside world. A key of this product.
        "connector.validation.timeout.ms" => validation_timeout: Millis { default: "30000", importance: Low, group: "Connectors" },

        /// URLs to listen on, comma-separated, http or https. Only loopback without authentication, unless rest.insecure is true.
        "listeners" => listeners: Vec<String> { default: LISTENERS, importance: Low, group: "REST" },
        /// Host name that other workers and clients are given.
        "rest.advertised.host.name" => rest_advertised_host: Option<String> { importance: Low, group: "REST" },
        /// Port that other workers and clients are given.
        "rest.advertised.port" => rest_advertised_port: Option<u16> { importance: Low, group: "REST" },
        /// Scheme of the listener that other workers and clients are given.
        "rest.advertised.listener" => rest_advertised_listener: Option<String> { importance: Low, group: "REST" },
        /// URLs for /admin alone; an empty value turns /admin off. Not set: /admin is served with the rest.
        "admin.listeners" => admin_listeners: Option<Vec<String>> { importance: Low, group: "REST" },
        /// Origin that browsers may call from, or *; none when empty.
        "access.control.allow.origin" => allow_origin: String { default: "", importance: Low, group: "REST" },
        /// Methods that browsers may call from that origin, comma-separated; GET, POST and HEAD when empty.
        "access.control.allow.methods" => allow_methods: String { default: "", importance: Low, group: "REST" },
        /// Headers for every answer, as action name:value, comma-separated; actions are set, add, setDate, addDate.
        "response.http.headers.config" => response_headers: String { default: "", importance: Low, group: "REST" },
        /// Extensions; org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension alone is known.
        "rest.extension.classes" => rest_extensions: Vec<String> { default: "", importance: Low, group: "REST" },
        /// Login file for basic authentication, as Java's system property of this name: its KafkaConnect entry names the file of users.
        "java.security.auth.login.config" => login_config: Option<String> { importance: Low, group: "REST" },
        /// File of callers, each with a password, a token or a certificate's name, a role and its connectors; not with rest.extension.classes. A key of this product.
        "rest.access.file" => access_file: Option<String> { importance: Medium, group: "REST" },
        /// Whether callers of https listeners show a certificate of an authority in ssl.truststore.location: required, requested or none.
        "ssl.client.auth" => client_auth: String { default: "none", importance: Low, group: "REST", valid: Validity::OneOf(&["required", "requested", "none"]) },
        /// Algorithms that an answer to a Java worker's internal request names.
        "inter.worker.verification.algorithms" => verification_algorithms: Vec<String> { default: "HmacSHA256", importance: Low, group: "REST" },
        /// Whether the endpoint may listen beyond loopback without authentication. A key of this product.
        "rest.insecure" => rest_insecure: bool { default: "false", importance: Low, group: "REST" },
        /// Whether secret values are shown as [hidden]; references are shown in any case. A key of this product.
        "rest.redact.secrets" => redact_secrets: bool { default: "true", importance: Low, group: "REST" },
        /// Whether contents of records are told where reading them is the purpose, such as with dead letters; unset is true when every listener is on loopback, else false. A key of this product.
        "flow.data.read.enable" => data_read: Option<bool> { importance: Medium, group: "REST" },
        /// Whether answers carry a member elasticflow with what Connect has no place for. A key of this product.
        "rest.extensions" => extensions: bool { default: "true", importance: Low, group: "REST" },
        /// Longest time a request may take. Connect has 90000 and no key. A key of this product.
        "rest.request.timeout.ms" => request_timeout: Millis { default: "90000", importance: Low, group: "REST" },
        /// Whether the worker may run on the embedded development broker, which keeps one copy of everything; for tests alone. A key of this product.
        "development.broker.allow" => development_broker: bool { default: "false", importance: Low, group: "Cluster" },
        /// Largest request body in bytes. A key of this product.
        "rest.request.bytes.max" => request_bytes_max: u32 { default: "4194304", importance: Low, group: "REST", valid: Validity::Range(1024.0, 1_073_741_824.0) },
        /// Largest request line and headers together in bytes. A key of this product.
        "rest.header.bytes.max" => header_bytes_max: u32 { default: "32768", importance: Low, group: "REST", valid: Validity::Range(8192.0, 1_048_576.0) },
        /// Most connections at a time to one listener; another one is answered 503 and closed. A key of this product.
        "rest.connections.max" => connections_max: u32 { default: "1000", importance: Low, group: "REST", valid: Validity::Range(1.0, 100_000.0) },
        /// Most requests a second from one address, with as many at once; more are answered 429. 0: no limit. A key of this product.
        "rest.requests.per.second.max" => requests_per_second_max: u32 { default: "0", importance: Low, group: "REST", valid: Validity::Range(0.0, 1_000_000.0) },
        /// Longest time a client may take for its headers, for its body, between two requests, or to take an answer. A key of this product.
        "rest.client.timeout.ms" => client_timeout: Millis { default: "30000", importance: Low, group: "REST" },
    }
}

fn filled(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("String must be non-empty".to_owned()) } else { Ok(()) }
}

fn some_server(text: &str) -> Result<(), String> {
    let servers = crate::check::list(text);
    let named = servers
        .iter()
        .all(|s| s.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()));
    if named && !servers.is_empty() { Ok(()) } else { Err("give brokers as host:port, comma-separated".to_owned()) }
}

fn http_url(text: &str) -> Result<(), String> {
    let host = text.trim().strip_prefix("http://").or_else(|| text.trim().strip_prefix("https://"));
    match host.filter(|host| !host.is_empty() && !host.starts_with('/')) {
        Some(_) => Ok(()),
        None => Err("Value must be a URL that begins with http:// or https://".to_owned()),
    }
}

fn positive_or_default(text: &str) -> Result<(), String> {
    match text.trim().parse::<i64>() {
        Ok(n) if n < 1 && n != -1 => Err("Value must be at least 1, or -1 for the broker's default".to_owned()),
        _ => Ok(()),
    }
}

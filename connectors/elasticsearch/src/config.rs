//! The keys of the sink: Confluent's names where they exist, so that its JSON runs unchanged.
use elasticflow_config::{Millis, Secret, choice, settings};
use std::borrow::Cow;

choice! {
    /// What a record without a value does.
    pub enum NullBehavior {
        /// Nothing.
        Ignore = "IGNORE",
        /// It deletes the document of its key.
        Delete = "DELETE",
        /// It is a bad record.
        Fail = "FAIL",
    }
}

choice! {
    /// What happens to a document that the index refuses.
    pub enum MalformedBehavior {
        /// It is left out.
        Ignore = "IGNORE",
        /// It is left out with a warning.
        Warn = "WARN",
        /// It is a bad record: tolerance and dead letter topic decide.
        Fail = "FAIL",
    }
}

choice! {
    /// How documents are written.
    pub enum WriteMethod {
        /// The record is the whole document.
        Insert = "INSERT",
        /// The record's fields are merged into the document; at least once.
        Upsert = "UPSERT",
    }
}

choice! {
    /// Whether values are change events.
    pub enum Envelope {
        /// Found out from schema name or members.
        Auto = "auto",
        /// Always.
        Debezium = "debezium",
        /// Never.
        None = "none",
    }
}

choice! {
    /// What a delete leaves behind.
    pub enum DeleteMode {
        /// Nothing.
        Hard = "hard",
        /// A document with the delete mark alone.
        Soft = "soft",
    }
}

choice! {
    /// How decimals are written and mapped.
    pub enum DecimalHandling {
        /// A number of double precision.
        Double = "double",
        /// Text with every digit.
        String = "string",
    }
}

choice! {
    /// The kind of data stream that documents are added to; the first part of its name.
    pub enum StreamType {
        /// Documents go to indices.
        None = "NONE",
        /// Logs.
        Logs = "LOGS",
        /// Metrics.
        Metrics = "METRICS",
    }
}

settings! {
    /// Settings of the Elasticsearch sink.
    pub struct ElasticsearchConfig {
        /// Addresses of the nodes, separated by commas, such as http://localhost:9200. Requests go round; a node that
        /// does not answer is left out for 30 seconds.
        "connection.url" => urls: Vec<String> {
            importance: High, group: "Connection", valid: Validity::Check(crate::client::check_urls)
        },
        /// User name for basic authentication.
        "connection.username" => username: Option<String> { group: "Connection" },
        /// Password for basic authentication.
        "connection.password" => password: Option<Secret> { group: "Connection" },
        /// API key, in the form that Elasticsearch shows as `encoded`.
        "elastic.api.key" => api_key: Option<Secret> { group: "Connection" },
        /// Bearer token.
        "elastic.bearer.token" => bearer_token: Option<Secret> { group: "Connection" },
        /// Longest wait for a connection, in milliseconds; 10000, or 1000 under the Confluent class name.
        "connection.timeout.ms" => connect_timeout: Option<Millis> {
            importance: Low, group: "Connection", valid: Validity::Range(1.0, 600_000.0)
        },
        /// Longest wait for an answer, in milliseconds; 30000, or 3000 under the Confluent class name. Must stay below
        /// `index.gc.deletes`.
        "read.timeout.ms" => read_timeout: Option<Millis> {
            importance: Low, group: "Connection", valid: Validity::Range(1.0, 600_000.0)
        },
        /// Longest time that an idle connection is kept, in milliseconds.
        "max.connection.idle.time.ms" => idle_timeout: Millis { default: "60000", importance: Low, group: "Connection" },
        /// Host of an HTTP proxy.
        "proxy.host" => proxy_host: Option<String> { importance: Low, group: "Connection" },
        /// Port of the proxy.
        "proxy.port" => proxy_port: u16 { default: "8080", importance: Low, group: "Connection" },
        /// User name at the proxy.
        "proxy.username" => proxy_username: Option<String> { importance: Low, group: "Connection" },
        /// Password at the proxy.
        "proxy.password" => proxy_password: Option<Secret> { importance: Low, group: "Connection" },
        /// File with the certificates (PEM) that sign the server's; takes the place of the public ones.
        "ssl.ca.location" => ca_file: Option<String> { group: "Security" },
        /// The same certificates as text.
        "ssl.ca.pem" => ca_pem: Option<String> { group: "Security" },
        /// File with the client's certificate (PEM).
        "ssl.certificate.location" => certificate_file: Option<String> { importance: Low, group: "Security" },
        /// File with the client's private key (PEM).
        "ssl.key.location" => key_file: Option<String> { importance: Low, group: "Security" },

        /// Most documents of a request.
        "batch.size" => batch_size: usize { default: "2000", group: "Requests", valid: Validity::Range(1.0, 1_000_000.0) },
        /// Most bytes of a request; -1 is 90 MiB. Halved for good when the server refuses a request as too large.
        "bulk.size.bytes" => bulk_bytes: i64 {
            default: "5242880", importance: Low, group: "Requests", valid: Validity::Range(-1.0, 94_371_840.0)
        },
        /// Most requests on their way at once.
        "max.in.flight.requests" => in_flight: usize { default: "5", group: "Requests", valid: Validity::Range(1.0, 1000.0) },
        /// Most records that are held without an answer; more are not taken until some are answered.
        "max.buffered.records" => buffered_records: usize {
            default: "20000", importance: Low, group: "Requests", valid: Validity::Range(1.0, 10_000_000.0)
        },
        /// How long records that do not fill a request may wait for more, in milliseconds.
        "linger.ms" => linger: Millis { default: "1", importance: Low, group: "Requests" },
        /// Longest time without an answer from any node until the task gives up and is restarted, in milliseconds.
        "flush.timeout.ms" => flush_timeout: Millis { default: "180000", importance: Low, group: "Requests" },
        /// How often a document is sent again after an answer of overload (429, 502, 503, 504).
        "max.retries" => max_retries: u32 { default: "15", importance: Low, group: "Requests" },
        /// First wait before sending again, in milliseconds; doubles up to 30 seconds, with full jitter.
        "retry.backoff.ms" => retry_backoff: Millis {
            default: "100", importance: Low, group: "Requests", valid: Validity::Range(1.0, 30_000.0)
        },
        /// Number of shard copies that must be active before a write proceeds: a number or `all`; empty is the index's own.
        "wait.for.active.shards" => active_shards: Option<String> {
            importance: Low, group: "Requests", valid: Validity::Check(crate::client::check_active_shards)
        },

        /// True: keys are ignored, `_id` is topic+partition+offset and documents are only added.
        "key.ignore" => key_ignore: bool { default: "false", importance: High, group: "Documents" },
        /// Topics for which `key.ignore` is true.
        "topic.key.ignore" => topic_key_ignore: Vec<String> { default: "", importance: Low, group: "Documents" },
        /// What stands between the fields of a key with several fields in `_id`.
        "key.delimiter" => key_delimiter: String { default: "_", importance: Low, group: "Documents" },
        /// True: no mapping is derived from the schema of the records.
        "schema.ignore" => schema_ignore: bool { default: "false", importance: Low, group: "Documents" },
        /// Topics for which `schema.ignore` is true.
        "topic.schema.ignore" => topic_schema_ignore: Vec<String> { default: "", importance: Low, group: "Documents" },
        /// Maps with text keys become objects; false: lists of key and value.
        "compact.map.entries" => compact_maps: bool { default: "true", importance: Low, group: "Documents" },
        /// Whether values are change events: of those, `after` is the document, and a delete event deletes.
        "value.envelope" => envelope: Envelope { default: "auto", group: "Documents" },
        /// What a record without a value does: IGNORE, DELETE, FAIL. DELETE, or FAIL where keys are ignored.
        "behavior.on.null.values" => on_null: Option<NullBehavior> { importance: Low, group: "Documents" },
        /// What happens to a document that the index refuses: IGNORE, WARN, FAIL. With FAIL the record goes the way of
        /// `errors.tolerance` and the dead letter topic.
        "behavior.on.malformed.documents" => on_malformed: MalformedBehavior {
            default: "FAIL", importance: Low, group: "Documents"
        },
        /// True: records that cannot become a document are left out with a warning.
        "drop.invalid.message" => drop_invalid: bool { default: "false", importance: Low, group: "Documents" },
        /// INSERT writes whole documents, exactly once in effect; UPSERT merges fields into them, at least once.
        "write.method" => write_method: WriteMethod { default: "INSERT", importance: Low, group: "Documents" },
        /// True: the server chooses `_id`; at least once.
        "use.autogenerated.ids" => autogenerated_ids: bool { default: "false", importance: Low, group: "Documents" },
        /// Name of a header with a number that takes the place of the version made from the offset. Its growth per key
        /// is then the sender's promise.
        "external.version.header" => version_header: Option<String> { importance: Low, group: "Documents" },
        /// Top part of the versions, raised to let a re-created or re-partitioned topic overwrite what is there.
        "version.epoch" => version_epoch: u16 {
            default: "0", importance: Low, group: "Documents", valid: Validity::Range(0.0, 32_767.0)
        },
        /// hard removes the document; soft leaves one with the delete mark, which no late write can revive.
        "delete.mode" => delete_mode: DeleteMode { default: "hard", group: "Documents" },
        /// Name of the delete mark.
        "delete.field" => delete_field: String { default: "_deleted", importance: Low, group: "Documents" },
        /// How decimals are written: double or string.
        "decimal.handling" => decimals: DecimalHandling { default: "double", group: "Documents" },

        /// Name of the index: `${topic}` and `${timestamp:yyyyMMdd}` are filled in, the result is lower-cased.
        "index.name.format" => index_format: String {
            default: "${topic}", group: "Indices", valid: Validity::Check(crate::index_name::check_format)
        },
        /// Whether missing indices are created.
        "index.auto.create" => auto_create: bool { default: "true", group: "Indices" },
        /// File with the settings (JSON object) of indices that are created.
        "index.settings.file" => settings_file: Option<String> { importance: Low, group: "Indices" },
        /// File with the mapping (JSON object) of indices that are created; then no mapping is derived from schemas.
        "index.mapping.file" => mapping_file: Option<String> { importance: Low, group: "Indices" },
        /// How long an index that is created here remembers deletes, in Elasticsearch's notation.
        "index.gc.deletes" => gc_deletes: String { default: "1h", importance: Low, group: "Indices" },
        /// Once a day indices are deleted whose name carries a date so many days past and that were made as long ago. Needs
        /// year, month and day in `index.name.format`. 0: never.
        "index.retention.days" => retention_days: u32 {
            default: "0", importance: Low, group: "Indices", valid: Validity::Range(0.0, 36_500.0)
        },

        /// LOGS or METRICS: documents are added to the data stream `<type>-<dataset>-<namespace>`, at least once. NONE: they
        /// go to indices.
        "data.stream.type" => stream_type: StreamType { default: "NONE", importance: Low, group: "Data streams" },
        /// What the documents are about, the second part of the name: lower case, without a hyphen.
        "data.stream.dataset" => stream_dataset: Option<String> {
            importance: Low, group: "Data streams", valid: Validity::Check(crate::stream::check_dataset)
        },
        /// The last part of the name; `${topic}` is filled in.
        "data.stream.namespace" => stream_namespace: String {
            default: "${topic}", importance: Low, group: "Data streams",
            valid: Validity::Check(crate::stream::check_namespace)
        },
        /// Fields that `@timestamp` is taken from: the first of them that a document has. Empty: the time of the record.
        "data.stream.timestamp.field" => stream_timestamp: Vec<String> {
            default: "", importance: Low, group: "Data streams"
        },

        /// The class that was asked for; the framework's key, read to choose between defaults.
        "connector.class" => class: Option<String> { hidden: true },
        /// The topics; the framework's key, read to find topics that fall on one index.
        "topics" => topics: Vec<String> { default: "", hidden: true },
    }
}

/// What is asked for under a foreign class name keeps that connector's defaults.
const CONFLUENT: &str = "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector";

impl ElasticsearchConfig {
    fn is_confluent(&self) -> bool {
        self.class.as_deref() == Some(CONFLUENT)
    }

    /// Longest wait for a connection.
    pub(crate) fn connect_timeout(&self) -> Millis {
        self.connect_timeout.unwrap_or_else(|| Millis(if self.is_confluent() { 1000 } else { 10_000 }))
    }

    /// Longest wait for an answer.
    pub(crate) fn read_timeout(&self) -> Millis {
        self.read_timeout.unwrap_or_else(|| Millis(if self.is_confluent() { 3000 } else { 30_000 }))
    }

    /// Most bytes of a request.
    pub(crate) fn bulk_bytes(&self) -> usize {
        usize::try_from(self.bulk_bytes).ok().filter(|bytes| *bytes > 0).unwrap_or(94_371_840)
    }

    /// Whether documents are added to data streams.
    pub(crate) fn is_stream(&self) -> bool {
        self.stream_type != StreamType::None
    }

    /// What the names of indices or data streams are made from.
    pub(crate) fn name_format(&self) -> Cow<'_, str> {
        match (self.stream_type, &self.stream_dataset) {
            (StreamType::None, _) | (_, None) => Cow::Borrowed(&self.index_format),
            (kind, Some(dataset)) => {
                Cow::Owned(format!("{}-{dataset}-{}", kind.word().to_ascii_lowercase(), self.stream_namespace))
            }
        }
    }

    /// Whether the keys of a topic are ignored; a data stream takes no second document of a key.
    pub(crate) fn ignores_key(&self, topic: &str) -> bool {
        self.is_stream() || self.key_ignore || self.topic_key_ignore.iter().any(|t| t == topic)
    }

    /// Whether the schemas of a topic are ignored.
    pub(crate) fn ignores_schema(&self, topic: &str) -> bool {
        self.schema_ignore || self.topic_schema_ignore.iter().any(|t| t == topic)
    }

    /// What a record without a value does.
    pub(crate) fn on_null(&self, topic: &str) -> NullBehavior {
        let default = if self.ignores_key(topic) { NullBehavior::Fail } else { NullBehavior::Delete };
        self.on_null.unwrap_or(default)
    }

    /// Whether a write that comes again changes nothing. In a data stream it would, once the stream has rolled over: an `_id`
    /// is known within one of its indices alone.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.write_method == WriteMethod::Insert && !self.autogenerated_ids && !self.is_stream()
    }
}

//! Settings: Debezium's keys with Debezium's meaning and defaults.
use crate::pace::Pace;
use elasticflow_cdc::filter;
use elasticflow_cdc::naming::Adjustment;
use elasticflow_cdc::notify::Notes;
use elasticflow_config::flow::Rate;
use elasticflow_config::{Millis, Prefixed, Secret, choice, settings};

choice! {
    /// When existing rows are read.
    pub enum SnapshotMode {
        /// Once, then the log.
        Initial = "initial",
        /// Once, then nothing.
        InitialOnly = "initial_only",
        /// At every start.
        Always = "always",
        /// If there is no stored position, or the server no longer has it.
        WhenNeeded = "when_needed",
        /// Never: the log from its present end.
        NoData = "no_data",
        /// As `no_data`.
        SchemaOnly = "schema_only",
        /// As `no_data` with the stored position kept: there is no schema history to recover.
        Recovery = "recovery",
        /// As `recovery`.
        SchemaOnlyRecovery = "schema_only_recovery",
        /// Never: the log from its oldest file.
        Never = "never",
    }
}

choice! {
    /// Whether the snapshot may lock.
    pub enum LockingMode {
        /// Short locks where the server offers no other exact mark.
        Minimal = "minimal",
        /// As `minimal`.
        MinimalPercona = "minimal_percona",
        /// As `minimal`.
        Extended = "extended",
        /// No lock at all.
        None = "none",
    }
}

choice! {
    /// Form of DECIMAL.
    pub enum DecimalMode {
        /// Connect's Decimal.
        Precise = "precise",
        /// A text with the full scale.
        String = "string",
        /// A double.
        Double = "double",
    }
}

choice! {
    /// Form of temporal types.
    pub enum TimeMode {
        /// By the column's precision; TIME in microseconds.
        Adaptive = "adaptive_time_microseconds",
        /// Connect's own logical types, in milliseconds.
        Connect = "connect",
        /// ISO 8601 text.
        IsoString = "isostring",
        /// Microseconds.
        Microseconds = "microseconds",
        /// Nanoseconds.
        Nanoseconds = "nanoseconds",
    }
}

choice! {
    /// Form of BIGINT UNSIGNED.
    pub enum BigintMode {
        /// 64 bits; values above 2^63-1 wrap to negative ones.
        Long = "long",
        /// Connect's Decimal.
        Precise = "precise",
    }
}

choice! {
    /// Form of binary columns.
    pub enum BinaryMode {
        /// Bytes.
        Bytes = "bytes",
        /// Base64 text.
        Base64 = "base64",
        /// Base64 text with the alphabet for URLs.
        Base64Url = "base64-url-safe",
        /// Lower-case hexadecimal text.
        Hex = "hex",
    }
}

choice! {
    /// Whether the connection is encrypted; the words of MySQL and of MariaDB.
    pub enum SslMode {
        /// Not.
        Disabled = "disabled",
        /// Not.
        Disable = "disable",
        /// If the server offers it; the certificate is not checked.
        Preferred = "preferred",
        /// Always; the certificate is not checked.
        Required = "required",
        /// Always; the certificate is not checked.
        Trust = "trust",
        /// Always; the certificate must come from a known authority.
        VerifyCa = "verify_ca",
        /// As `verify_ca`.
        VerifyCaMaria = "verify-ca",
        /// As `verify_ca`, and must name the host.
        VerifyIdentity = "verify_identity",
        /// As `verify_identity`.
        VerifyFull = "verify-full",
    }
}

settings! {
    /// Settings of the `mysql` and `mariadb` source connectors.
    pub struct CdcConfig {
        /// Host name or address of the server.
        "database.hostname" => hostname: String { importance: High, group: "Connection" },
        /// Port of the server.
        "database.port" => port: u16 { default: "3306", importance: High, group: "Connection" },
        /// User; needs SELECT, REPLICATION SLAVE, REPLICATION CLIENT, and for some snapshots RELOAD.
        "database.user" => user: String { importance: High, group: "Connection" },
        /// Password of the user.
        "database.password" => password: Option<Secret> { importance: High, group: "Connection" },
        /// Number of this client among the replicas of the server; must be unique. Without it, a number derived from the connector's name.
        "database.server.id" => server_id: Option<u32> { importance: High, group: "Connection", valid: Validity::Range(1.0, 4_294_967_295.0) },
        /// Whether the connection is encrypted.
        "database.ssl.mode" => ssl_mode: SslMode { default: "preferred", group: "Connection" },
        /// File with certificates (PEM) of authorities, for the modes that check the server's certificate.
        "database.ssl.ca" => ssl_ca: Option<String> { group: "Connection" },
        /// File with this client's certificate (PEM).
        "database.ssl.cert" => ssl_cert: Option<String> { group: "Connection" },
        /// File with the key (PEM) of this client's certificate.
        "database.ssl.key" => ssl_key: Option<String> { group: "Connection" },
        /// Longest time to connect, in milliseconds.
        "connect.timeout.ms" => connect_timeout: Millis { default: "30000", group: "Connection" },
        /// How long a lost connection is made anew before the task fails, in milliseconds. Where the log is read on is not lost meanwhile.
        "connection.retry.max.ms" => retry_max: Millis { default: "300000", group: "Connection", valid: Validity::Range(0.0, 86_400_000.0) },
        /// How often an idle server says that it is alive, in milliseconds; after three times that without a word the connection is given up.
        "binlog.heartbeat.ms" => server_heartbeat: Millis { default: "10000", group: "Connection", valid: Validity::Range(100.0, 600_000.0) },
        /// Whether the checksums of events are compared.
        "binlog.verify.checksum" => verify_checksum: bool { default: "true", group: "Connection", importance: Low },
        /// First part of every topic name and name of the source partition. Changing it begins anew.
        "topic.prefix" => topic_prefix: String { importance: High, group: "Topics", valid: Validity::Check(check_prefix) },
        /// Separator of the parts of a topic name.
        "topic.delimiter" => topic_delimiter: String { default: ".", group: "Topics" },
        /// How topics are named: by database and table. Other classes are refused.
        "topic.naming.strategy" => topic_naming: String { default: "io.debezium.schema.SchemaTopicNamingStrategy", hidden: true, valid: Validity::Check(check_naming) },
        /// Databases to capture: regular expressions, separated by commas, that match whole names.
        "database.include.list" => database_include: Option<String> { importance: High, group: "Filters", valid: Validity::Check(filter::check) },
        /// Databases to leave out.
        "database.exclude.list" => database_exclude: Option<String> { group: "Filters", valid: Validity::Check(filter::check) },
        /// Tables to capture, as `database.table`.
        "table.include.list" => table_include: Option<String> { importance: High, group: "Filters", valid: Validity::Check(filter::check) },
        /// Tables to leave out.
        "table.exclude.list" => table_exclude: Option<String> { group: "Filters", valid: Validity::Check(filter::check) },
        /// Whose transactions are captured: regular expressions, separated by commas, that match server UUIDs of MySQL, and domains (`7`) or
        /// servers in them (`7-101`) of MariaDB. A server that lacks those of others can take over. Needs GTIDs.
        "gtid.source.includes" => gtid_includes: Option<String> { group: "Filters", valid: Validity::Check(filter::check) },
        /// Whose transactions are left out, in the same form; not together with `gtid.source.includes`.
        "gtid.source.excludes" => gtid_excludes: Option<String> { group: "Filters", valid: Validity::Check(filter::check) },
        /// Whether rows of other sources are left out of the stream too; `false` only keeps their transactions from stopping a change of servers.
        "gtid.source.filter.dml.events" => gtid_filter_rows: bool { default: "true", group: "Filters", importance: Low },
        /// Columns to capture, as `database.table.column`.
        "column.include.list" => column_include: Option<String> { group: "Filters", valid: Validity::Check(filter::check) },
        /// Columns to leave out.
        "column.exclude.list" => column_exclude: Option<String> { group: "Filters", valid: Validity::Check(filter::check) },
        /// `column.mask.with.N.chars` and `column.mask.hash.ALGORITHM.with.salt.SALT`: text columns to replace.
        "column.mask.*" => column_mask: Prefixed { group: "Filters" },
        /// `column.truncate.to.N.chars`: text columns to cut.
        "column.truncate.*" => column_truncate: Prefixed { group: "Filters" },
        /// Columns whose schema gets the source type as parameters.
        "column.propagate.source.type" => propagate_columns: Option<String> { group: "Records", valid: Validity::Check(filter::check) },
        /// Types (`database.TYPE`) whose columns get the source type as parameters.
        "datatype.propagate.source.type" => propagate_types: Option<String> { group: "Records", valid: Validity::Check(filter::check) },
        /// When existing rows are read.
        "snapshot.mode" => snapshot_mode: SnapshotMode { default: "initial", importance: High, group: "Snapshot" },
        /// Whether the snapshot may lock; `none` needs GTIDs, BACKUP_ADMIN or MariaDB.
        "snapshot.locking.mode" => locking_mode: LockingMode { default: "minimal", group: "Snapshot" },
        /// Tables to snapshot, as `database.table`; all captured ones without it.
        "snapshot.include.collection.list" => snapshot_include: Option<String> { group: "Snapshot", valid: Validity::Check(filter::check) },
        /// Most rows of one chunk of the snapshot.
        "snapshot.chunk.rows" => chunk_rows: usize { default: "20000", group: "Snapshot", valid: Validity::Range(1.0, 1_000_000.0) },
        /// Bytes of rows that one chunk of the snapshot aims at.
        "snapshot.chunk.bytes" => chunk_bytes: usize { default: "4194304", group: "Snapshot", valid: Validity::Range(1024.0, 1_073_741_824.0) },
        /// Another name of `flow.rate.snapshot.records`.
        "snapshot.max.rows.per.second" => snapshot_rows_rate: Option<u64> { hidden: true },
        /// Another name of `flow.rate.snapshot.bytes`.
        "snapshot.max.bytes.per.second" => snapshot_bytes_rate: Option<u64> { hidden: true },
        /// The worker limits the first snapshot; one beside the stream limits itself.
        "flow.rate.snapshot.records" => flow_rows_rate: Rate { default: "-1", hidden: true },
        /// As before.
        "flow.rate.snapshot.bytes" => flow_bytes_rate: Rate { default: "-1", hidden: true },
        /// Whether tables that match the filters only since the filters were changed get a snapshot of their own beside the stream.
        "snapshot.joined.tables" => snapshot_joined: bool { default: "true", group: "Snapshot" },
        /// Wait before the snapshot, in milliseconds.
        "snapshot.delay.ms" => snapshot_delay: Millis { default: "0", group: "Snapshot" },
        /// Form of DECIMAL and NUMERIC.
        "decimal.handling.mode" => decimal_mode: DecimalMode { default: "precise", group: "Records" },
        /// Form of temporal types.
        "time.precision.mode" => time_mode: TimeMode { default: "adaptive_time_microseconds", group: "Records" },
        /// Form of BIGINT UNSIGNED.
        "bigint.unsigned.handling.mode" => bigint_mode: BigintMode { default: "long", group: "Records" },
        /// Form of binary columns.
        "binary.handling.mode" => binary_mode: BinaryMode { default: "bytes", group: "Records" },
        /// Whether years below 100 are taken as two-digit years.
        "enable.time.adjuster" => time_adjuster: bool { default: "true", group: "Records", importance: Low },
        /// Whether a delete is followed by a record with the key and no value.
        "tombstones.on.delete" => tombstones: bool { default: "true", group: "Records" },
        /// Whether changes carry the statement; MySQL needs binlog_rows_query_log_events=ON.
        "include.query" => include_query: bool { default: "false", group: "Records" },
        /// Operations that produce no record: `c`, `u`, `d`, `t`, or `none`.
        "skipped.operations" => skipped: Vec<String> { default: "t", group: "Records" },
        /// Whether updates that change no captured column are dropped.
        "skip.messages.without.change" => skip_unchanged: bool { default: "false", group: "Records" },
        /// Columns that make the key: `database.table:column,column;...`, names of tables as regular expressions.
        "message.key.columns" => key_columns: Option<String> { group: "Records" },
        /// How schema names are made legal for Avro.
        "schema.name.adjustment.mode" => schema_adjustment: Adjustment { default: "none", group: "Records" },
        /// How field names are made legal for Avro.
        "field.name.adjustment.mode" => field_adjustment: Adjustment { default: "none", group: "Records" },
        /// Whether records carry the headers `__debezium.context.*`.
        "extended.headers.enabled" => extended_headers: bool { default: "true", group: "Records" },
        /// Whether comments of columns become documentation of fields.
        "include.schema.comments" => schema_comments: bool { default: "false", group: "Records" },
        /// Whether statements that change tables are written to the topic named as the prefix, with the tables as they are then.
        "include.schema.changes" => schema_changes: bool { default: "true", group: "Records" },
        /// Whether BEGIN and END of transactions are written to a topic of their own, and changes carry their transaction.
        "provide.transaction.metadata" => transaction_metadata: bool { default: "false", group: "Records" },
        /// Name of the topic of transactions, without the prefix.
        "topic.transaction" => transaction_topic: String { default: "transaction", group: "Topics" },
        /// How often a heartbeat record is written, in milliseconds; 0 is never.
        "heartbeat.interval.ms" => heartbeat: Millis { default: "0", group: "Heartbeat" },
        /// First part of the name of the heartbeat topic.
        "topic.heartbeat.prefix" => heartbeat_prefix: String { default: "__debezium-heartbeat", group: "Topics" },
        /// Statement run with every heartbeat, such as one that writes to a table of a quiet database.
        "heartbeat.action.query" => heartbeat_query: Option<String> { group: "Heartbeat", importance: Low },
        /// Most records of a batch; the worker's own limit counts too.
        "max.batch.size" => batch_size: usize { default: "2048", group: "Engine", valid: Validity::Range(1.0, 1_000_000.0) },
        /// Statements run at the start of every connection other than the log's, separated by semicolons.
        "database.initial.statements" => initial_statements: Option<String> { group: "Connection", importance: Low },
        /// Reading the log needs no schema history; of the keys of this prefix `store.only.captured.tables.ddl` and
        /// `store.only.captured.databases.ddl` limit the records of schema changes, the others are accepted and have no effect.
        "schema.history.internal.*" => history: Prefixed { hidden: true },
        /// Where Kafka listens for the schema history, which is not needed.
        "schema.history.internal" => history_class: Option<String> { hidden: true },
        /// Table, as `database.table`, into which signals are inserted: `id`, `type`, `data`. It must be captured.
        "signal.data.collection" => signal_table: Option<String> { group: "Signals" },
        /// Where signals come from: `source` is the table, `file` a file, `kafka` a topic.
        "signal.enabled.channels" => signal_channels: Vec<String> { default: "source", group: "Signals", importance: Low },
        /// File of signals, a line each: JSON with `id`, `type` and `data`. What has been followed is taken out of it.
        "signal.file" => signal_file: String { default: "file-signals.txt", group: "Signals", importance: Low },
        /// Topic of signals, of one partition, in the worker's own cluster; by default the prefix with `-signal`. The key of a record
        /// is `topic.prefix`, its value JSON with `type` and `data`. It is made if it is not there.
        "signal.kafka.topic" => signal_topic: Option<String> { group: "Signals", importance: Low },
        /// Most rows of one chunk of a snapshot that a signal asks for.
        "incremental.snapshot.chunk.size" => adhoc_rows: usize { default: "1024", group: "Signals", valid: Validity::Range(1.0, 1_000_000.0) },
        /// Of the consumer of signals, such as `signal.kafka.groupId`: the worker's own client reads the topic, and the place in it is stored
        /// with the position, so that these have no effect.
        "signal.*" => signals: Prefixed { hidden: true },
        /// Where notifications of snapshots go: `sink` is a topic, `log` the worker's log.
        "notification.enabled.channels" => notification_channels: Vec<String> { default: "", group: "Notifications", valid: Validity::Check(check_channels) },
        /// Topic of the notifications.
        "notification.sink.topic.name" => notification_topic: Option<String> { group: "Notifications" },
        /// Names of converters of columns; `NAME.type` is the class of each. Built in is Debezium's TinyIntOneToBooleanConverter, with `NAME.selector`
        /// (columns, as regular expressions of `database.table.column`) and `NAME.length.checker` (`false`: also without the length 1).
        "converters" => converters: Option<String> { group: "Records", importance: Low },
        /// Queries in place of reading whole tables. Not supported: must be absent.
        "snapshot.select.*" => snapshot_selects: Prefixed { hidden: true },
        /// Everything that was posted: what belongs to converters and what has no effect.
        "*" => posted: Prefixed { hidden: true },
    }
}

/// For MySQL both name topics by prefix, database and table.
fn check_naming(text: &str) -> Result<(), String> {
    match text.trim().rsplit('.').next() {
        Some("SchemaTopicNamingStrategy" | "DefaultTopicNamingStrategy") => Ok(()),
        _ => Err(
            "must be io.debezium.schema.SchemaTopicNamingStrategy or io.debezium.schema.DefaultTopicNamingStrategy; \
                  to name topics otherwise, use a transform such as ByLogicalTableRouter"
                .to_owned(),
        ),
    }
}

fn check_channels(text: &str) -> Result<(), String> {
    let known = ["sink", "log", "jmx"];
    match text.split(',').map(str::trim).find(|c| !c.is_empty() && !known.contains(&c.to_ascii_lowercase().as_str())) {
        Some(other) => Err(format!("`{other}` is not known: sink and log are (jmx has no effect)")),
        None => Ok(()),
    }
}

fn check_prefix(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || !text.chars().all(legal) {
        return Err(
            "has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)".to_owned()
        );
    }
    Ok(())
}

impl CdcConfig {
    /// What is set and not supported: key and what to do.
    pub fn unsupported(&self) -> Vec<(&'static str, &'static str)> {
        let absent = "is not supported; remove it";
        let mut found = Vec::new();
        let mut refuse = |set: bool, key| {
            if set {
                found.push((key, absent));
            }
        };
        let known = ["source", "file", "kafka"];
        refuse(self.signal_channels.iter().any(|c| !known.contains(&c.as_str())), "signal.enabled.channels");
        refuse(!self.snapshot_selects.0.is_empty(), "snapshot.select.statement.overrides");
        found
    }

    /// What is set and has a better name: key and what to do. An error where both are set.
    pub fn renamed(&self) -> Vec<(&'static str, String, bool)> {
        let rates = [
            (
                "snapshot.max.rows.per.second",
                self.snapshot_rows_rate,
                "flow.rate.snapshot.records",
                self.flow_rows_rate,
            ),
            (
                "snapshot.max.bytes.per.second",
                self.snapshot_bytes_rate,
                "flow.rate.snapshot.bytes",
                self.flow_bytes_rate,
            ),
        ];
        let set = rates.into_iter().filter(|(_, rate, ..)| rate.is_some());
        set.map(|(key, _, name, other)| match other.per_second() {
            None => (key, format!("{key} is another name of {name}, which also changes without a restart"), false),
            Some(_) => (key, format!("{key} and {name} are the same limit: set {name} alone"), true),
        })
        .collect()
    }

    /// How fast a snapshot may read. The worker itself holds the first one to `flow.rate.snapshot.*`; of one beside the stream it cannot
    /// tell the rows from those of the stream.
    pub(crate) fn snapshot_pace(&self, initial: bool) -> Pace {
        let of = |named: Option<u64>, flow: Rate| match (named, flow.per_second()) {
            (Some(named), _) => named,
            (None, Some(flow)) if !initial => whole(flow),
            (None, _) => 0,
        };
        Pace::new(of(self.snapshot_rows_rate, self.flow_rows_rate), of(self.snapshot_bytes_rate, self.flow_bytes_rate))
    }

    /// Whether signals come from a channel.
    pub(crate) fn hears(&self, channel: &str) -> bool {
        self.signal_channels.iter().any(|c| c == channel)
    }

    /// Topic of signals, if there is one.
    pub(crate) fn signal_topic(&self) -> Option<String> {
        let named = || self.signal_topic.clone().unwrap_or_else(|| format!("{}-signal", self.topic_prefix));
        self.hears("kafka").then(named)
    }

    /// Where notifications go.
    pub(crate) fn notes(&self) -> Notes {
        let has = |name: &str| self.notification_channels.iter().any(|c| c.eq_ignore_ascii_case(name));
        let topic = self.notification_topic.as_deref().filter(|_| has("sink"));
        Notes::new(topic, has("log"), &self.topic_prefix)
    }

    /// Address for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.hostname, self.port)
    }
}

/// A rate in whole units; below one it is one, since 0 is no limit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a u64 holds")]
fn whole(per_second: f64) -> u64 {
    per_second.clamp(1.0, 1e15) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_config::{Properties, parse};

    #[test]
    fn a_minimal_configuration_of_debezium_is_read_with_its_defaults() {
        let config: CdcConfig = parse(&Properties::from_iter([
            ("database.hostname", "db"),
            ("database.user", "u"),
            ("database.password", "p"),
            ("database.server.id", "184054"),
            ("topic.prefix", "srv"),
            ("schema.history.internal.kafka.topic", "h"),
        ]))
        .unwrap();
        assert_eq!((config.port, config.snapshot_mode, config.tombstones), (3306, SnapshotMode::Initial, true));
        assert!(config.unsupported().is_empty());
    }

    #[test]
    fn every_wrong_key_is_reported_at_once() {
        let report = parse::<CdcConfig>(&Properties::from_iter([
            ("topic.prefix", "a b"),
            ("table.include.list", "("),
            ("snapshot.mode", "custom"),
        ]))
        .unwrap_err();
        let keys: Vec<&str> = report.errors.keys().map(String::as_str).collect();
        let expected = ["database.hostname", "database.user", "snapshot.mode", "table.include.list", "topic.prefix"];
        assert_eq!(keys, expected);
    }
}

//! Settings of the sink and of the batch source; names follow the Confluent JDBC connector.
use elasticflow_config::{KeyDef, Millis, Reader, Settings, choice, settings};
use elasticflow_sql::config::SinkKeys;
use elasticflow_sql::source::config::SourceMode;
use std::sync::LazyLock;

choice! {
    /// SQLite's journal.
    pub enum JournalMode {
        /// Write-ahead log: readers and the writer do not block each other.
        Wal = "wal",
        /// Rollback journal.
        Delete = "delete",
        /// As the file is.
        Keep = "keep",
    }
}

choice! {
    /// When SQLite waits for the disk.
    pub enum Synchronous {
        /// At each commit: survives power loss.
        Full = "full",
        /// At checkpoints: a power cut may drop the last transactions, rows and offsets together; they are consumed again.
        Normal = "normal",
    }
}

settings! {
    /// What only SQLite has.
    pub struct SqliteKeys {
        /// Whether to create the file when it does not exist.
        "sqlite.create" => create: bool { default: "true", importance: Medium, group: "Connection" },
        /// Journal of the file; `keep` leaves it as it is.
        "sqlite.journal.mode" => journal: JournalMode { default: "wal", group: "Connection" },
        /// When SQLite waits for the disk; with `normal` a power cut may drop the last transactions, rows and offsets together.
        "sqlite.synchronous" => synchronous: Synchronous { default: "full", group: "Connection" },
        /// Milliseconds to wait for another writer of the file.
        "sqlite.busy.timeout.ms" => busy_timeout_ms: u32 { default: "10000", group: "Connection" },
    }
}

/// Settings of `SqliteSinkConnector`.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// Those of every SQL sink.
    pub keys: SinkKeys,
    /// SQLite's own.
    pub own: SqliteKeys,
}

impl Settings for SinkConfig {
    fn keys() -> &'static [KeyDef] {
        static KEYS: LazyLock<Vec<KeyDef>> = LazyLock::new(|| [SinkKeys::keys(), SqliteKeys::keys()].concat());
        &KEYS
    }
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (keys, own) = (SinkKeys::read(reader), SqliteKeys::read(reader));
        Some(Self { keys: keys?, own: own? })
    }
}

settings! {
    /// Settings of `SqliteBatchSourceConnector`.
    pub struct SourceConfig {
        /// The database file, as `jdbc:sqlite:/path/file.db`, `sqlite:///path/file.db` or a path.
        "connection.url" => url: String { importance: High, group: "Connection" },
        /// Milliseconds to wait for a writer of the file.
        "sqlite.busy.timeout.ms" => busy_timeout_ms: u32 { default: "10000", group: "Connection" },
        /// How rows are found.
        "mode" => mode: SourceMode { importance: High, group: "Mode" },
        /// The growing column; empty takes the row id.
        "incrementing.column.name" => incrementing_column: String { default: "", importance: Medium, group: "Mode" },
        /// Columns of the time of the last change; of several the first that is not null counts.
        "timestamp.column.name" => timestamps: Vec<String> { default: "", importance: Medium, group: "Mode" },
        /// Milliseconds since 1970 from which rows are read the first time; absent is the beginning, -1 is now.
        "timestamp.initial" => initial: Option<i64> { importance: Low, group: "Mode" },
        /// Rows younger than this are not read yet: what commits late within it is not missed.
        "timestamp.delay.interval.ms" => delay: Millis { default: "5000", importance: High, group: "Mode" },
        /// Refuses cursor columns that may be null: rows with a null there are never read.
        "validate.non.null" => non_null: bool { default: "true", importance: Low, group: "Mode" },
        /// Tables to read; empty reads all.
        "table.whitelist" => tables: Vec<String> { default: "", importance: Medium, group: "Tables" },
        /// Tables to leave out.
        "table.blacklist" => tables_excluded: Vec<String> { default: "", importance: Medium, group: "Tables" },
        /// A record goes to the topic of this prefix and the table's name.
        "topic.prefix" => topic_prefix: String { importance: High, group: "Tables" },
        /// Milliseconds between polls of a table without new rows; in mode `bulk`, between two reads of the table.
        "poll.interval.ms" => poll_interval_ms: u64 { default: "5000", importance: High, group: "Mode" },
        /// Most rows of a page.
        "batch.max.rows" => batch_max_rows: u32 { default: "5000", importance: Low, group: "Mode", valid: Validity::Range(1.0, 1_000_000.0) },
    }
}

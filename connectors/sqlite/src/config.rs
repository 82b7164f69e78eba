//! Settings of the sink and of the batch source; names follow the Confluent JDBC connector.
use elasticflow_config::{choice, settings};

choice! {
    /// What a write does to a row that exists.
    pub enum InsertMode {
        /// Fails on an existing key.
        Insert = "insert",
        /// Replaces the row of the same key.
        Upsert = "upsert",
        /// Changes existing rows only.
        Update = "update",
    }
}

choice! {
    /// Where the columns of the primary key come from.
    pub enum PkMode {
        /// There is none.
        None = "none",
        /// Topic, partition and offset of the record.
        Kafka = "kafka",
        /// The record's key.
        RecordKey = "record_key",
        /// Fields of the record's value.
        RecordValue = "record_value",
    }
}

choice! {
    /// How change events are told from plain rows.
    pub enum EnvelopeMode {
        /// By the schema's name, or by the fields `op` and `before` or `after`.
        Auto = "auto",
        /// Every value is a change event.
        Debezium = "debezium",
        /// No value is.
        None = "none",
    }
}

choice! {
    /// How the source finds rows.
    pub enum SourceMode {
        /// The whole table at each poll.
        Bulk = "bulk",
        /// Rows with a larger value in a growing column.
        Incrementing = "incrementing",
    }
}

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
    /// Settings of `SqliteSinkConnector`.
    pub struct SinkConfig {
        /// The database file, as `jdbc:sqlite:/path/file.db`, `sqlite:///path/file.db` or a path.
        "connection.url" => url: String { importance: High, group: "Connection" },
        /// Whether to create the file when it does not exist.
        "sqlite.create" => create: bool { default: "true", importance: Medium, group: "Connection" },
        /// Journal of the file; `keep` leaves it as it is.
        "sqlite.journal.mode" => journal: JournalMode { default: "wal", group: "Connection" },
        /// When SQLite waits for the disk; with `normal` a power cut may drop the last transactions, rows and offsets together.
        "sqlite.synchronous" => synchronous: Synchronous { default: "full", group: "Connection" },
        /// Milliseconds to wait for another writer of the file.
        "sqlite.busy.timeout.ms" => busy_timeout_ms: u32 { default: "10000", group: "Connection" },
        /// What a write does to a row that exists.
        "insert.mode" => insert_mode: InsertMode { default: "insert", importance: High, group: "Writes" },
        /// Where the columns of the primary key come from; `upsert`, `update` and deletes need one.
        "pk.mode" => pk_mode: PkMode { default: "none", importance: High, group: "Writes" },
        /// Columns of the primary key. With `kafka`, names for topic, partition and offset; with `record_key`, fields of the
        /// key or the one column for a plain key; with `record_value`, fields of the value.
        "pk.fields" => pk_fields: Vec<String> { default: "", importance: Medium, group: "Writes" },
        /// Deletes the row on a null value or a delete event; needs `pk.mode=record_key`.
        "delete.enabled" => delete_enabled: bool { default: "false", importance: Medium, group: "Writes" },
        /// Table of a topic; `${topic}` is the topic's name, `${topic.last}` what follows its last dot.
        "table.name.format" => table_name_format: String { default: "${topic}", importance: Medium, group: "Tables" },
        /// Fields of the value to write; empty writes all.
        "fields.whitelist" => fields: Vec<String> { default: "", importance: Medium, group: "Tables" },
        /// Creates a missing table from the schema of its first record.
        "auto.create" => auto_create: bool { default: "false", importance: Medium, group: "Tables" },
        /// Adds a column for a new field; the field must be optional or have a default.
        "auto.evolve" => auto_evolve: bool { default: "false", importance: Medium, group: "Tables" },
        /// Table with the next offset and the owner epoch of each partition, written in the data's own transaction.
        "offset.table.name" => offset_table: String { default: "elasticflow_offsets", importance: Low, group: "Tables" },
        /// How change events are told from plain rows.
        "value.envelope" => envelope: EnvelopeMode { default: "auto", importance: Medium, group: "Writes" },
    }
}

settings! {
    /// Settings of `SqliteBatchSourceConnector`.
    pub struct SourceConfig {
        /// The database file, as `jdbc:sqlite:/path/file.db`, `sqlite:///path/file.db` or a path.
        "connection.url" => url: String { importance: High, group: "Connection" },
        /// Milliseconds to wait for a writer of the file.
        "sqlite.busy.timeout.ms" => busy_timeout_ms: u32 { default: "10000", group: "Connection" },
        /// How rows are found: the whole table at each poll, or rows with a larger value in a growing column.
        "mode" => mode: SourceMode { importance: High, group: "Mode" },
        /// The growing column; empty takes the row id.
        "incrementing.column.name" => incrementing_column: String { default: "", importance: Medium, group: "Mode" },
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

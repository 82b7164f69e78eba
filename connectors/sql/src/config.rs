//! Settings that every SQL sink has; names follow the Confluent JDBC connector.
use elasticflow_config::{Millis, Secret, choice, settings};

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
    /// What dots in a topic's name become in the table's name.
    pub enum Dots {
        /// Part of the name.
        Keep = "keep",
        /// Borders between schema and table.
        Split = "split",
        /// Underscores.
        Underscore = "underscore",
    }
}

choice! {
    /// What a delete is while deletes are off.
    pub enum DeleteOff {
        /// A bad record.
        Reject = "reject",
        /// Nothing.
        Skip = "skip",
    }
}

choice! {
    /// What is promised.
    pub enum Delivery {
        /// Offsets are stored in the data's own transaction.
        ExactlyOnce = "exactly-once",
        /// Offsets are the consumer group's.
        AtLeastOnce = "at-least-once",
    }
}

settings! {
    /// Settings of every SQL sink.
    pub struct SinkKeys {
        /// The database, as `jdbc:<system>://host:port/database` or `<system>://host:port/database`; for SQLite
        /// `jdbc:sqlite:/path/file.db`. Parameters of the JDBC driver that have a meaning here are on the system's page.
        "connection.url" => url: String { importance: High, group: "Connection" },
        /// User; it may also stand in the URL.
        "connection.user" => user: Option<String> { importance: High, group: "Connection" },
        /// Password of the user.
        "connection.password" => password: Option<Secret> { importance: High, group: "Connection" },
        /// Tries to connect before a start fails.
        "connection.attempts" => attempts: u32 { default: "3", group: "Connection", importance: Low, valid: Validity::Range(1.0, 1000.0) },
        /// Milliseconds between tries to connect.
        "connection.backoff.ms" => connect_backoff: Millis { default: "10000", group: "Connection", importance: Low },
        /// Milliseconds that connecting may take, login included.
        "connection.timeout.ms" => connect_timeout: Millis { default: "10000", group: "Connection", importance: Low },
        /// Milliseconds that a statement may take before the connection counts as lost.
        "socket.timeout.ms" => statement_timeout: Millis { default: "60000", group: "Connection", importance: Low },
        /// What a write does to a row that exists.
        "insert.mode" => insert_mode: InsertMode { default: "insert", importance: High, group: "Writes" },
        /// Where the columns of the primary key come from; `upsert`, `update` and deletes need one.
        "pk.mode" => pk_mode: PkMode { default: "none", importance: High, group: "Writes" },
        /// Columns of the primary key. With `kafka`, names for topic, partition and offset; with `record_key`, fields of the
        /// key or the one column for a plain key; with `record_value`, fields of the value.
        "pk.fields" => pk_fields: Vec<String> { default: "", importance: Medium, group: "Writes" },
        /// Deletes the row on a null value or a delete event; needs `pk.mode=record_key`.
        "delete.enabled" => delete_enabled: bool { default: "false", importance: Medium, group: "Writes" },
        /// What a null value or a delete event is while `delete.enabled` is false: a bad record, or nothing.
        "delete.disabled.action" => delete_off: DeleteOff { default: "reject", importance: Low, group: "Writes" },
        /// How change events are told from plain rows.
        "value.envelope" => envelope: EnvelopeMode { default: "auto", importance: Medium, group: "Writes" },
        /// Most rows of one statement; the system's own limits also count.
        "batch.size" => batch_size: usize { default: "3000", importance: Medium, group: "Writes", valid: Validity::Range(1.0, 1_000_000.0) },
        /// Most bad rows of one transaction: more stop the task.
        "errors.batch.isolate.max" => isolate_max: usize { default: "100", importance: Low, group: "Writes" },
        /// Tries of one transaction after the first, on errors that pass, before the task is restarted.
        "max.retries" => max_retries: u32 { default: "10", importance: Medium, group: "Writes" },
        /// Milliseconds between two tries of a transaction.
        "retry.backoff.ms" => retry_backoff: Millis { default: "3000", importance: Medium, group: "Writes" },
        /// `exactly-once` stores offsets in the data's own transaction; `at-least-once` leaves the offset table out.
        "delivery.guarantee" => delivery: Delivery { default: "exactly-once", importance: High, group: "Delivery" },
        /// Table with the next offset and the owner epoch of each partition; `schema.table` is possible.
        "offset.table.name" => offset_table: String { default: "elasticflow_offsets", importance: Low, group: "Delivery" },
        /// Table of a topic; `${topic}` is the topic's name, `${topic.last}` what follows its last dot. A dot outside the
        /// braces separates schema and table.
        "table.name.format" => table_name_format: String { default: "${topic}", importance: Medium, group: "Tables" },
        /// What dots in a topic's name become in the table's name: part of it, borders between schema and table, underscores.
        "table.name.dots" => dots: Dots { default: "keep", importance: Low, group: "Tables" },
        /// Fields of the value to write; empty writes all.
        "fields.whitelist" => fields: Vec<String> { default: "", importance: Medium, group: "Tables" },
        /// Creates a missing table from the schema of its first record.
        "auto.create" => auto_create: bool { default: "false", importance: Medium, group: "Tables" },
        /// Adds a column for a new field, which must be optional or have a default: rows that are there get that default, or null where the system refuses it.
        "auto.evolve" => auto_evolve: bool { default: "false", importance: Medium, group: "Tables" },
    }
}

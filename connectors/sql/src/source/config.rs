//! Settings that every SQL batch source has; names follow the Confluent JDBC connector.
use elasticflow_config::{Millis, Secret, choice, settings};

choice! {
    /// How rows are found.
    pub enum SourceMode {
        /// The whole table, again and again.
        Bulk = "bulk",
        /// Rows with a larger value in a growing column.
        Incrementing = "incrementing",
        /// Rows with a later time.
        Timestamp = "timestamp",
        /// Rows with a later time, or the same time and a larger value in a growing column.
        TimestampIncrementing = "timestamp+incrementing",
    }
}

choice! {
    /// What exact numbers become.
    pub enum NumericMapping {
        /// Connect's Decimal.
        None = "none",
        /// A whole number where there is no scale and it fits.
        PrecisionOnly = "precision_only",
        /// Also a double where the precision fits.
        BestFit = "best_fit",
        /// Also a double for every scale.
        BestFitEagerDouble = "best_fit_eager_double",
    }
}

settings! {
    /// Settings of every SQL batch source.
    pub struct SourceKeys {
        /// The database, as `jdbc:<system>://host:port/database` or `<system>://host:port/database`.
        "connection.url" => url: String { importance: High, group: "Connection" },
        /// User; it may also stand in the URL.
        "connection.user" => user: Option<String> { importance: High, group: "Connection" },
        /// Password of the user.
        "connection.password" => password: Option<Secret> { importance: High, group: "Connection" },
        /// Milliseconds that connecting may take, login included.
        "connection.timeout.ms" => connect_timeout: Millis { default: "10000", group: "Connection", importance: Low },
        /// Milliseconds that a statement may take before the connection counts as lost.
        "socket.timeout.ms" => statement_timeout: Millis { default: "60000", group: "Connection", importance: Low },
        /// How rows are found.
        "mode" => mode: SourceMode { importance: High, group: "Mode" },
        /// The growing column: unique and not null; empty takes the one that the database counts up.
        "incrementing.column.name" => incrementing: String { default: "", importance: Medium, group: "Mode" },
        /// Columns of the time of the last change; of several the first that is not null counts.
        "timestamp.column.name" => timestamps: Vec<String> { default: "", importance: Medium, group: "Mode" },
        /// Milliseconds since 1970 from which rows are read the first time; absent is the beginning, -1 is now.
        "timestamp.initial" => initial: Option<i64> { importance: Low, group: "Mode" },
        /// Rows younger than this by the database's clock are not read yet: what commits late within it is not missed.
        "timestamp.delay.interval.ms" => delay: Millis { default: "5000", importance: High, group: "Mode" },
        /// How often rows that were committed behind the time that was read are counted; 0 is never. Longer than any transaction lasts.
        "late.row.audit.ms" => audit: Millis { default: "0", importance: Low, group: "Mode" },
        /// A value of the growing column is read only when it was reached this long ago; 0 reads at once.
        "incrementing.delay.interval.ms" => settle: Millis { default: "1000", importance: Medium, group: "Mode" },
        /// Refuses cursor columns that may be null: rows with a null there are never read.
        "validate.non.null" => non_null: bool { default: "true", importance: Low, group: "Mode" },
        /// Tables to read; empty reads all of the database or schema.
        "table.whitelist" => tables: Vec<String> { default: "", importance: Medium, group: "Tables" },
        /// Tables to leave out.
        "table.blacklist" => excluded: Vec<String> { default: "", importance: Medium, group: "Tables" },
        /// A query in place of tables. Not supported: create a view and name it in `table.whitelist`.
        "query" => query: Option<String> { importance: Low, group: "Tables", valid: Validity::Check(check_absent) },
        /// A record goes to the topic of this prefix and the table's name.
        "topic.prefix" => topic_prefix: String { importance: High, group: "Tables" },
        /// Columns of the record key: `pk` is the primary key, `none` no key, else names.
        "key.columns" => key_columns: Vec<String> { default: "pk", importance: Medium, group: "Tables" },
        /// Milliseconds between polls of a table without news; in mode `bulk`, between two reads of the table.
        "poll.interval.ms" => poll_interval: Millis { default: "5000", importance: High, group: "Mode" },
        /// Most rows of a page.
        "batch.max.rows" => rows_max: usize { default: "1000", importance: Low, group: "Mode", valid: Validity::Range(1.0, 1_000_000.0) },
        /// What exact numbers become.
        "numeric.mapping" => numeric: NumericMapping { default: "none", importance: Low, group: "Tables" },
    }
}

fn check_absent(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Ok(())
    } else {
        Err("is not supported; create a view and name it in table.whitelist".to_owned())
    }
}

//! The keys of the generator; the familiar ones have their familiar names.
use elasticflow_config::{Millis, choice, settings};

choice! {
    /// Where timestamps come from.
    pub enum ClockMode {
        /// The time of day.
        Real = "real",
        /// The number of the record: a millisecond each from 2026-01-01 on.
        Logical = "logical",
    }
}

settings! {
    /// Settings of the generator.
    pub struct DatagenConfig {
        /// Topic to write to.
        "kafka.topic" => topic: String {
            importance: High, group: "Data", valid: Validity::Check(crate::connector::check_topic)
        },
        /// Ready-made fields: users, orders, pageviews, clickstream, stock_trades, transactions, inventory, ratings,
        /// product, purchase, sensors, logs. Exactly one of this and `fields` is set.
        "quickstart" => quickstart: Option<String> { importance: High, group: "Data" },
        /// Fields of a record, such as `id:seq, customer:int(1,100), amount:decimal(2,1,999), at:now`.
        "fields" => fields: Option<String> { importance: High, group: "Data" },
        /// Name of the field that is also the key; empty for none. A quickstart brings its own.
        "schema.keyfield" => key_field: Option<String> { importance: High, group: "Data" },
        /// Records of each task, after which it ends; -1 is without end.
        "iterations" => iterations: i64 { default: "-1", importance: High, group: "Data", valid: Validity::Range(-1.0, 9e18) },
        /// Start of the random numbers; without it, the connector's name.
        "random.seed" => seed: Option<i64> { importance: Low, group: "Data" },
        /// Whether timestamps are the time of day (real) or follow from the number of the record (logical).
        "clock" => clock: ClockMode { default: "real", importance: Low, group: "Data" },
        /// Whether records carry the headers ef.task and ef.n, which name them for a ledger.
        "stamp" => stamp: bool { default: "false", importance: Low, group: "Data" },
        /// Partition of the records: key leaves it to the key, fixed:N is partition N, round-robin:N goes round N partitions.
        "partition.mode" => partition_mode: String {
            default: "key", importance: Low, group: "Data", valid: Validity::Check(crate::connector::check_partition_mode)
        },
        /// Pause between two records of a task, in milliseconds; 0 is as fast as they are taken. Not set: 500, and 0 where a
        /// rate of elastic flow is set.
        "max.interval" => max_interval: Option<Millis> { importance: High, group: "Rate" },
        /// Most records of one poll.
        "batch.records" => batch_records: usize { default: "1000", group: "Rate", valid: Validity::Range(1.0, 100_000.0) },
        /// Records that belong to one transaction; 0 leaves it to the worker.
        "transaction.records" => transaction_records: u64 { default: "0", group: "Rate" },
        /// Enforced by the runtime; here it only stands for the pause that is not set.
        "flow.rate.records" => rate_records: Option<String> { hidden: true },
        /// As above.
        "flow.rate.bytes" => rate_bytes: Option<String> { hidden: true },
        /// Not read: the generator takes its fields from `quickstart` or `fields`.
        "schema.string" => schema_string: Option<String> { hidden: true },
        /// Not read: the generator takes its fields from `quickstart` or `fields`.
        "schema.filename" => schema_filename: Option<String> { hidden: true },
    }
}

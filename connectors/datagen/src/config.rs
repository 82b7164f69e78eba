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
        /// product, purchase, sensors, logs. Exactly one of this, `fields`, `schema.string` and `schema.filename` is set.
        "quickstart" => quickstart: Option<String> { importance: High, group: "Data" },
        /// Fields of a record, such as `id:seq, customer:int(1,100), amount:decimal(2,1,999), at:now`.
        "fields" => fields: Option<String> { importance: High, group: "Data" },
        /// Fields as an Avro schema, whose `arg.properties` say what is drawn: options, range, iteration, regex, length, odds.
        "schema.string" => schema_string: Option<String> { importance: High, group: "Data" },
        /// The same from a file, which every worker must have.
        "schema.filename" => schema_filename: Option<String> { importance: High, group: "Data" },
        /// Name of the field that is also the key; empty for none. A quickstart brings its own.
        "schema.keyfield" => key_field: Option<String> { importance: High, group: "Data" },
        /// Records of each task, after which it ends; -1 is without end.
        "iterations" => iterations: i64 { default: "-1", importance: High, group: "Data", valid: Validity::Range(-1.0, 9e18) },
        /// Start of the random numbers; without it, the connector's name.
        "random.seed" => seed: Option<i64> { importance: Low, group: "Data" },
        /// Whether timestamps are the time of day (real) or follow from the number of the record (logical).
        "clock" => clock: ClockMode { default: "real", importance: Low, group: "Data" },
        /// Whether records carry the headers ef.task, ef.n and ef.digest, which name them for a ledger and tell it whether they
        /// were changed.
        "stamp" => stamp: bool { default: "false", importance: Low, group: "Data" },
        /// Partition of the records: key leaves it to the key, fixed:N is partition N, round-robin:N goes round N partitions.
        "partition.mode" => partition_mode: String {
            default: "key", importance: Low, group: "Data", valid: Validity::Check(crate::connector::check_partition_mode)
        },
        /// Keys that come again and again, the first ones most often; 0 makes a key of its own for each record.
        "key.cardinality" => key_cardinality: u64 { default: "0", importance: Medium, group: "Data", valid: Validity::Range(0.0, 1_000_000.0) },
        /// How many of a round of records create, update and delete a row, as c:u:d. Other than 1:0:0 makes records changes in
        /// Debezium's form, with the row before and after.
        "ops" => ops: String { default: "1:0:0", importance: Medium, group: "Data", valid: Validity::Check(crate::connector::check_ops) },
        /// Size of a record in bytes, as JSON without schema, to which a field `pad` fills it up; 0 for none.
        "record.bytes" => record_bytes: u64 { default: "0", importance: Medium, group: "Data", valid: Validity::Range(0.0, 1_000_000.0) },
        /// Share of the records that are not as their schema says, for which a converter has no bytes: they show what
        /// errors.tolerance and dead letters do.
        "poison.ratio" => poison: f64 { default: "0", importance: Low, group: "Data", valid: Validity::Range(0.0, 1.0) },
        /// Time between two bursts, in milliseconds; 0 for none. A burst lasts a tenth of it.
        "burst.every.ms" => burst_every: Millis { default: "0", importance: Low, group: "Rate" },
        /// How much faster records come in a burst.
        "burst.factor" => burst_factor: f64 { default: "10", importance: Low, group: "Rate", valid: Validity::Range(1.0, 1000.0) },
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
    }
}

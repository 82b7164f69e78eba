//! Every metric of tasks: name, help, kind, where the number comes from. Names with the prefix `kafka_connect_` are those
//! of Kafka Connect; averages and maxima are over the life of the task on this worker.
use super::TaskMetrics;
use crate::spec::TaskKind;

/// Label: connector.
pub const CONNECTOR: &str = "connector";
/// Label: number of the task.
pub const TASK: &str = "task";
/// Label: class of an error.
pub const CLASS: &str = "class";
/// Label: state of a task.
pub const STATUS: &str = "status";

/// State of each task, as a gauge of 1 with a label.
pub const TASK_STATUS: &str = "kafka_connect_connector_task_status";
/// Errors by class.
pub const ERRORS_BY_CLASS: &str = "elasticflow_task_errors_total";

/// Prometheus kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A metric of a task.
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Tasks that have it; `None` is both.
    pub of: Option<TaskKind>,
    /// Its value; `None` while unknown.
    pub value: fn(&TaskMetrics) -> Option<f64>,
}

const fn counter(
    name: &'static str,
    help: &'static str,
    of: Option<TaskKind>,
    value: fn(&TaskMetrics) -> Option<f64>,
) -> Metric {
    Metric { name, help, kind: Kind::Counter, of, value }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    of: Option<TaskKind>,
    value: fn(&TaskMetrics) -> Option<f64>,
) -> Metric {
    Metric { name, help, kind: Kind::Gauge, of, value }
}

const SOURCE: Option<TaskKind> = Some(TaskKind::Source);
const SINK: Option<TaskKind> = Some(TaskKind::Sink);

fn ms(micros: f64) -> f64 {
    micros / 1000.0
}

fn most_ms(spread: &super::Spread) -> Option<f64> {
    spread.most().map(|us| ms(us as f64))
}

/// All metrics that are one number a task.
pub const METRICS: &[Metric] = &[
    counter("kafka_connect_source_task_source_record_poll_total", "records returned by the source", SOURCE, |m| {
        Some(m.polled.value() as f64)
    }),
    counter("kafka_connect_source_task_source_record_write_total", "records handed to the producer", SOURCE, |m| {
        Some(m.written.value() as f64)
    }),
    gauge(
        "kafka_connect_source_task_source_record_active_count",
        "records polled and not committed in Kafka",
        SOURCE,
        |m| m.active.value().map(|n| n as f64),
    ),
    gauge("kafka_connect_source_task_poll_batch_avg_time_ms", "average time of a poll", SOURCE, |m| {
        m.poll_time.average().map(ms)
    }),
    gauge("kafka_connect_source_task_poll_batch_max_time_ms", "longest poll", SOURCE, |m| most_ms(&m.poll_time)),
    gauge("kafka_connect_source_task_transaction_size_avg", "average records of a transaction", SOURCE, |m| {
        m.transaction_size.average()
    }),
    gauge("kafka_connect_source_task_transaction_size_max", "records of the largest transaction", SOURCE, |m| {
        m.transaction_size.most().map(|n| n as f64)
    }),
    gauge("kafka_connect_source_task_transaction_size_min", "records of the smallest transaction", SOURCE, |m| {
        m.transaction_size.least().map(|n| n as f64)
    }),
    counter("kafka_connect_sink_task_sink_record_read_total", "records read from Kafka", SINK, |m| {
        Some(m.polled.value() as f64)
    }),
    counter("kafka_connect_sink_task_sink_record_send_total", "records put into the sink", SINK, |m| {
        Some(m.written.value() as f64)
    }),
    gauge(
        "kafka_connect_sink_task_sink_record_active_count",
        "records put and not acknowledged by the destination",
        SINK,
        |m| m.active.value().map(|n| n as f64),
    ),
    gauge("kafka_connect_sink_task_sink_record_lag_max", "largest lag of a partition in records", SINK, |m| {
        m.lag.value().map(|n| n as f64)
    }),
    gauge("kafka_connect_sink_task_partition_count", "partitions assigned", SINK, |m| {
        m.partitions.value().map(|n| n as f64)
    }),
    gauge("kafka_connect_sink_task_put_batch_avg_time_ms", "average time of a put", SINK, |m| {
        m.put_time.average().map(ms)
    }),
    gauge("kafka_connect_sink_task_put_batch_max_time_ms", "longest put", SINK, |m| most_ms(&m.put_time)),
    counter("kafka_connect_sink_task_offset_commit_completion_total", "commits that succeeded", SINK, |m| {
        Some(m.transactions.value() as f64)
    }),
    gauge("kafka_connect_connector_task_batch_size_avg", "average records of a batch", None, |m| {
        m.batch_size.average()
    }),
    gauge("kafka_connect_connector_task_batch_size_max", "records of the largest batch", None, |m| {
        m.batch_size.most().map(|n| n as f64)
    }),
    gauge("kafka_connect_connector_task_offset_commit_avg_time_ms", "average time of a commit", None, |m| {
        m.commit_time.average().map(ms)
    }),
    gauge("kafka_connect_connector_task_offset_commit_max_time_ms", "longest commit", None, |m| {
        most_ms(&m.commit_time)
    }),
    gauge("kafka_connect_connector_task_offset_commit_failure_percentage", "share of commits that failed", None, |m| {
        let all = m.commit_failures.value() + m.transactions.value();
        (all > 0).then(|| m.commit_failures.value() as f64 / all as f64)
    }),
    counter("kafka_connect_task_error_total_record_failures", "records that failed and stopped the task", None, |m| {
        Some(m.record_failures.value() as f64)
    }),
    counter("kafka_connect_task_error_total_record_errors", "errors of records", None, |m| {
        Some(m.record_errors.value() as f64)
    }),
    counter(
        "kafka_connect_task_error_total_records_skipped",
        "records skipped under errors.tolerance=all",
        None,
        |m| Some(m.skipped.value() as f64),
    ),
    counter("kafka_connect_task_error_total_retries", "operations retried", None, |m| Some(m.retries.value() as f64)),
    counter("kafka_connect_task_error_total_errors_logged", "errors written to the log", None, |m| {
        Some(m.errors_logged.value() as f64)
    }),
    counter("kafka_connect_task_error_deadletterqueue_produce_requests", "dead letters written", None, |m| {
        Some(m.dead_letters.value() as f64)
    }),
    counter("kafka_connect_task_error_deadletterqueue_produce_failures", "dead letters that failed", None, |m| {
        Some(m.dead_letter_failures.value() as f64)
    }),
    gauge("kafka_connect_task_error_last_error_timestamp", "when a record last failed, ms since 1970", None, |m| {
        m.last_error_ms.value().map(|n| n as f64)
    }),
    counter("elasticflow_task_records_committed_total", "records whose commit point has passed", None, |m| {
        Some(m.committed.value() as f64)
    }),
    counter("elasticflow_task_bytes_total", "bytes of keys and values written to or read from Kafka", None, |m| {
        Some(m.bytes.value() as f64)
    }),
    counter("elasticflow_task_commits_total", "commit points passed", None, |m| Some(m.transactions.value() as f64)),
    counter("elasticflow_task_transactions_cut_total", "upstream transactions cut at a limit", SOURCE, |m| {
        Some(m.transactions_cut.value() as f64)
    }),
    counter("elasticflow_task_transactions_aborted_total", "Kafka transactions aborted", None, |m| {
        Some(m.transactions_aborted.value() as f64)
    }),
    counter("elasticflow_task_blocked_seconds_total", "time waited for room in a full queue", None, |m| {
        Some(m.blocked_us.value() as f64 / 1e6)
    }),
    gauge("elasticflow_task_units_in_doubt", "two-phase units that are decided and not committed yet", SINK, |m| {
        m.units_in_doubt.value().map(|n| n as f64)
    }),
    counter("elasticflow_task_recovered_units_total", "two-phase units of earlier owners committed here", SINK, |m| {
        Some(m.recovered_units.value() as f64)
    }),
    counter("elasticflow_task_restarts_total", "instances started after a failure", None, |m| {
        Some(m.restarts.value() as f64)
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_dashboard_asks_for_metrics_that_are_served() {
        let dashboard = include_str!("../../../../docker/grafana/elasticflow.json");
        let words = dashboard.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let asked: BTreeSet<&str> =
            words.filter(|w| w.starts_with("kafka_connect_") || w.starts_with("elasticflow_task_")).collect();
        let served: BTreeSet<&str> = METRICS.iter().map(|m| m.name).chain([TASK_STATUS, ERRORS_BY_CLASS]).collect();
        let missing: Vec<_> = asked.difference(&served).collect();
        assert!(missing.is_empty() && asked.len() > 10, "{missing:?} of {} are not served", asked.len());
    }
}

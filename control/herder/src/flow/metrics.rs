//! Limits and lags in Prometheus' text format. Every worker knows all of them; labels name connector and group alone.
use super::board::Board;
use super::quotas;
use super::service::FlowHandle;
use elasticflow_store::flow::{GroupRow, LimitRow};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A family of samples.
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    label: &'a str,
    kind: &'a str,
}

impl FlowHandle {
    /// Appends what is known.
    pub fn render_prometheus(&self, out: &mut String) {
        let board = self.board.lock();
        limits(&board, out);
        groups(&board, out);
        caps(&board, out);
        quota(&board, out);
        single(out, "elasticflow_lag_samples_invalid_total", "counter", board.invalid_samples as f64);
        single(out, "elasticflow_control_period_seconds", "gauge", board.period.as_secs_f64());
    }
}

fn gauge<'a>(name: &'a str, help: &'a str, label: &'a str) -> Family<'a> {
    Family { name, help, label, kind: "gauge" }
}

fn limits(board: &Board, out: &mut String) {
    let family = |name, help| gauge(name, help, "connector");
    let of = |value: &dyn Fn(&String, &LimitRow) -> Option<f64>| -> Vec<(String, f64)> {
        board.limits.iter().filter_map(|(name, row)| Some((name.clone(), value(name, row)?))).collect()
    };
    let allowed = family("elasticflow_flow_limit_bytes_per_second", "rate that the controller allows");
    write(out, &allowed, of(&|_, row| row.bytes_per_second));
    let floor = family("elasticflow_flow_floor_bytes_per_second", "rate below which it is never limited");
    write(out, &floor, of(&|_, row| Some(row.floor)));
    let measured = family("elasticflow_flow_measured_bytes_per_second", "rate that was measured in the last period");
    write(out, &measured, of(&|name, _| Some(board.meters.connector(name).bytes_per_second)));
    let bound = family("elasticflow_flow_limited", "1 while the controller's limit binds");
    write(out, &bound, of(&|_, row| Some(f64::from(u8::from(row.state != "free")))));
    let blocked =
        family("elasticflow_flow_blocked_seconds_total", "time in which tasks wanted to read and were not let");
    let blocked = Family { kind: "counter", ..blocked };
    write(out, &blocked, of(&|name, _| Some(board.meters.total(name).blocked_ms as f64 / 1000.0)));
}

/// A value of a group.
type OfGroup = fn(&GroupRow) -> f64;

fn groups(board: &Board, out: &mut String) {
    let families: [(&str, &str, OfGroup); 5] = [
        ("elasticflow_lag_bytes", "unconsumed bytes of a consumer group", |r| r.lag_bytes),
        ("elasticflow_lag_records", "unconsumed records, as offsets count", |r| r.lag_records),
        ("elasticflow_drain_seconds", "time to catch up at its own speed", |r| r.lag_bytes / r.capacity.max(1024.0)),
        ("elasticflow_drain_target_seconds", "time to catch up that is aimed at", |r| r.target_ms as f64 / 1000.0),
        ("elasticflow_group_capacity_bytes_per_second", "speed at which it can drain, estimated", |r| r.capacity),
    ];
    for (name, help, value) in families {
        write(out, &gauge(name, help, "group"), board.groups.iter().map(|(group, row)| (group, value(row))));
    }
}

fn caps(board: &Board, out: &mut String) {
    let rows = board.limits.values().flat_map(|row| &row.caps);
    let used: BTreeMap<&str, (f64, f64)> = rows.map(|cap| (cap.topic.as_str(), (cap.bytes, cap.used))).collect();
    let most = gauge("elasticflow_cap_bytes", "most unconsumed bytes of a topic", "topic");
    write(out, &most, used.iter().map(|(topic, cap)| (*topic, cap.0)));
    let held = gauge("elasticflow_cap_used_bytes", "unconsumed bytes of a topic", "topic");
    write(out, &held, used.iter().map(|(topic, cap)| (*topic, cap.1)));
}

fn quota(board: &Board, out: &mut String) {
    let family = gauge("elasticflow_quota_used_ratio", "part of the quota of the window that is used", "connector");
    let of = |(name, row): (&String, &elasticflow_store::flow::QuotaRow)| {
        let used = quotas::used(row, &board.meters.connector(name));
        let parts = row.most.iter().zip(used).filter_map(|(most, used)| Some(used as f64 / (*most)? as f64));
        (name.clone(), parts.fold(0.0, f64::max))
    };
    write(out, &family, board.quotas.iter().map(of));
}

fn write(out: &mut String, family: &Family<'_>, samples: impl IntoIterator<Item = (impl AsRef<str>, f64)>) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    let Family { name, help, label, kind } = family;
    // Writing to a String does not fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (of, value) in samples {
        let of = of.as_ref().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = writeln!(out, "{name}{{{label}=\"{of}\"}} {value}");
    }
}

fn single(out: &mut String, name: &str, kind: &str, value: f64) {
    let _ = write!(out, "# TYPE {name} {kind}\n{name} {value}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_connectors_are_escaped_and_empty_families_left_out() {
        let mut out = String::new();
        let family = Family { name: "n", help: "h", label: "l", kind: "gauge" };
        write(&mut out, &family, std::iter::empty::<(&str, f64)>());
        assert_eq!(out, "");
        write(&mut out, &family, [("a\"b", 1.5)]);
        assert_eq!(out, "# HELP n h\n# TYPE n gauge\nn{l=\"a\\\"b\"} 1.5\n");
    }
}

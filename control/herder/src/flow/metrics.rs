//! Limits and lags in Prometheus' text format. Every worker knows all of them; labels name connector and group alone.
use super::service::FlowHandle;
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
        let gauge = |name, help, label| Family { name, help, label, kind: "gauge" };
        let limits = || board.limits.iter();
        let rates = limits().filter_map(|(name, row)| Some((name.as_str(), row.bytes_per_second?)));
        write(
            out,
            &gauge("elasticflow_flow_limit_bytes_per_second", "rate that the controller allows", "connector"),
            rates,
        );
        let floors = limits().map(|(name, row)| (name.as_str(), row.floor));
        write(
            out,
            &gauge("elasticflow_flow_floor_bytes_per_second", "rate below which it is never limited", "connector"),
            floors,
        );
        let measured: Vec<(&str, f64)> =
            limits().map(|(name, _)| (name.as_str(), board.meters.connector(name).bytes_per_second)).collect();
        let help = "rate that was measured in the last period";
        write(out, &gauge("elasticflow_flow_measured_bytes_per_second", help, "connector"), measured.into_iter());
        let bound = limits().map(|(name, row)| (name.as_str(), f64::from(u8::from(row.state != "free"))));
        write(out, &gauge("elasticflow_flow_limited", "1 while the controller's limit binds", "connector"), bound);
        let blocked: Vec<(&str, f64)> =
            limits().map(|(name, _)| (name.as_str(), board.meters.total(name).blocked_ms as f64 / 1000.0)).collect();
        let family = Family {
            kind: "counter",
            ..gauge(
                "elasticflow_flow_blocked_seconds_total",
                "time in which tasks wanted to read and were not let",
                "connector",
            )
        };
        write(out, &family, blocked.into_iter());
        let groups = || board.groups.iter();
        let of = |value: fn(&elasticflow_store::flow::GroupRow) -> f64| {
            groups().map(move |(n, row)| (n.as_str(), value(row)))
        };
        write(
            out,
            &gauge("elasticflow_lag_bytes", "unconsumed bytes of a consumer group", "group"),
            of(|r| r.lag_bytes),
        );
        write(
            out,
            &gauge("elasticflow_lag_records", "unconsumed records, as offsets count", "group"),
            of(|r| r.lag_records),
        );
        write(
            out,
            &gauge("elasticflow_drain_seconds", "time to catch up at its own speed", "group"),
            of(|r| r.lag_bytes / r.capacity.max(1024.0)),
        );
        write(
            out,
            &gauge("elasticflow_drain_target_seconds", "time to catch up that is aimed at", "group"),
            of(|r| r.target_ms as f64 / 1000.0),
        );
        write(
            out,
            &gauge("elasticflow_group_capacity_bytes_per_second", "speed at which it can drain, estimated", "group"),
            of(|r| r.capacity),
        );
        let caps = || limits().flat_map(|(_, row)| &row.caps);
        let used: std::collections::BTreeMap<&str, (f64, f64)> =
            caps().map(|cap| (cap.topic.as_str(), (cap.bytes, cap.used))).collect();
        write(
            out,
            &gauge("elasticflow_cap_bytes", "most unconsumed bytes of a topic", "topic"),
            used.iter().map(|(t, c)| (*t, c.0)),
        );
        write(
            out,
            &gauge("elasticflow_cap_used_bytes", "unconsumed bytes of a topic", "topic"),
            used.iter().map(|(t, c)| (*t, c.1)),
        );
        single(out, "elasticflow_lag_samples_invalid_total", "counter", board.invalid_samples as f64);
        single(out, "elasticflow_control_period_seconds", "gauge", board.period.as_secs_f64());
    }
}

fn write<'a>(out: &mut String, family: &Family<'_>, samples: impl Iterator<Item = (&'a str, f64)>) {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    let Family { name, help, label, kind } = family;
    // Writing to a String does not fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (of, value) in samples {
        let of = of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
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
        write(&mut out, &family, std::iter::empty());
        assert_eq!(out, "");
        write(&mut out, &family, [("a\"b", 1.5)].into_iter());
        assert_eq!(out, "# HELP n h\n# TYPE n gauge\nn{l=\"a\\\"b\"} 1.5\n");
    }
}

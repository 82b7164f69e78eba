//! Metrics of what the control plane knows, under Kafka Connect's names: connectors, the classes that tasks are made of,
//! starts, and the membership in the worker group. The counters of tasks come from the runtime.
//!
//! As with Kafka Connect a worker speaks of what runs on it, so that a sum over all workers is right. What has no value yet
//! is left out.
mod classes;
mod pools;
mod text;

use crate::serve::Rest;
use elasticflow_herder::HerderError;
use elasticflow_herder::answer::{ConnectorInfo, ConnectorStatus, PartStatus, RunState};
use elasticflow_herder::figures::{Figures, Starts, Times};
use std::time::Duration;
use text::{Kind, Page};

/// A connector and its status, where one is known.
type Known = (ConnectorInfo, Option<ConnectorStatus>);

/// Appends them in Prometheus' text format.
pub(crate) async fn render(rest: &Rest, out: &mut String) -> Result<(), HerderError> {
    let (connectors, figures) = (rest.herder.all().await?, rest.herder.figures());
    let mut page = Page(out);
    let worker = &rest.herder.context().options.worker_id;
    let here = |part: &PartStatus| part.worker_id == *worker && part.state != RunState::Unassigned;
    of_connectors(&connectors, &here, &mut page);
    classes::render(rest.herder.context(), &connectors, &here, &mut page);
    classes::shares(&figures, &mut page);
    tasks_by_state(&connectors, &here, &mut page);
    of_worker(&connectors, &here, &figures, &mut page);
    of_rebalances(&figures, &mut page);
    of_coordinator(&connectors, &here, &figures, &mut page);
    pools::render(rest, &mut page).await;
    Ok(())
}

fn of_connectors(connectors: &[Known], here: &impl Fn(&PartStatus) -> bool, page: &mut Page<'_>) {
    let mine = || connectors.iter().filter_map(|(info, status)| Some((info, status.as_ref()?)));
    let mine = || mine().filter(|(_, status)| here(&status.connector));
    type Value = fn(&ConnectorInfo, &ConnectorStatus) -> Option<String>;
    let texts: [(&str, &str, &str, Value); 4] = [
        ("kafka_connect_connector_status", "state of the connector", "status", |_, status| {
            Some(status.connector.state.name().to_lowercase())
        }),
        ("kafka_connect_connector_connector_class", "its class", "connector_class", |info, _| {
            info.config.value("connector.class").map(str::to_owned)
        }),
        ("kafka_connect_connector_connector_type", "source or sink", "connector_type", |info, _| {
            Some(classes::kind(info.kind).to_owned())
        }),
        ("kafka_connect_connector_connector_version", "its version", "connector_version", |_, status| {
            Some(status.connector.version.clone())
        }),
    ];
    for (name, help, label, value) in texts {
        page.head(name, help, Kind::Gauge);
        for (info, status) in mine() {
            let Some(value) = value(info, status) else { continue };
            page.line(name, &[("connector", info.name.as_str()), (label, value.as_str())], 1.0);
        }
    }
}

/// Tasks of each connector on this worker, by state.
fn tasks_by_state(connectors: &[Known], here: &impl Fn(&PartStatus) -> bool, page: &mut Page<'_>) {
    let states = [
        ("total", None),
        ("running", Some("RUNNING")),
        ("paused", Some("PAUSED")),
        ("failed", Some("FAILED")),
        ("unassigned", Some("UNASSIGNED")),
        ("restarting", Some("RESTARTING")),
        // No task is ever seen in this state: its row goes at once.
        ("destroyed", Some("DESTROYED")),
    ];
    for (word, state) in states {
        let name = format!("kafka_connect_worker_connector_{word}_task_count");
        page.head(&name, "tasks of the connector on this worker, by state", Kind::Gauge);
        for (info, status) in connectors {
            let tasks = status.iter().flat_map(|status| &status.tasks).map(|task| &task.part);
            let mine: Vec<&PartStatus> = tasks.filter(|part| here(part)).collect();
            if mine.is_empty() {
                continue;
            }
            let count = mine.iter().filter(|part| state.is_none_or(|state| part.state.name() == state)).count();
            page.line(&name, &[("connector", info.name.as_str())], count as f64);
        }
    }
}

fn of_worker(connectors: &[Known], here: &impl Fn(&PartStatus) -> bool, figures: &Figures, page: &mut Page<'_>) {
    let (connector_count, task_count) = counts(connectors, here);
    page.one(
        "kafka_connect_worker_connector_count",
        "connectors that run on this worker",
        Kind::Gauge,
        connector_count,
    );
    page.one("kafka_connect_worker_task_count", "tasks that run on this worker", Kind::Gauge, task_count);
    for (part, starts) in [("connector", figures.connectors), ("task", figures.tasks)] {
        startups(part, starts, page);
    }
}

/// Connectors and tasks on this worker.
fn counts(connectors: &[Known], here: &impl Fn(&PartStatus) -> bool) -> (f64, f64) {
    let statuses = || connectors.iter().filter_map(|(_, status)| status.as_ref());
    let runs = |status: &&ConnectorStatus| here(&status.connector) && status.connector.state != RunState::Stopped;
    let tasks = statuses().flat_map(|status| &status.tasks).filter(|task| here(&task.part));
    (statuses().filter(runs).count() as f64, tasks.count() as f64)
}

fn startups(part: &str, starts: Starts, page: &mut Page<'_>) {
    let name = |what: &str| format!("kafka_connect_worker_{part}_startup_{what}");
    let help = |what: &str| format!("{part}s that {what} on this worker");
    let counter = Kind::Counter;
    page.one(&name("attempts_total"), &help("began to start"), counter, starts.attempts as f64);
    page.one(&name("success_total"), &help("started"), counter, starts.succeeded as f64);
    page.one(&name("failure_total"), &help("failed to start"), counter, starts.failed as f64);
    let ended = starts.succeeded + starts.failed;
    // Kafka Connect shows 0 for both before anything has started.
    let share = |count: u64| if ended == 0 { 0.0 } else { count as f64 / ended as f64 };
    page.one(&name("success_percentage"), "share of starts, 0 to 1", Kind::Gauge, share(starts.succeeded));
    page.one(&name("failure_percentage"), "share of starts, 0 to 1", Kind::Gauge, share(starts.failed));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn of_rebalances(figures: &Figures, page: &mut Page<'_>) {
    let name = |what: &str| format!("kafka_connect_worker_rebalance_{what}");
    let (group, now) = (&figures.group, figures.now);
    let protocol = name("connect_protocol");
    page.head(&protocol, "how workers share tasks; the word is Kafka Connect's", Kind::Gauge);
    page.line(&protocol, &[("connect_protocol", "SESSIONED")], 1.0);
    if let Some(leader) = &figures.leader {
        page.head(&name("leader_name"), "the worker that leads", Kind::Gauge);
        page.line(&name("leader_name"), &[("leader_name", leader.as_str())], 1.0);
    }
    page.one(&name("epoch"), "number of what workers have said of their leases", Kind::Gauge, figures.epoch as f64);
    let count = group.rebalances.count as f64;
    page.one(&name("completed_rebalances_total"), "rebalances that ended", Kind::Counter, count);
    let rebalancing = f64::from(u8::from(group.rebalancing));
    page.one(&name("rebalancing"), "1 while leases are on their way", Kind::Gauge, rebalancing);
    times(&name("rebalance"), &group.rebalances, page);
    let since = group.rebalanced_at.map(|at| ms(now.saturating_sub(at)));
    page.maybe(&name("time_since_last_rebalance_ms"), "since the last one ended", Kind::Gauge, since);
}

fn times(prefix: &str, times: &Times, page: &mut Page<'_>) {
    let longest = (times.count > 0).then(|| ms(times.longest));
    page.maybe(&format!("{prefix}_avg_time_ms"), "average time", Kind::Gauge, times.average().map(ms));
    page.maybe(&format!("{prefix}_max_time_ms"), "longest time", Kind::Gauge, longest);
}

/// Of the member of the group: its proofs of membership stand for heartbeats. Joining and synchronising are steps inside the
/// Kafka client, of which nothing can be seen.
fn of_coordinator(connectors: &[Known], here: &impl Fn(&PartStatus) -> bool, figures: &Figures, page: &mut Page<'_>) {
    let name = |what: &str| format!("kafka_connect_coordinator_{what}");
    let (group, now) = (&figures.group, figures.now);
    let (connector_count, task_count) = counts(connectors, here);
    page.one(&name("assigned_connectors"), "connectors of this worker", Kind::Gauge, connector_count);
    page.one(&name("assigned_tasks"), "tasks of this worker", Kind::Gauge, task_count);
    let hours = (now.as_secs_f64() / 3600.0).max(f64::MIN_POSITIVE);
    let rebalances = group.rebalances.count as f64;
    page.one(&name("rebalance_total"), "rebalances that ended", Kind::Counter, rebalances);
    page.one(&name("rebalance_rate_per_hour"), "rebalances an hour", Kind::Gauge, rebalances / hours.max(1.0));
    let total = ms(group.rebalances.total);
    page.one(&name("rebalance_latency_total"), "time of all rebalances in ms", Kind::Counter, total);
    let average = group.rebalances.average().map(ms);
    page.maybe(&name("rebalance_latency_avg"), "average time of a rebalance in ms", Kind::Gauge, average);
    let longest = (rebalances > 0.0).then(|| ms(group.rebalances.longest));
    page.maybe(&name("rebalance_latency_max"), "longest rebalance in ms", Kind::Gauge, longest);
    let lost = group.lost as f64;
    page.one(&name("failed_rebalance_total"), "memberships that were lost", Kind::Counter, lost);
    page.one(&name("failed_rebalance_rate_per_hour"), "memberships lost an hour", Kind::Gauge, lost / hours.max(1.0));
    let ago = |at: Option<Duration>| at.map(|at| now.saturating_sub(at).as_secs_f64());
    let (rebalanced, proved) = (ago(group.rebalanced_at), ago(group.proved_at));
    page.maybe(&name("last_rebalance_seconds_ago"), "since the last rebalance", Kind::Gauge, rebalanced);
    let proofs = group.proofs.count as f64;
    page.one(&name("heartbeat_total"), "proofs of the membership", Kind::Counter, proofs);
    let rate = proofs / now.as_secs_f64().max(1.0);
    page.one(&name("heartbeat_rate"), "proofs a second since the start", Kind::Gauge, rate);
    let longest = (proofs > 0.0).then(|| ms(group.proofs.longest));
    page.maybe(&name("heartbeat_response_time_max"), "longest answer to one in ms", Kind::Gauge, longest);
    page.maybe(&name("last_heartbeat_seconds_ago"), "since the last one", Kind::Gauge, proved);
}

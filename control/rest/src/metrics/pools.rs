//! Pools of workers: their room, what is used of it, and who waits for some. The leader alone tells, as it shares the tasks out: a
//! sum over all workers is right.
use super::text::{Kind, Page};
use crate::serve::Rest;
use elasticflow_herder::{PoolInfo, QueuedTask};
use std::collections::BTreeMap;

/// Value of a pool; none where it has no limit.
type Value = fn(&PoolInfo) -> Option<u64>;

const GAUGES: [(&str, &str, Value); 13] = [
    ("elasticflow_pool_workers", "workers that serve the pool and hold slots", |pool| Some(pool.workers.len() as u64)),
    ("elasticflow_pool_tasks", "tasks on its workers, those of other pools included", |pool| Some(pool.tasks as u64)),
    ("elasticflow_pool_placed_tasks", "its own tasks that have a place, on whichever workers", |pool| {
        Some(pool.placed as u64)
    }),
    ("elasticflow_pool_max_tasks", "most of its own tasks that get a place", |pool| {
        pool.rules.max_tasks.map(u64::from)
    }),
    ("elasticflow_pool_over_tasks", "its own tasks above that: they were there before the rule", |pool| {
        Some(pool.over.tasks)
    }),
    ("elasticflow_pool_capacity_units", "capacity units of its workers", |pool| pool.units.total),
    ("elasticflow_pool_used_units", "capacity units in use", |pool| Some(pool.units.used)),
    ("elasticflow_pool_free_units", "capacity units that are free", |pool| free(pool.units.total, pool.units.used)),
    ("elasticflow_pool_reserved_units", "capacity units kept for important tasks", |pool| pool.reserved_units),
    ("elasticflow_pool_over_units", "of these in use by others, which were there before the rule", |pool| {
        Some(pool.over.units)
    }),
    ("elasticflow_pool_capacity_memory_bytes", "memory that tasks may reserve", |pool| pool.memory.total),
    ("elasticflow_pool_used_memory_bytes", "memory that tasks reserve", |pool| Some(pool.memory.used)),
    ("elasticflow_pool_free_memory_bytes", "memory that nobody has reserved", |pool| {
        free(pool.memory.total, pool.memory.used)
    }),
];
const WAITING: &str = "elasticflow_pool_waiting_tasks";
const LONGEST: &str = "elasticflow_pool_longest_wait_seconds";
/// Why tasks wait.
const REASONS: [&str; 2] = ["CAPACITY", "PREEMPTED"];

fn free(total: Option<u64>, used: u64) -> Option<u64> {
    total.map(|total| total.saturating_sub(used))
}

/// Appends them, where this worker leads; a worker that cannot say it now leaves them out.
pub(super) async fn render(rest: &Rest, page: &mut Page<'_>) {
    if !rest.herder.leads() {
        return;
    }
    if let Ok(pools) = rest.herder.pools().await {
        write(&pools, rest.herder.context().clock.wall_ms(), page);
    }
}

fn write(pools: &[PoolInfo], now_ms: i64, page: &mut Page<'_>) {
    for (name, help, value) in GAUGES {
        page.head(name, help, Kind::Gauge);
        for (pool, value) in pools.iter().filter_map(|pool| Some((pool, value(pool)?))) {
            page.line(name, &[("pool", &pool.name)], value as f64);
        }
    }
    page.head(WAITING, "tasks that wait for room, by reason", Kind::Gauge);
    for pool in pools {
        let mut waiting: BTreeMap<&str, usize> = REASONS.iter().map(|reason| (*reason, 0)).collect();
        pool.queued.iter().for_each(|task| *waiting.entry(task.reason).or_default() += 1);
        for (reason, count) in waiting {
            page.line(WAITING, &[("pool", &pool.name), ("reason", reason)], count as f64);
        }
    }
    page.head(LONGEST, "how long the task has waited that waits longest, 0 without any", Kind::Gauge);
    for pool in pools {
        let since = |task: &QueuedTask| now_ms.saturating_sub(task.since_ms).max(0);
        let longest = pool.queued.iter().map(since).max().unwrap_or(0);
        page.line(LONGEST, &[("pool", &pool.name)], longest as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_herder::{Over, Pool, Usage};
    use std::collections::BTreeSet;

    const DASHBOARD: &str = include_str!("../../../../docker/grafana/elasticflow.json");
    const RULES: &str = include_str!("../../../../docker/alerts.yml");

    fn pool() -> PoolInfo {
        let task = QueuedTask {
            connector: "c".to_owned(),
            task: 0,
            priority: 5,
            weight: 1,
            memory: 0,
            reason: "CAPACITY",
            since_ms: 1_000,
        };
        PoolInfo {
            name: "default".to_owned(),
            rules: Pool { max_tasks: Some(2), ..Pool::default() },
            workers: vec!["w".to_owned()],
            units: Usage { used: 3, total: Some(4) },
            memory: Usage { used: 7, total: None },
            reserved_units: None,
            tasks: 3,
            placed: 3,
            over: Over { tasks: 1, units: 0 },
            queued: vec![task],
        }
    }

    fn text() -> String {
        let mut text = String::new();
        write(&[pool()], 3_500, &mut Page(&mut text));
        text
    }

    #[test]
    fn a_pool_tells_what_is_free_and_who_waits_for_how_long() {
        let text = text();
        for line in [
            "elasticflow_pool_free_units{pool=\"default\"} 1",
            "elasticflow_pool_over_tasks{pool=\"default\"} 1",
            "elasticflow_pool_waiting_tasks{pool=\"default\",reason=\"CAPACITY\"} 1",
            "elasticflow_pool_waiting_tasks{pool=\"default\",reason=\"PREEMPTED\"} 0",
            "elasticflow_pool_longest_wait_seconds{pool=\"default\"} 2.5",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(!text.contains("free_memory_bytes{"), "what has no limit has no number: {text}");
    }

    #[test]
    fn the_dashboard_and_the_alerts_ask_for_metrics_of_pools_that_are_served() {
        let text = text();
        let served: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        for asking in [DASHBOARD, RULES] {
            let words = asking.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("elasticflow_pool_")).collect();
            let missing: Vec<_> = asked.difference(&served).collect();
            assert!(missing.is_empty() && asked.len() > 1, "{missing:?} are not served");
        }
    }
}

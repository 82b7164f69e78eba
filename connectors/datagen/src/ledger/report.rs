//! What a ledger says in the end.
use super::config::LedgerConfig;
use super::page::Entries;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Gaps that a report names.
const GAPS_MAX: usize = 100;

/// The report of some streams.
pub(crate) fn report(entries: &Entries, config: &LedgerConfig) -> Json {
    // A number may come in any partition: which are missing is known of all of them together.
    let mut all: BTreeMap<(&str, u32), super::page::Entry> = BTreeMap::new();
    for ((at, task), entry) in entries {
        all.entry((&at.topic, *task)).or_default().add(entry);
    }
    let sum = |of: fn(&super::page::Entry) -> u64| all.values().map(of).sum::<u64>();
    let seen = sum(|entry| entry.seen.len());
    let wrong = [sum(|entry| entry.duplicates), sum(|entry| entry.corrupt), sum(|entry| entry.order)];
    let gaps: Vec<Json> = all
        .iter()
        .flat_map(|((topic, task), entry)| {
            let gap = move |(first, last)| json!({"topic": topic, "task": task, "first": first, "last": last});
            entry.seen.gaps(GAPS_MAX).into_iter().map(gap)
        })
        .take(GAPS_MAX)
        .collect();
    let is_whole = config.expected.is_none_or(|expected| seen == expected) && gaps.is_empty();
    let verdict = match (wrong == [0; 3], is_whole) {
        (false, _) => "violated",
        (true, true) if config.expected.is_some() => "ok",
        (true, _) if config.expected.is_some_and(|expected| seen > expected) => "violated",
        (true, _) => "open",
    };
    let times = times(&all);
    json!({
        "expected": config.expected, "seen": seen, "records": sum(|entry| entry.records), "gaps": gaps,
        "duplicates": wrong[0], "corrupt": wrong[1], "order_violations": wrong[2],
        "p50_ms": below(&times, 0.5), "p99_ms": below(&times, 0.99), "verdict": verdict,
    })
}

fn times(all: &BTreeMap<(&str, u32), super::page::Entry>) -> Vec<u64> {
    let mut times = Vec::new();
    for entry in all.values() {
        times.resize(times.len().max(entry.times.len()), 0);
        times.iter_mut().zip(&entry.times).for_each(|(own, more): (&mut u64, _)| *own += more);
    }
    times
}

/// A time that a share of the records did not reach: a power of two.
#[expect(clippy::cast_precision_loss, reason = "a share of more than 2^53 records may be off by one")]
fn below(times: &[u64], share: f64) -> Option<u64> {
    let all: u64 = times.iter().sum();
    let mut sum = 0;
    let at = times.iter().position(|count| {
        sum += count;
        all > 0 && sum as f64 >= share * all as f64
    })?;
    Some(1 << at)
}

//! Several workers of one group on a real Kafka: failures, pauses, newcomers, restarts. Needs the `elasticflow` binary
//! beside this program or in `ELASTICFLOW_BIN`, and `EF_KAFKA`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    reason = "a test fails by panicking and says on standard output what it skips"
)]
mod breaker;
mod brokers;
mod budget;
mod caps;
mod clients;
mod failures;
mod gone;
mod limited;
mod moves;
mod partition;
mod pools;
mod pressed;
mod quota;
mod rate_table;
mod rates;
mod recordings;
#[path = "../../../control/rest/tests/it/replay/mod.rs"]
mod replay;
mod retention;
mod settings;
mod takeover;
mod throttle;
mod tls;

use elasticflow_integration_tests::ledger::Report;
use elasticflow_integration_tests::scenes::cluster::{CALM_MAX, Expected, Group};
use elasticflow_integration_tests::servers;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Session of the workers under test.
pub(crate) const SESSION: Duration = Duration::from_secs(10);
/// What a take-over may take beyond the session, with room for a machine that does other things too.
pub(crate) const SLACK: Duration = Duration::from_secs(10);

/// The address of Kafka; says so when there is none.
pub(crate) fn kafka() -> Option<String> {
    let address = servers::setting("EF_KAFKA").ok();
    if address.is_none() {
        println!("skipped: EF_KAFKA is not set; start it with `scripts/services up kafka`");
    }
    address
}

/// The addresses of three brokers that a test may kill; says so when there are none. Only the environment itself counts:
/// they are started for this alone.
pub(crate) fn kafka3() -> Option<String> {
    let addresses = std::env::var("EF_KAFKA3").ok();
    if addresses.is_none() {
        println!(
            "skipped: EF_KAFKA3 is not set; run with `env $(scripts/services env kafka3)`, which starts nothing by itself"
        );
    }
    addresses
}

/// A group of workers with generators that run.
pub(crate) async fn group(dir: &Path, bootstrap: &str, workers: usize, generators: usize) -> (Group, Expected) {
    let mut group = Group::new(dir, bootstrap, (RECORDS, RATE), 7).unwrap();
    for _ in 0..workers {
        group.join().await.unwrap();
    }
    loaded(group, generators).await
}

/// Generators that run in a group of workers.
pub(crate) async fn loaded(mut group: Group, generators: usize) -> (Group, Expected) {
    let expected = group.expected().await.unwrap();
    for number in 0..generators {
        group.generate(&format!("g{number}")).await.unwrap();
    }
    group.await_all_running(CALM_MAX).await.unwrap();
    (group, expected)
}

/// Records of each generator, and how many a second: the load outlives the disturbance.
pub(crate) const RECORDS: u64 = 12_000;
pub(crate) const RATE: u64 = 250;

pub(crate) fn assert_clean(reports: &BTreeMap<String, Report>) {
    assert!(!reports.is_empty());
    for (name, report) in reports {
        assert!(report.expected > 0 && report.is_clean(), "{name}: {report}");
    }
}

/// Tasks of each worker.
pub(crate) fn counts(places: &BTreeMap<String, String>) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for worker in places.values() {
        *counts.entry(worker.as_str()).or_default() += 1;
    }
    counts
}

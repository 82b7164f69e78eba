//! Source to Kafka and Kafka to a destination, exactly once, while the worker is killed. Needs the `elasticflow` binary beside this program or in
//! `ELASTICFLOW_BIN`, built with `--features failpoints`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test fails by panicking and says on standard output what it skips"
)]

mod avro;
mod batches;
mod budget;
mod budget_share;
mod bulk_runs;
mod datagen;
mod indexed;
mod kept;
mod ledger;
mod letters;
mod lost_answer;
mod mysql;
mod refused;
mod rewound;
mod shared_index;
mod signals;
mod sinks;
mod sql_sink;

use elasticflow_integration_tests::scenes::Outcome;

/// Every point of the source loop that a load reaches, with the hit at which the worker ends there: the first ones lie on the
/// way to RUNNING, the later ones in the middle of the load.
pub(crate) fn source_points() -> Vec<(&'static str, u32)> {
    let is_on_the_way = |name: &&&str| name.starts_with("source.") && !name.starts_with("source.batch.");
    let source = elasticflow_runtime::failpoint::ALL.iter().filter(is_on_the_way);
    source.map(|name| (*name, hit(name))).collect()
}

fn hit(name: &str) -> u32 {
    match name {
        "source.init.before" | "source.init.after" | "source.offsets.read" | "source.start.after" => 1,
        _ => 3,
    }
}

pub(crate) fn assert_clean(outcome: &Outcome) {
    assert!(outcome.report.expected > 0, "nothing was written");
    assert!(outcome.report.is_clean(), "{}", outcome.report);
}

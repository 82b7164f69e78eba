//! What ElasticFlow expects from a Kafka broker, as checks that run against any broker.
//!
//! Arguments: words that the names of the checks to run must contain; `--list` prints them. Each check works on topics,
//! groups and transactional ids of its own, so they run side by side; each has a time limit. A broker that does not offer
//! an API fails no check of that API: it is reported as not offered.
#![expect(clippy::print_stdout, reason = "a test program reports to its reader")]
mod checks;
mod harness;
mod members;
mod support;
mod wire;

use elasticflow_devkafka::{Broker, Config};
use harness::{Target, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("--member", rest)) = args.split_first().map(|(a, rest)| (a.as_str(), rest)) {
        return members::be_a_member(rest);
    }
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let chosen: Vec<_> = checks::CHECKS.iter().filter(|c| words.iter().all(|w| c.0.contains(w.as_str()))).collect();
    if args.iter().any(|a| a == "--list") {
        chosen.iter().for_each(|c| println!("{}: test", c.0));
        return ExitCode::SUCCESS;
    }
    match all(&chosen) {
        // Without waiting for the threads of clients that a failed check has left behind.
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            println!("the development broker does not start: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the checks on every broker there is; returns how many failed.
fn all(chosen: &[&harness::Check]) -> anyhow::Result<usize> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let embedded = |dir| runtime.block_on(Broker::start(Config { dir, ..Config::default() }));
    let (memory, kept) = (embedded(None)?, embedded(Some(folder.path().into()))?);
    let own = [Target::new("memory", memory.bootstrap()), Target::new("folder", kept.bootstrap())];
    let mut failed = run(&own, chosen);
    for (name, variable) in [("kafka-3.9", "EF_KAFKA"), ("kafka-4", "EF_KAFKA4")] {
        match std::env::var(variable) {
            Ok(bootstrap) => failed += run(&[Target::new(name, bootstrap)], chosen),
            Err(_) => println!("skipped {name}: {} checks; {variable} is not set, see scripts/services", chosen.len()),
        }
    }
    Ok(failed)
}

//! Speed and memory of the main source on real servers; prints a table and writes JSON to `bench-results/`.
//!
//! The work: a binary log in memory to cells, records and JSON, a snapshot of 1,000,000 rows, a backlog of 500,000 rows in
//! transactions of 1,000, a backlog of 100,000 single-row transactions, the delay of single rows at 1,000 a second, starts of
//! an idle worker, and 1,000,000 change events into MySQL, Elasticsearch and files; exactly-once on, JSON without schemas (with
//! them into MySQL), one partition. Only where they are named: `large`, one transaction of 5,000,000 rows, and `tables`, 2,000
//! tables with a topic each, both for the memory they take. CPU is user and system time of the worker's process (of this one for `decode`); a figure
//! without its check (records, distinct keys) is void. Usage: `bench [SCENARIO]... [--rows N] [--set KEY=VALUE]...`; without
//! names, all others; `--set` gives the connector another setting.
mod data;
mod decode;
mod latency;
mod meter;
mod outcome;
mod scenarios;
mod sinks;
mod tables;

use anyhow::{Context, Result, bail};
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::servers::setting;
use elasticflow_kafka::ports::Kafka;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

/// Names of the work.
const SCENARIOS: [&str; 11] = [
    "decode",
    "snapshot",
    "bulk",
    "single",
    "latency",
    "ready",
    "sink-sql",
    "sink-index",
    "sink-files",
    "large",
    "tables",
];
/// Work that takes long, and is done only where it is named.
const ON_REQUEST: [&str; 2] = ["large", "tables"];
/// Rows of the reference table.
const ROWS: u64 = 1_000_000;
/// How many times the reference table the large transaction holds.
const LARGE: u64 = 5;

/// What every scenario works with.
pub(crate) struct Bench {
    pub(crate) database: Database,
    pub(crate) bootstrap: String,
    pub(crate) kafka: Arc<dyn Kafka>,
    pub(crate) rows: u64,
    /// Settings of the connector beside those of the work.
    pub(crate) settings: BTreeMap<String, String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let Arguments { names, rows, settings } = arguments()?;
    let wanted = |name: &str| names.iter().any(|n| n == name) || names.is_empty() && !ON_REQUEST.contains(&name);
    let bootstrap = setting("EF_KAFKA")?;
    let client = [("bootstrap.servers".to_owned(), bootstrap.clone())].into();
    let kafka = elasticflow_kafka::RdKafka::new(&client).context("cannot make a Kafka client")?;
    let bench = Bench { database: Database::of("EF_MYSQL")?, bootstrap, kafka, rows, settings };
    if names.is_empty() || names.iter().any(|name| name != "decode" && name != "ready") {
        data::fill(&bench).await?;
    }
    let mut outcomes = Vec::new();
    if wanted("decode") {
        outcomes.extend(decode::decode(&bench).await?);
    }
    if wanted("ready") {
        outcomes.push(scenarios::ready(&bench).await?);
    }
    if wanted("snapshot") {
        outcomes.push(scenarios::snapshot(&bench).await?);
    }
    if wanted("bulk") {
        outcomes.push(scenarios::backlog(&bench, "bulk", rows / 2, 1000).await?);
    }
    if wanted("single") {
        outcomes.push(scenarios::backlog(&bench, "single", rows / 10, 1).await?);
    }
    if wanted("latency") {
        outcomes.push(latency::latency(&bench).await?);
    }
    if wanted("sink-sql") {
        outcomes.push(sinks::upsert(&bench).await?);
    }
    if wanted("sink-index") {
        outcomes.push(sinks::index(&bench).await?);
    }
    if wanted("sink-files") {
        outcomes.push(sinks::lines(&bench).await?);
    }
    if wanted("large") {
        let rows = LARGE * rows;
        outcomes.push(scenarios::backlog(&bench, "large", rows, rows).await?);
    }
    if wanted("tables") {
        outcomes.push(tables::tables(&bench).await?);
    }
    say(&outcome::table(&outcomes));
    say(&format!("written to {}", outcome::write(&outcomes)?));
    if outcomes.iter().any(|o| !o.is_exact()) {
        bail!("records are missing or doubled: the figures are void")
    }
    Ok(())
}

struct Arguments {
    names: Vec<String>,
    rows: u64,
    settings: BTreeMap<String, String>,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments { names: Vec::new(), rows: ROWS, settings: BTreeMap::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rows" => parsed.rows = arguments.next().context("--rows takes a number")?.parse()?,
            "--set" => {
                let pair = arguments.next().context("--set takes KEY=VALUE")?;
                let (key, value) = pair.split_once('=').context("--set takes KEY=VALUE")?;
                parsed.settings.insert(key.to_owned(), value.to_owned());
            }
            known if SCENARIOS.contains(&known) => parsed.names.push(argument),
            other => bail!("unknown scenario {other}; known: {}", SCENARIOS.join(", ")),
        }
    }
    Ok(parsed)
}

/// A line on standard output; a closed output is no failure.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

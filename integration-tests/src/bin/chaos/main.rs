//! The long proof: `chaos [SCENE]... [--kills N] [--rounds N] [--seed N]`. Sources are killed at random moments, sinks also
//! at every step of their protocol; without a name all of them, with 200 kills and 60 rounds.
#![expect(clippy::print_stdout, reason = "a program that reports to its user")]
mod arguments;
mod sinks;

use anyhow::Result;
use arguments::Arguments;
use elasticflow_integration_tests::chaos::Kills;
use elasticflow_integration_tests::scenes::{Outcome, datagen, mysql, run_number};
use elasticflow_integration_tests::servers::setting;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longest time from RUNNING to the next kill, in milliseconds.
const WITHIN_MS: u64 = 1_500;
/// Generated records a second; they last as long as the kills do.
const RATE: u64 = 1_000;
/// Generated records for each kill.
const RECORDS_A_KILL: u64 = 1_500;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<bool> {
    let Arguments { scenes, kills, rounds, seed } = Arguments::read()?;
    let (bootstrap, mut is_clean) = (setting("EF_KAFKA")?, true);
    let kills = Kills { count: kills, within_ms: WITHIN_MS, seed };
    for scene in scenes {
        let dir = PathBuf::from(".demo").join(format!("chaos-{scene}-{}", run_number()));
        println!("{scene}, Kafka {bootstrap}: {} kills, seed {seed}, files in {}", kills.count, dir.display());
        if sinks::is_sink(&scene) {
            sinks::run(&scene, &dir, &bootstrap, &kills, rounds).await?;
        } else {
            is_clean &= source(&scene, &dir, &bootstrap, &kills).await?;
        }
    }
    Ok(is_clean)
}

/// Runs the proof of a source; whether the ledger is clean.
async fn source(scene: &str, dir: &Path, bootstrap: &str, kills: &Kills) -> Result<bool> {
    let each = |kill: u32| {
        if kill.is_multiple_of(10) {
            println!("  {kill} kills");
        }
    };
    let outcome = if scene == "datagen" {
        let records = u64::from(kills.count) * RECORDS_A_KILL;
        let (scene, expected) = datagen::Scene::start(dir, bootstrap, records, RATE).await?;
        scene.under_kills(expected, kills, each).await?
    } else {
        mysql::Scene::start(dir, bootstrap).await?.under_kills(kills, each).await?
    };
    tell(scene, &outcome);
    Ok(outcome.report.is_clean())
}

fn tell(scene: &str, outcome: &Outcome) {
    let toll = &outcome.toll;
    println!(
        "  {} starts, {} more killed while starting; RUNNING again after p50 {:.2?}, p99 {:.2?}, longest {:.2?}",
        toll.running_again.len(),
        toll.at_start,
        toll.percentile(50),
        toll.percentile(99),
        toll.percentile(100),
    );
    println!("  {scene}: {}", outcome.report);
}

//! The long proof: `chaos [datagen|mysql|files|sqlite|elasticsearch]... [--kills N] [--seed N]`; `datagen` and `mysql` with 200
//! kills unless told otherwise.
#![expect(clippy::print_stdout, reason = "a program that reports to its user")]
use anyhow::{Context, Result, bail};
use elasticflow_integration_tests::chaos::Kills;
use elasticflow_integration_tests::scenes::{Outcome, datagen, mysql, run_number, sinks};
use elasticflow_integration_tests::search::Search;
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

struct Arguments {
    scenes: Vec<String>,
    kills: u32,
    seed: u64,
}

fn arguments() -> Result<Arguments> {
    let mut found = Arguments { scenes: Vec::new(), kills: 200, seed: run_number() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().with_context(|| format!("{word} needs a number"))?.parse().map_err(anyhow::Error::from);
        match word.as_str() {
            "--kills" => found.kills = u32::try_from(number()?)?,
            "--seed" => found.seed = number()?,
            "datagen" | "mysql" | "files" | "sqlite" | "elasticsearch" => found.scenes.push(word),
            _ => bail!("usage: chaos [datagen|mysql|files|sqlite|elasticsearch]... [--kills N] [--seed N]"),
        }
    }
    if found.scenes.is_empty() {
        found.scenes = vec!["datagen".to_owned(), "mysql".to_owned()];
    }
    Ok(found)
}

async fn run() -> Result<bool> {
    let Arguments { scenes, kills, seed } = arguments()?;
    let (bootstrap, mut is_clean) = (setting("EF_KAFKA")?, true);
    let kills = Kills { count: kills, within_ms: WITHIN_MS, seed };
    for scene in scenes {
        let dir = PathBuf::from(".demo").join(format!("chaos-{scene}-{}", run_number()));
        println!("{scene} -> Kafka {bootstrap}: {} kills, seed {seed}, files in {}", kills.count, dir.display());
        let each = |kill: u32| {
            if kill.is_multiple_of(10) {
                println!("  {kill} kills");
            }
        };
        if let Some(target) = target(&scene, &dir)? {
            std::fs::create_dir_all(&dir)?;
            let sink = sinks::Scene::start(&dir, &bootstrap, target).await?;
            let ended = sink.under_kills(&kills).await?.finish().await?;
            println!("  {scene}: {} records, each there once and in order; {} were bad", ended.sent, ended.bad.0);
            continue;
        }
        let outcome = if scene == "datagen" {
            let records = u64::from(kills.count) * RECORDS_A_KILL;
            let (scene, expected) = datagen::Scene::start(&dir, &bootstrap, records, RATE).await?;
            scene.under_kills(expected, &kills, each).await?
        } else {
            mysql::Scene::start(&dir, &bootstrap).await?.under_kills(&kills, each).await?
        };
        is_clean &= outcome.report.is_clean();
        tell(&scene, &outcome);
    }
    Ok(is_clean)
}

/// Where a sink's scene writes; `None` for the others.
fn target(scene: &str, dir: &Path) -> Result<Option<sinks::Target>> {
    Ok(match scene {
        "files" => Some(sinks::Target::Files(std::path::absolute(dir.join("out"))?)),
        "sqlite" => Some(sinks::Target::Sqlite(std::path::absolute(dir.join("out.db"))?)),
        "elasticsearch" => Some(sinks::Target::Elasticsearch(Search::new(&setting("EF_ELASTICSEARCH")?))),
        _ => None,
    })
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

//! Many connectors on three workers of a real Kafka; prints a table line by line and writes JSON to `bench-results/`.
//!
//! The work: 50 generators of a record a second, then 1,000, each with one task, asked for by 8 clients through any of the
//! workers; probes that are created one after the other until they run; reads of statuses; a rolling restart; kill -9 of one
//! worker. Every answer is counted by its status: a 409 is never right here. CPU is user and system time of all three
//! processes. Usage: `crowd [--connectors N]`
mod figures;
mod fleet;
mod probes;

use anyhow::{Context, Result, bail};
use elasticflow_integration_tests::servers::setting;
use figures::{Figures, Row};
use fleet::Fleet;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Connectors at the first and at the second look.
const FEW: usize = 50;
const MANY: usize = 1_000;
/// Connectors that are created one after the other to see how long each takes, and how many of them with many around.
const PROBES: usize = 100;
/// Statuses that are read.
const READS: usize = 3_000;

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

/// A line on standard output; a closed output is no failure.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

fn many() -> Result<usize> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(MANY),
        [name, count] if name == "--connectors" => count.parse().context("--connectors takes a number"),
        _ => bail!("usage: crowd [--connectors N]"),
    }
}

async fn run() -> Result<()> {
    let (many, bootstrap) = (many()?, setting("EF_KAFKA")?);
    let dir = std::env::temp_dir().join(format!("crowd-{}", std::process::id()));
    let mut fleet = Fleet::start(&dir, &bootstrap).await?;
    let mut figures = Figures::new(many);
    let few = FEW.min(many);
    fleet.create(0..few).await?;
    fleet.await_running(few).await?;
    figures.times(&format!("POST to RUNNING with {few}"), &probes::starts(&fleet, PROBES).await?, Some(100.0));
    grow(&mut fleet, &mut figures, few, many).await?;
    figures.times(&format!("POST to RUNNING with {many}"), &probes::starts(&fleet, PROBES).await?, Some(1_000.0));
    figures.times("GET a status", &probes::reads(&fleet, READS, many).await?, Some(5.0));
    rest(&fleet, &mut figures).await?;
    restarts(&mut fleet, &mut figures, many).await?;
    figures.add(Row::new("answers 409", fleet.conflicts() as f64, "").at_most(0.0));
    say(&format!("written to {}", figures.write()?));
    drop(fleet);
    std::fs::remove_dir_all(dir).context("the folder of the workers is left")
}

async fn grow(fleet: &mut Fleet, figures: &mut Figures, few: usize, many: usize) -> Result<()> {
    let cpu = fleet.cpu_s()?;
    let posts = fleet.create(few..many).await?;
    let took = fleet.await_running(many).await? + posts.took;
    figures.times("POST /connectors, 8 clients", &posts.each, None);
    figures.add(Row::seconds(&format!("from the first POST of {} until all run", many - few), took).at_most(60.0));
    figures.add(Row::new("CPU of the workers for that", fleet.cpu_s()? - cpu, "s"));
    Ok(())
}

/// What the workers need when nobody asks for anything.
async fn rest(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    const LOOK: Duration = Duration::from_secs(10);
    let cpu = fleet.cpu_s()?;
    tokio::time::sleep(LOOK).await;
    let cores = (fleet.cpu_s()? - cpu) / LOOK.as_secs_f64();
    figures.add(Row::new("CPU of the workers, each record a second", cores * 100.0, "% of a core"));
    for (number, mib) in fleet.memory_mib()?.into_iter().enumerate() {
        figures.add(Row::new(&format!("resident memory of worker {number}"), mib, "MiB").at_most(400.0));
    }
    Ok(())
}

async fn restarts(fleet: &mut Fleet, figures: &mut Figures, many: usize) -> Result<()> {
    let rolled = fleet.roll(many).await?;
    let longest = rolled.iter().max().copied().unwrap_or_default();
    let all = rolled.iter().sum::<Duration>();
    figures.add(Row::seconds("rolling restart of three workers", all));
    figures.add(Row::seconds("longest until all run, of the three", longest).at_most(60.0));
    figures.add(Row::seconds("kill -9 of one worker until all run", fleet.lose_one(many).await?).at_most(60.0));
    Ok(())
}

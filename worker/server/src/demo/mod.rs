//! `elasticflow demo`: a first look without any server of one's own.
//!
//! An embedded broker and a worker run in this process; four connectors are POSTed to the worker's REST endpoint exactly
//! as a user would: a csv file into a SQLite table, generated records into JSON files. Then every record that went in is
//! looked for where it must have come out. In a second act a sink is slowed down and flow control is seen at work. Without
//! `--exit` more rows are written to the csv folder and the generator is given more to do, round after round, each
//! verified, until Ctrl-C.
mod client;
mod connectors;
mod input;
mod throttle;
mod verify;

use crate::cli::DemoArgs;
use crate::dev::{self, Dev};
use anyhow::{Context, Result, bail};
use client::Client;
use elasticflow_api::registry::Registry;
use elasticflow_rest::Loggers;
use input::Input;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use verify::Counts;

/// Rows of the first csv file.
const FIRST_ROWS: u64 = 10_000;
/// Records of the generator's first run.
const FIRST_NUMBERS: u64 = 20_000;
/// What each further round adds to both.
const ROUND: u64 = 1_000;
/// Pause between rounds.
const ROUND_EVERY: Duration = Duration::from_secs(2);
/// How often the screen shows counts.
const SCREEN_EVERY: Duration = Duration::from_millis(500);
/// A round that has not arrived by then has failed.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// Where everything of a demo lies.
pub(crate) struct Folders {
    pub(crate) input: PathBuf,
    pub(crate) table: PathBuf,
    pub(crate) output: PathBuf,
    /// What the second act writes.
    pub(crate) second: PathBuf,
}

/// Runs the demo; an error is a failed verification or a failed start.
pub(crate) async fn run(args: &DemoArgs, registry: Arc<Registry>, loggers: Loggers) -> Result<()> {
    let folders = fresh_folders(&args.dir)?;
    let options = dev::Options { port: 0, broker_port: 0, data: Some(args.dir.join("kafka")) };
    let dev = dev::start(&options, registry, loggers).await?;
    say(&format!("embedded broker on {}, REST on {}\n", dev.broker_address, dev.rest_url));
    let outcome = tokio::select! {
        outcome = show(&folders, &dev, args.exit) => outcome,
        _ = tokio::signal::ctrl_c() => {
            say("\nending: open transactions are finished\n");
            Ok(())
        }
    };
    dev.stop().await;
    outcome
}

async fn show(folders: &Folders, dev: &Dev, exits: bool) -> Result<()> {
    let client = Client::new(&dev.rest_url)?;
    let mut input = Input::new(&folders.input);
    let mut goal = Counts { orders: FIRST_ROWS, numbers: FIRST_NUMBERS };
    input.write(goal.orders)?;
    for connector in connectors::all(folders, goal.numbers)? {
        say(&format!("\n{}\n", connector.curl(&dev.rest_url)));
        client.create(&connector).await?;
    }
    say("\n");
    await_and_verify(folders, &client, goal).await?;
    throttle::act(folders, &client).await?;
    if exits {
        return Ok(());
    }
    say(&format!("\nit goes on: {ROUND} rows and records more every {} s; Ctrl-C ends it\n", ROUND_EVERY.as_secs()));
    loop {
        tokio::time::sleep(ROUND_EVERY).await;
        goal = Counts { orders: goal.orders + ROUND, numbers: goal.numbers + ROUND };
        input.write(goal.orders)?;
        client.put_config(&connectors::generator(goal.numbers)).await?;
        await_and_verify(folders, &client, goal).await?;
    }
}

/// Waits until as many records have come out as went in, showing counts; then compares each one.
async fn await_and_verify(folders: &Folders, client: &Client, goal: Counts) -> Result<()> {
    let began = Instant::now();
    loop {
        let seen = Counts::count(folders)?;
        let line = format!(
            "csv -> SQLite {:>7} of {}   generator -> JSON lines {:>7} of {}",
            seen.orders, goal.orders, seen.numbers, goal.numbers
        );
        say(&format!("{line}\n"));
        if seen.reaches(&goal) {
            break;
        }
        if let Some(trace) = client.first_failure().await? {
            bail!("a connector has failed:\n{trace}");
        }
        if began.elapsed() > ARRIVAL_MAX {
            bail!("not everything has arrived within {} s", ARRIVAL_MAX.as_secs());
        }
        tokio::time::sleep(SCREEN_EVERY).await;
    }
    let report = verify::compare(folders, &goal)?;
    say(&format!("{report}\n"));
    if report.is_exact() { Ok(()) } else { bail!("the verification has failed") }
}

/// Empties the demo's folder: it holds nothing but the demo's own files.
fn fresh_folders(dir: &Path) -> Result<Folders> {
    const MARK: &str = "made-by-elasticflow-demo";
    if dir.exists() {
        let is_ours = dir.join(MARK).exists() || dir.read_dir().is_ok_and(|mut d| d.next().is_none());
        if !is_ours {
            bail!("{} exists and is not a demo's folder; name another one with --dir", dir.display());
        }
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    let folders = folders_of(dir);
    for folder in [&folders.input, &folders.output, &folders.second] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(dir.join(MARK), "")?;
    Ok(folders_of(&dir.canonicalize()?))
}

fn folders_of(dir: &Path) -> Folders {
    let [input, output, second] = ["input", "output", "throttled"].map(|name| dir.join(name));
    Folders { input, table: dir.join("orders.db"), output, second }
}

/// Prints to standard output; a closed output is no reason to fail.
fn say(text: &str) {
    crate::output::print(text);
}

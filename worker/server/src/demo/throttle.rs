//! The second act: a sink is slowed down while two sources feed it. The unimportant source backs off, the important one
//! keeps its rate, and when the sink is fast again, so are both. Then every record is looked for.
use super::client::Client;
use super::connectors::Connector;
use super::verify::json_files;
use super::{ARRIVAL_MAX, Folders, say};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Records a second of the important source; and how many it has in all.
const LIVE_RATE: u64 = 200;
const LIVE: u64 = 6_000;
/// The same of the unimportant one, which has a backlog.
const ARCHIVE_RATE: u64 = 4_000;
const ARCHIVE: u64 = 70_000;
/// What the sink takes a second: at first, slowed, and again.
const FAST: u64 = 50_000;
const SLOW: u64 = 1_000;
/// What the unimportant source sends at most once it has backed off: what is left of the sink, and room for a swing.
const BACKED_OFF: u64 = (SLOW - LIVE_RATE) * 3 / 2;
/// How often the screen says how it is.
const SCREEN_EVERY: Duration = Duration::from_millis(700);
/// Lines before the sink is slowed, at least while it is, and at most while something is waited for.
const LINES_BEFORE: usize = 3;
const LINES_SLOW: usize = 14;
const LINES_MAX: usize = 30;

/// Plays the act.
pub(super) async fn act(folders: &Folders, client: &Client) -> Result<()> {
    say("\nflow control: the sources `live` (priority 9) and `archive` (priority 1) feed one sink\n");
    client.create(&source("live", LIVE_RATE, LIVE, 9)).await?;
    client.create(&source("archive", ARCHIVE_RATE, ARCHIVE, 1)).await?;
    // A sink finds its topics sooner when they are there.
    tokio::time::sleep(SCREEN_EVERY * 2).await;
    client.create(&sink(folders, FAST)?).await?;
    for _ in 0..LINES_BEFORE {
        look(client).await?;
    }
    say(&format!("the sink is slowed to {SLOW} records a second\n"));
    client.put_config(&sink(folders, SLOW)?).await?;
    let backed_off = slowed(client).await?;
    say(&format!("the sink may take {FAST} records a second again\n"));
    client.put_config(&sink(folders, FAST)?).await?;
    let recovered = recovers(client).await?;
    await_and_verify(folders, client).await?;
    if backed_off && recovered { Ok(()) } else { bail!("`archive` was not limited as it should have been") }
}

/// Watches the sources of the slowed sink; whether the unimportant one backs off.
async fn slowed(client: &Client) -> Result<bool> {
    let mut told = false;
    for line in 1..=LINES_MAX {
        let seen = look(client).await?;
        if let Some(reason) = seen.reason.as_ref().filter(|_| !told) {
            told = true;
            say(&format!("`archive` backs off: {reason}\n"));
        }
        if told && line >= LINES_SLOW && seen.archive <= BACKED_OFF {
            say(&format!("`live` keeps its {LIVE_RATE} records a second, `archive` has what the sink has left\n"));
            return Ok(true);
        }
    }
    Ok(told)
}

/// Watches until the unimportant source is free again.
async fn recovers(client: &Client) -> Result<bool> {
    for _ in 0..LINES_MAX {
        if look(client).await?.reason.is_none() {
            say("`archive` has recovered: nothing limits it but its own rate\n");
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a line of the screen shows.
struct Look {
    archive: u64,
    /// Why `archive` is limited, in the words of `/flow/v1`.
    reason: Option<String>,
}

async fn look(client: &Client) -> Result<Look> {
    tokio::time::sleep(SCREEN_EVERY).await;
    let (live, archive) = (client.flow("live").await?, client.flow("archive").await?);
    let sink = client.flow("slow-files").await?;
    let seen = Look { archive: rate(&archive), reason: reason(&archive).map(str::to_owned) };
    let standing = match &seen.reason {
        Some(_) => {
            let limit = archive["limit"]["bytes_per_second"].as_f64().unwrap_or(0.0) / 1000.0;
            let drain = archive["groups"][0]["drain_ms"].as_f64().unwrap_or(0.0) / 1000.0;
            format!("limited to {limit:.0} kB/s, the sink {drain:.1} s behind")
        }
        None => "free".to_owned(),
    };
    let (live, sent, taken) = (rate(&live), seen.archive, rate(&sink));
    say(&format!(
        "  live {live:>4} records/s   archive {sent:>5} records/s   sink {taken:>5} records/s   archive {standing}\n"
    ));
    Ok(seen)
}

fn rate(flow: &Value) -> u64 {
    flow["measured"]["records_per_second"].as_f64().map_or(0, |rate| rate.round().max(0.0) as u64)
}

fn reason(flow: &Value) -> Option<&str> {
    flow["flow"]["reasons"].as_array()?.iter().find(|r| r["code"] == "LAG")?["text"].as_str()
}

fn source(name: &'static str, rate: u64, count: u64, priority: u8) -> Connector {
    let topic = format!("demo-{name}");
    Connector::new(
        name,
        json!({
            "connector.class": "elasticflow.connectors.DatagenSourceConnector",
            "kafka.topic": topic,
            "fields": format!("{name}:seq,note:text(40,60)"),
            "schema.keyfield": name,
            "random.seed": "7",
            "max.interval": "0",
            "batch.records": "100",
            "iterations": count.to_string(),
            "flow.rate.records": rate.to_string(),
            "flow.priority": priority.to_string(),
        }),
    )
}

fn sink(folders: &Folders, rate: u64) -> Result<Connector> {
    let output = folders.second.to_str().context("the demo's folder is not UTF-8")?;
    Ok(Connector::new(
        "slow-files",
        json!({
            "connector.class": "elasticflow.connectors.FileSinkConnector",
            "topics": "demo-live,demo-archive",
            "output.path": output,
            "format": "json",
            "commit.interval.ms": "500",
            "flow.rate.records": rate.to_string(),
            "flow.lag.target.ms": "2000",
        }),
    ))
}

/// Waits until every record has come out, then counts them one by one.
async fn await_and_verify(folders: &Folders, client: &Client) -> Result<()> {
    let began = Instant::now();
    loop {
        let seen = seen(folders)?;
        let count: usize = seen.values().map(BTreeMap::len).sum();
        if count as u64 >= LIVE + ARCHIVE {
            return report(&seen);
        }
        if let Some(trace) = client.first_failure().await? {
            bail!("a connector has failed:\n{trace}");
        }
        if began.elapsed() > ARRIVAL_MAX {
            bail!("{count} of {} records have arrived within {} s", LIVE + ARCHIVE, ARRIVAL_MAX.as_secs());
        }
        tokio::time::sleep(SCREEN_EVERY).await;
    }
}

type Seen = BTreeMap<&'static str, BTreeMap<u64, u64>>;

/// How often each number of each source has come out.
fn seen(folders: &Folders) -> Result<Seen> {
    let mut seen = Seen::new();
    for file in json_files(&folders.second)? {
        for line in std::fs::read_to_string(&file)?.lines() {
            let value: Value =
                serde_json::from_str(line).with_context(|| format!("{} holds a broken line", file.display()))?;
            for name in ["live", "archive"] {
                if let Some(number) = value[name].as_u64() {
                    *seen.entry(name).or_default().entry(number).or_default() += 1;
                }
            }
        }
    }
    Ok(seen)
}

fn report(seen: &Seen) -> Result<()> {
    let mut missing = 0;
    for (name, count) in [("live", LIVE), ("archive", ARCHIVE)] {
        let numbers = seen.get(name).with_context(|| format!("nothing of {name} has come out"))?;
        let first = u64::from(!numbers.contains_key(&0));
        missing += (first..first + count).filter(|number| !numbers.contains_key(number)).count();
    }
    let out: u64 = seen.values().flat_map(BTreeMap::values).sum();
    let distinct: usize = seen.values().map(BTreeMap::len).sum();
    let duplicated = out - distinct as u64;
    say(&format!("verified: {} in, {out} out, {missing} missing, {duplicated} duplicated\n", LIVE + ARCHIVE));
    if missing == 0 && duplicated == 0 { Ok(()) } else { bail!("the verification has failed") }
}

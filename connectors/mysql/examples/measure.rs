//! Reads a database to its end and prints records per CPU-second: `measure snapshot|stream DATABASE`.
//!
//! The server is that of `EF_MYSQL`; `stream` reads the log from its oldest file.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement on the command line")]
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::context::{Limits, SourceContext, StoredOffsets};
use elasticflow_api::position::{SourceOffset, SourcePartition, TaskId, TaskIndex};
use elasticflow_api::source::SourceTask;
use elasticflow_config::{Properties, parse};
use elasticflow_mysql::task::CdcTask;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Now(Instant);

impl Clock for Now {
    fn wall_ms(&self) -> i64 {
        1_700_000_000_000
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

struct Nothing;

impl StoredOffsets for Nothing {
    fn get(&self, _: &SourcePartition) -> elasticflow_api::Result<Option<SourceOffset>> {
        Ok(None)
    }
    fn all(&self) -> elasticflow_api::Result<Vec<(SourcePartition, SourceOffset)>> {
        Ok(Vec::new())
    }
}

/// User and system time of this process, in seconds, and the peak of its memory, in MB.
fn usage() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    (ticks / 100.0, peak.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (mode, database) = (args.next().unwrap(), args.next().unwrap());
    let address = std::env::var("EF_MYSQL").unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let properties = Properties::from_iter([
        ("database.hostname", host),
        ("database.port", port),
        ("database.user", "elasticflow"),
        ("database.password", "elasticflow"),
        ("database.ssl.mode", "disabled"),
        ("topic.prefix", "srv"),
        ("database.include.list", database.as_str()),
        ("snapshot.mode", if mode == "snapshot" { "initial" } else { "never" }),
    ]);
    let mut task = CdcTask::new(parse(&properties).unwrap());
    let cx = SourceContext {
        task: TaskId { group: "measure".into(), connector: mode.as_str().into(), task: TaskIndex(0) },
        clock: Arc::new(Now(Instant::now())),
        offsets: Arc::new(Nothing),
        batch_max: Limits { records: 2048, bytes: 16 << 20 },
        poll_max: Duration::from_millis(500),
    };
    task.start(&cx).await.unwrap();
    let (began, (cpu, _)) = (Instant::now(), usage());
    let (mut records, mut polls, mut empty) = (0u64, 0u64, 0);
    let mut last = began.elapsed();
    loop {
        let batch = task.poll(&cx).await.unwrap();
        polls += 1;
        if batch.records.is_empty() {
            empty += 1;
            let snapshot = task.standing().is_some_and(|s| s.snapshot);
            if !snapshot && empty > 1 {
                break;
            }
            continue;
        }
        empty = 0;
        records += batch.records.len() as u64;
        last = began.elapsed();
    }
    let (now, peak) = usage();
    let (cpu, wall) = (now - cpu, last.as_secs_f64());
    let million = records as f64 / 1e6;
    println!(
        "{mode}: {records} records in {wall:.2} s ({:.0}/s), {polls} polls, {cpu:.2} CPU-s = {:.2} CPU-s per million, peak {peak:.0} MB",
        records as f64 / wall,
        cpu / million
    );
    task.stop().await;
}

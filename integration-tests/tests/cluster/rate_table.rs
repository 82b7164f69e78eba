//! How near what is measured comes to what is set: records and bytes, streams and snapshots, one task and four, before and
//! after a change while they run, all at once over three workers.
use crate::kafka;
use crate::limited::{Counter, found, none, three};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::scenes::run_number;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Over how long rates are measured, and how near they must come.
const WINDOW: Duration = Duration::from_secs(5);
const NEAR: f64 = 0.1;
/// Records a second and bytes a second, at first and after the change.
const RECORDS: [u64; 2] = [200, 500];
const BYTES: [u64; 2] = [20_000, 50_000];
/// Tables of a database that is read as a whole, again and again, and their rows.
const TABLES: usize = 4;
const ROWS: usize = 2_000;

/// A line of the table.
struct Line {
    name: String,
    tasks: usize,
    /// `flow.rate.` and this is what is set.
    key: &'static str,
    set: [u64; 2],
    counters: Vec<Counter>,
    /// In the first window that came near.
    measured: [Option<f64>; 2],
}

impl Line {
    fn is_snapshot(&self) -> bool {
        self.key.starts_with("snapshot.")
    }

    fn topics(&self) -> Vec<String> {
        match self.is_snapshot() {
            true => (0..TABLES).map(|table| format!("{}-t{table}", self.name)).collect(),
            false => vec![self.name.clone()],
        }
    }

    /// The rate that counts, and one for the other kind of reading that must not.
    fn config(&self, database: &Path, phase: usize) -> Value {
        let (rate, key) = (self.set[phase].to_string(), format!("flow.rate.{}", self.key));
        let mut config = match self.is_snapshot() {
            true => json!({"connector.class": "elasticflow.connectors.SqliteBatchSourceConnector",
                "connection.url": format!("jdbc:sqlite:{}", database.display()), "mode": "bulk", "poll.interval.ms": "10",
                "topic.prefix": format!("{}-", self.name), "flow.rate.records": "1"}),
            false => {
                json!({"connector.class": "datagen", "kafka.topic": self.name, "fields": "id:seq, note:text(5,40)",
                "batch.records": "20", "flow.rate.snapshot.records": "1"})
            }
        };
        config["tasks.max"] = json!(self.tasks.to_string());
        config["flow.lag.control"] = json!("off");
        config[key] = json!(rate);
        if self.is_snapshot() && self.key.ends_with("bytes") {
            // Where only one of the two is set, the other one is that of the stream.
            config["flow.rate.snapshot.records"] = json!("1000000");
        }
        config
    }

    fn moved(&self) -> u64 {
        let of = |counter: &Counter| if self.key.ends_with("bytes") { counter.bytes() } else { counter.now() };
        self.counters.iter().map(of).sum()
    }
}

fn lines(run: u64) -> Vec<Line> {
    let kinds = [("records", RECORDS), ("bytes", BYTES), ("snapshot.records", RECORDS), ("snapshot.bytes", BYTES)];
    let line = |(key, set): (&'static str, [u64; 2]), tasks| {
        let name = format!("rate-{run}-{}-{tasks}", key.replace('.', "-"));
        Line { name, tasks, key, set, counters: Vec::new(), measured: [None; 2] }
    };
    kinds.into_iter().flat_map(|kind| [line(kind, 1), line(kind, 4)]).collect()
}

fn fill(database: &Path) {
    let mut connection = Connection::open(database).unwrap();
    connection.execute_batch("PRAGMA journal_mode=WAL").unwrap();
    let transaction = connection.transaction().unwrap();
    for table in 0..TABLES {
        transaction.execute_batch(&format!("CREATE TABLE t{table} (id INTEGER PRIMARY KEY, note TEXT)")).unwrap();
        for row in 0..ROWS {
            let insert = format!("INSERT INTO t{table} VALUES (?1, ?2)");
            transaction.execute(&insert, (row, "a note ".repeat(row % 12 + 1))).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// Measures windows of all at once until each line has had one that is near. A machine that is busy with other things may give
/// less for a while.
async fn measure(lines: &mut [Line], phase: usize) {
    let windows = async || {
        let (before, began) = (lines.iter().map(Line::moved).collect::<Vec<_>>(), Instant::now());
        tokio::time::sleep(WINDOW).await;
        for (line, before) in lines.iter_mut().zip(before) {
            let measured = (line.moved() - before) as f64 / began.elapsed().as_secs_f64();
            let near = (measured / line.set[phase] as f64 - 1.0).abs() <= NEAR;
            line.measured[phase] = line.measured[phase].or(near.then_some(measured));
        }
        lines.iter().all(|line| line.measured[phase].is_some()).then_some(())
    };
    found(if phase == 0 { "every rate is near" } else { "every changed rate is near" }, windows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_over_three_workers_is_what_is_set_and_a_table_says_so() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (clients, database) = (cluster(&address).unwrap(), dir.path().join("rows.db"));
    fill(&database);
    let mut lines = lines(run_number());
    for line in &mut lines {
        for topic in line.topics() {
            create_topic(&clients, &topic, 1).await.unwrap();
            line.counters.push(Counter::of(&clients, &topic).await.unwrap());
        }
    }
    let mut group = three(none(dir.path(), &address, 37)).await;
    for phase in 0..2 {
        for line in &lines {
            let path = format!("/connectors/{}/config", line.name);
            group.any().expect("PUT", &path, Some(&line.config(&database, phase))).await.unwrap();
        }
        measure(&mut lines, phase).await;
    }
    println!(
        "{:<18} {:>5} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7}",
        "rate", "tasks", "set", "measured", "off", "changed", "measured", "off"
    );
    for line in &lines {
        let of = |phase: usize| {
            let (measured, set) = (line.measured[phase].unwrap(), line.set[phase] as f64);
            format!("{set:>9.0} {measured:>9.0} {:>5.1} %", (measured / set - 1.0) * 100.0)
        };
        println!("{:<18} {:>5} {} {}", line.key, line.tasks, of(0), of(1));
    }
    for line in &lines {
        group.any().expect("DELETE", &format!("/connectors/{}", line.name), None).await.unwrap();
    }
}

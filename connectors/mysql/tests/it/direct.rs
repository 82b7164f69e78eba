//! Rows that go to JSON directly are byte for byte what assembler and JSON converter write together.
use crate::converters::{Converters, framed};
use crate::random::{KINDS, Kind, values};
use crate::support::{Harness, Offsets, Server, SystemClock};
use bytes::{Bytes, BytesMut};
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::convert::Converter;
use elasticflow_api::data::Datum;
use elasticflow_api::source::{SourceBatch, SourceTask};
use elasticflow_formats::json::JsonConverter;
use elasticflow_mysql::position::LogPosition;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records carry the time at which they were made: the same for both.
struct Noon(SystemClock);

impl Clock for Noon {
    fn wall_ms(&self) -> i64 {
        1_700_000_000_123
    }
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        self.0.sleep(for_)
    }
}

/// A record as it goes to Kafka.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    topic: String,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: usize,
}

/// What a batch sends, and how many of its records were written directly.
fn sent(batch: &SourceBatch, converters: &Converters) -> (Vec<Sent>, usize) {
    let encoded = |converter: &JsonConverter, datum: &Datum| {
        let mut out = BytesMut::new();
        converter.write(datum, &mut out).unwrap().then(|| out.freeze())
    };
    let mut all = Vec::new();
    let mut written = batch.written.iter().peekable();
    for at in 0..=batch.records.len() {
        while let Some(record) = written.next_if(|w| w.after <= at) {
            all.push(Sent {
                topic: record.target.topic.to_string(),
                key: framed(record.key, &record.target.key_lead),
                value: framed(record.value, &record.target.value_lead),
                headers: batch.written.headers.len(),
            });
        }
        if let Some(record) = batch.records.get(at).map(|r| &r.record) {
            all.push(Sent {
                topic: record.topic.to_string(),
                key: encoded(&converters.0, &record.key),
                value: encoded(&converters.1, &record.value),
                headers: record.headers.len(),
            });
        }
    }
    (all, batch.written.len())
}

struct Reading {
    harness: Harness,
    sent: Vec<Sent>,
    directly: usize,
}

impl Reading {
    async fn begin(server: &Server, config: &[(&str, &str)], converters: Option<&Converters>) -> Self {
        let mut harness = Harness::new(server.config(config), &Arc::new(Offsets::default()), 7);
        harness.cx.clock = Arc::new(Noon(SystemClock::new()));
        if let Some(Converters(key, value)) = converters {
            harness.task.written_as(key.json_form().unwrap(), value.json_form().unwrap());
        }
        harness.start().await.unwrap();
        Self { harness, sent: Vec::new(), directly: 0 }
    }

    async fn until_end(mut self, target: &LogPosition, converters: &Converters) -> (Vec<Sent>, usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let standing = self.harness.task.standing().unwrap();
            if !standing.snapshot && standing.between && standing.position >= *target {
                break;
            }
            assert!(Instant::now() < deadline, "not at {target}: {standing:?}");
            let batch = self.harness.task.poll(&self.harness.cx).await.unwrap();
            let (mut sent, directly) = sent(&batch, converters);
            self.sent.append(&mut sent);
            self.directly += directly;
        }
        self.harness.stop().await;
        (self.sent, self.directly)
    }
}

/// Reads what the statements write in both ways; says how many records were written directly.
async fn compare(
    server: &Server,
    conn: &mut Conn,
    config: &[(&str, &str)],
    settings: &[(&str, &str)],
    statements: &[String],
) -> usize {
    let converters = Converters::new(settings);
    let by_values = Reading::begin(server, config, None).await;
    let directly = Reading::begin(server, config, Some(&converters)).await;
    for statement in statements {
        conn.query_drop(statement).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    let mut row: mysql_async::Row = conn.query_first("SHOW MASTER STATUS").await.unwrap().unwrap();
    let target = LogPosition::new(&row.take::<String, _>(0).unwrap(), row.take(1).unwrap());
    let (expected, none) = by_values.until_end(&target, &converters).await;
    let (records, count) = directly.until_end(&target, &converters).await;
    assert_eq!(none, 0, "a task that was told no form writes nothing itself");
    assert_eq!(records.len(), expected.len());
    for (is, should) in records.iter().zip(&expected) {
        assert_eq!(is, should, "{config:?} {settings:?}");
    }
    count
}

const SET: Kind = ("SET('x','y','\u{e4}')", |r| r.random_range(0..8).to_string());
const PLAIN: &[(&str, &str)] = &[("schemas.enable", "false")];
const WITH_SCHEMAS: &[(&str, &str)] = &[("schemas.enable", "true")];
const NUMBERS: &[(&str, &str)] =
    &[("schemas.enable", "false"), ("decimal.format", "NUMERIC"), ("replace.null.with.default", "false")];
/// Settings of the connector that change how cells are written.
const MODES: &[&[(&str, &str)]] = &[
    &[],
    &[
        ("time.precision.mode", "nanoseconds"),
        ("bigint.unsigned.handling.mode", "precise"),
        ("binary.handling.mode", "hex"),
    ],
    &[("decimal.handling.mode", "string"), ("time.precision.mode", "adaptive_time_microseconds")],
    &[
        ("decimal.handling.mode", "double"),
        ("column.mask.with.3.chars", ".*\\.c[1-4]"),
        ("tombstones.on.delete", "false"),
    ],
    &[("column.exclude.list", ".*\\.c2"), ("skipped.operations", "d"), ("extended.headers.enabled", "false")],
];

fn statements(r: &mut SmallRng, kinds: &[Kind]) -> Vec<String> {
    let mut all = Vec::new();
    for first in [0, 5, 10] {
        let rows: Vec<String> = (0..5).map(|i| format!("({}{})", first + i, values(r, kinds))).collect();
        all.push(format!("INSERT INTO t VALUES {}", rows.join(",")));
    }
    for _ in 0..6 {
        let (column, id) = (r.random_range(0..kinds.len()), r.random_range(0..15));
        all.push(format!("UPDATE t SET c{column}={} WHERE id={id}", (kinds[column].1)(r)));
    }
    all.extend(
        ["BEGIN", "UPDATE t SET id=id+100 WHERE id=3", "UPDATE t SET id=id+1000 WHERE id>11"].map(str::to_owned),
    );
    all.extend(["DELETE FROM t WHERE id=7", "COMMIT", "DELETE FROM t"].map(str::to_owned));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_random_tables_are_the_same_bytes_directly_and_by_values() {
    let name = "rows_of_random_tables_are_the_same_bytes_directly_and_by_values";
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    for (seed, mode) in (1..).zip(MODES) {
        let mut r = SmallRng::seed_from_u64(seed);
        let mut conn = server.database("ef_direct").await;
        conn.query_drop("SET SESSION sql_mode='ALLOW_INVALID_DATES', time_zone='+00:00'").await.unwrap();
        // A member with a comma is refused here.
        let all: Vec<Kind> = KINDS.iter().filter(|kind| !kind.0.starts_with("SET")).chain([&SET]).copied().collect();
        let kinds: Vec<Kind> = (0..30).map(|_| *all.choose(&mut r).unwrap()).collect();
        let columns: Vec<String> = kinds.iter().enumerate().map(|(i, k)| format!("c{i} {}", k.0)).collect();
        let create = format!("CREATE TABLE t (id INT PRIMARY KEY, {}) DEFAULT CHARSET=utf8mb4", columns.join(", "));
        conn.query_drop(create).await.unwrap();
        let base = [("database.include.list", "ef_direct"), ("snapshot.mode", "no_data")];
        let config: Vec<(&str, &str)> = base.iter().chain(*mode).copied().collect();
        for settings in [PLAIN, WITH_SCHEMAS, NUMBERS] {
            let statements = statements(&mut r, &kinds);
            let count = Box::pin(compare(&server, &mut conn, &config, settings, &statements)).await;
            assert!(count >= 15, "seed {seed}: {count} records were written directly");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_dates_defaults_odd_names_and_texts_are_the_same_bytes_too() {
    let name = "zero_dates_defaults_odd_names_and_texts_are_the_same_bytes_too";
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    let mut conn = server.database("ef_direct_odd").await;
    conn.query_drop("SET SESSION sql_mode='', time_zone='+00:00'").await.unwrap();
    conn.query_drop(
        "CREATE TABLE t (a VARCHAR(20) CHARACTER SET latin1 NOT NULL, `b \"x\\\\` BIGINT UNSIGNED NOT NULL DEFAULT 7, \
         d DATE NOT NULL, dd DATETIME(3) NULL DEFAULT '2020-01-01', ts TIMESTAMP NULL, t TEXT, \
         e ENUM('a\"','b') NOT NULL, f FLOAT, n INT NULL DEFAULT 5, v DECIMAL(18,0), w DECIMAL(9,9), PRIMARY KEY (`b \"x\\\\`, a)) \
         DEFAULT CHARSET=utf8mb4",
    )
    .await
    .unwrap();
    conn.query_drop("CREATE TABLE keyless (a INT NULL DEFAULT 3, b TEXT)").await.unwrap();
    let odd = [
        "INSERT INTO t VALUES (X'41E9', 18446744073709551615, '0000-00-00', '0000-00-00', 0, 'q\"uote \\\\ \\n \u{1F600} \u{e9}', 'b', 1e30, NULL, \
         -999999999999999999, -0.999999999), \
         ('', 0, '2024-02-29', NULL, '2024-02-29 23:59:59', '', 'nope', -0.0, 5, 127, 0), ('x', 1, '0099-01-01', '0001-01-01', NULL, NULL, 'a\"', 0.1, 1, \
         -128, 0.000000128)",
        "UPDATE t SET t='\u{7f}\t plain' WHERE a='x'",
        "UPDATE t SET a='y' WHERE a='x'",
        "INSERT INTO keyless VALUES (NULL, 'a'), (1, NULL)",
        "UPDATE keyless SET a=2 WHERE a IS NULL",
        "DELETE FROM keyless",
        "TRUNCATE t",
    ]
    .map(str::to_owned);
    let base =
        [("database.include.list", "ef_direct_odd"), ("snapshot.mode", "no_data"), ("skipped.operations", "none")];
    for settings in [PLAIN, WITH_SCHEMAS, NUMBERS] {
        let count = Box::pin(compare(&server, &mut conn, &base, settings, &odd)).await;
        assert!(count >= 10, "{count} records were written directly");
    }
}

/// Without the place of the log, which others on the server move.
fn placeless(value: &Bytes) -> String {
    let text = String::from_utf8(value.to_vec()).unwrap();
    match (text.split_once("\"file\":\"binlog"), text.rsplit_once(",\"row\":")) {
        (Some((head, _)), Some((_, tail))) => format!("{head}{tail}"),
        _ => text,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_snapshots_are_the_same_bytes_directly_and_by_values() {
    let name = "rows_of_snapshots_are_the_same_bytes_directly_and_by_values";
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    let mut conn = server.database("ef_direct_snap").await;
    conn.query_drop("SET SESSION sql_mode='ALLOW_INVALID_DATES', time_zone='+00:00'").await.unwrap();
    let kinds: Vec<Kind> = KINDS.iter().filter(|kind| !kind.0.starts_with("SET")).chain([&SET]).copied().collect();
    let columns: Vec<String> = kinds.iter().enumerate().map(|(i, k)| format!("c{i} {}", k.0)).collect();
    for table in ["t", "u"] {
        let key = if table == "t" { "PRIMARY KEY" } else { "" };
        let create = format!("CREATE TABLE {table} (id INT {key}, {}) DEFAULT CHARSET=utf8mb4", columns.join(", "));
        conn.query_drop(create).await.unwrap();
        let mut r = SmallRng::seed_from_u64(9);
        let rows: Vec<String> = (0..25).map(|i| format!("({i}{})", values(&mut r, &kinds))).collect();
        conn.query_drop(format!("INSERT INTO {table} VALUES {}", rows.join(","))).await.unwrap();
    }
    for (settings, mode) in [PLAIN, WITH_SCHEMAS, NUMBERS].into_iter().zip(MODES) {
        let base = [("database.include.list", "ef_direct_snap"), ("snapshot.mode", "initial_only")];
        let config: Vec<(&str, &str)> = base.iter().chain(*mode).copied().collect();
        let converters = Converters::new(settings);
        let mut both = Vec::new();
        for converters_told in [None, Some(&converters)] {
            let mut reading = Reading::begin(&server, &config, converters_told).await;
            let deadline = Instant::now() + Duration::from_secs(120);
            loop {
                assert!(Instant::now() < deadline, "the snapshot does not end");
                let batch = reading.harness.task.poll(&reading.harness.cx).await.unwrap();
                let (mut sent, directly) = sent(&batch, &converters);
                reading.sent.append(&mut sent);
                reading.directly += directly;
                if batch.end_of_data {
                    break;
                }
            }
            reading.harness.stop().await;
            assert_eq!(reading.directly, if converters_told.is_some() { 50 } else { 0 }, "{settings:?} {mode:?}");
            let shown = |s: &Sent| (s.topic.clone(), s.key.clone(), s.value.as_ref().map(placeless), s.headers);
            both.push(reading.sent.iter().map(shown).collect::<Vec<_>>());
        }
        assert_eq!(both[0].len(), 50);
        for (by_values, directly) in both[0].iter().zip(&both[1]) {
            assert_eq!(directly, by_values, "{settings:?} {mode:?}");
        }
    }
}

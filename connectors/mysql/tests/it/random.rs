//! Random tables with random rows: what comes from the log equals what the server's own SELECT gives, for every type.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use mysql_async::prelude::Queryable;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A column type and a way to write a random value of it.
pub(crate) type Kind = (&'static str, fn(&mut SmallRng) -> String);

fn text(r: &mut SmallRng, most: usize) -> String {
    let n = r.random_range(0..=most);
    let letters: Vec<char> = "abcXYZ 09_%'\\\"\u{e4}\u{df}\u{20ac}\u{416}".chars().collect();
    let plain: String = (0..n).map(|_| *letters.choose(r).unwrap()).collect();
    format!("_utf8mb4 X'{}'", plain.bytes().map(|b| format!("{b:02x}")).collect::<String>())
}

fn ascii(r: &mut SmallRng, most: usize) -> String {
    let n = r.random_range(0..=most);
    format!("'{}'", (0..n).map(|_| char::from(r.random_range(b'a'..=b'z'))).collect::<String>())
}

fn bytes(r: &mut SmallRng, most: usize) -> String {
    let n = r.random_range(0..=most);
    format!("X'{}'", (0..n).map(|_| format!("{:02x}", r.random::<u8>())).collect::<String>())
}

fn edge(r: &mut SmallRng, low: i128, high: i128) -> String {
    let all = [low, low + 1, -1, 0, 1, high - 1, high, r.random_range(low..=high)];
    all.choose(r).unwrap().clamp(&low, &high).to_string()
}

fn decimal(r: &mut SmallRng, whole: usize, scale: usize) -> String {
    let digits =
        |r: &mut SmallRng, n: usize| (0..n).map(|_| char::from(r.random_range(b'0'..=b'9'))).collect::<String>();
    let (n, m) = (r.random_range(1..=whole), r.random_range(0..=scale));
    let sign = if r.random() { "-" } else { "" };
    format!("{sign}{}.{}0", digits(r, n), digits(r, m))
}

fn date(r: &mut SmallRng) -> String {
    format!("{:04}-{:02}-{:02}", r.random_range(1000..=9999), r.random_range(1..=12), r.random_range(1..=28))
}

fn clock(r: &mut SmallRng) -> String {
    let (h, m, s) = (r.random_range(0..24), r.random_range(0..60), r.random_range(0..60));
    format!("{h:02}:{m:02}:{s:02}.{:06}", r.random_range(0..1_000_000))
}

fn json(r: &mut SmallRng, depth: u32) -> String {
    match r.random_range(0..if depth == 0 { 8 } else { 11 }) {
        0 => "null".to_owned(),
        1 => r.random::<bool>().to_string(),
        2 => edge(r, i128::from(i64::MIN), i128::from(u64::MAX)),
        3 => r.random_range(-70000..70000).to_string(),
        4 => format!("{}.{}", r.random_range(-9999..9999), r.random_range(1..99)),
        5 => format!("{}e{}", r.random_range(1..9), r.random_range(-30..300)),
        6 | 7 => format!("\"{}\"", ["", "a b", "\u{e4}\\\\\\\\", "x\\\\\"y", "\\\\n"].choose(r).unwrap()),
        8 => {
            let n = r.random_range(0..4);
            format!("[{}]", (0..n).map(|_| json(r, depth - 1)).collect::<Vec<_>>().join(", "))
        }
        _ => {
            let n = r.random_range(0..4);
            let member = |i: usize, r: &mut SmallRng| format!("\"k{}{i}\": {}", "y".repeat(i % 3), json(r, depth - 1));
            format!("{{{}}}", (0..n).map(|i| member(i, r)).collect::<Vec<_>>().join(", "))
        }
    }
}

pub(crate) const KINDS: &[Kind] = &[
    ("TINYINT", |r| edge(r, -128, 127)),
    ("TINYINT UNSIGNED", |r| edge(r, 0, 255)),
    ("SMALLINT", |r| edge(r, -32768, 32767)),
    ("SMALLINT UNSIGNED", |r| edge(r, 0, 65535)),
    ("MEDIUMINT", |r| edge(r, -(1 << 23), (1 << 23) - 1)),
    ("MEDIUMINT UNSIGNED", |r| edge(r, 0, (1 << 24) - 1)),
    ("INT", |r| edge(r, -(1 << 31), (1 << 31) - 1)),
    ("INT UNSIGNED", |r| edge(r, 0, (1 << 32) - 1)),
    ("BIGINT", |r| edge(r, -(1 << 63), (1 << 63) - 1)),
    ("BIGINT UNSIGNED", |r| edge(r, 0, (1 << 64) - 1)),
    ("DECIMAL(5,2)", |r| decimal(r, 3, 2)),
    ("DECIMAL(65,30)", |r| decimal(r, 35, 30)),
    ("DECIMAL(20,0) UNSIGNED", |r| decimal(r, 20, 0).trim_start_matches('-').to_owned()),
    ("DECIMAL(18,9)", |r| decimal(r, 9, 9)),
    ("FLOAT", |r| format!("{}.5", r.random_range(-9999..9999))),
    ("DOUBLE", |r| format!("{}e{}", r.random_range(-99999..99999), r.random_range(-100..100))),
    ("BIT(1)", |r| r.random_range(0..2).to_string()),
    ("BIT(13)", |r| r.random_range(0..1 << 13).to_string()),
    ("BIT(64)", |r| r.random::<u64>().to_string()),
    ("DATE", |r| format!("'{}'", date(r))),
    ("TIME", |r| format!("'{}{}:59:58'", if r.random() { "-" } else { "" }, r.random_range(0..838))),
    ("TIME(3)", |r| format!("'-{}'", clock(r))),
    ("TIME(6)", |r| format!("'{}'", clock(r))),
    ("DATETIME", |r| format!("'{} {}'", date(r), clock(r))),
    ("DATETIME(2)", |r| format!("'{} {}'", date(r), clock(r))),
    ("DATETIME(6)", |r| format!("'{} {}'", date(r), clock(r))),
    ("TIMESTAMP NULL", |r| format!("FROM_UNIXTIME({})", r.random_range(1..i32::MAX))),
    ("TIMESTAMP(5) NULL", |r| {
        format!("FROM_UNIXTIME({}.{:05})", r.random_range(1..i32::MAX), r.random_range(0..99999))
    }),
    ("YEAR", |r| r.random_range(1901..2155).to_string()),
    ("CHAR(10)", |r| text(r, 10)),
    ("CHAR(200)", |r| text(r, 200)),
    ("VARCHAR(40)", |r| text(r, 40)),
    ("VARCHAR(2000)", |r| text(r, 300)),
    ("VARCHAR(30) CHARACTER SET latin1", |r| ascii(r, 30)),
    ("VARCHAR(30) CHARACTER SET utf16", |r| text(r, 30)),
    ("VARCHAR(30) CHARACTER SET ucs2", |r| text(r, 30)),
    ("TEXT", |r| text(r, 400)),
    ("MEDIUMTEXT CHARACTER SET latin1", |r| ascii(r, 400)),
    ("BINARY(7)", |r| bytes(r, 7)),
    ("VARBINARY(300)", |r| bytes(r, 300)),
    ("TINYBLOB", |r| bytes(r, 200)),
    ("LONGBLOB", |r| bytes(r, 400)),
    ("ENUM('a','b c','d''e','\u{e4}')", |r| r.random_range(1..=4).to_string()),
    ("SET('x','y','z,')", |r| r.random_range(0..4).to_string()),
    ("JSON", |r| format!("'{}'", json(r, 3))),
    ("POINT", |r| format!("ST_GeomFromText('POINT({} {})')", r.random_range(-90..90), r.random_range(-90..90))),
    ("GEOMETRY", |r| format!("ST_GeomFromText('LINESTRING(0 0,{} {})')", r.random_range(-9..9), r.random_range(-9..9))),
];

const MARIA: &[Kind] = &[
    ("UUID", |r| format!("'{:08x}-0000-1000-8000-{:012x}'", r.random::<u32>(), r.random::<u32>())),
    ("INET6", |r| format!("'fe80::{:x}'", r.random::<u16>())),
    ("VARCHAR(300) COMPRESSED", |r| text(r, 300)),
    ("BLOB COMPRESSED", |r| bytes(r, 300)),
];

pub(crate) fn values(r: &mut SmallRng, kinds: &[Kind]) -> String {
    let one = |r: &mut SmallRng, k: &Kind| if r.random_range(0..8) == 0 { "NULL".to_owned() } else { (k.1)(r) };
    kinds.iter().map(|k| format!(",{}", one(r, k))).collect()
}

/// The rows that records leave, by key.
fn images(records: &[elasticflow_api::source::SourceRecord]) -> BTreeMap<String, Json> {
    let mut rows = BTreeMap::new();
    for record in records {
        let (key, value) = (datum(&record.record.key).to_string(), datum(&record.record.value));
        match value["op"].as_str() {
            Some("u") => {
                // What a change starts from is what the record before has left.
                assert_eq!(rows.get(&key), Some(&value["before"]), "{key}");
                rows.insert(key, value["after"].clone());
            }
            Some("c" | "r") => drop(rows.insert(key, value["after"].clone())),
            Some("d") => drop(rows.remove(&key)),
            _ => {}
        }
    }
    rows
}

async fn random_table(server: &Server, db: &str, seed: u64, maria: bool) {
    let mut r = SmallRng::seed_from_u64(seed);
    let mut conn = server.database(db).await;
    let all: Vec<Kind> = if maria { KINDS.iter().chain(MARIA).copied().collect() } else { KINDS.to_vec() };
    let n = r.random_range(3..40);
    let kinds: Vec<Kind> = (0..n).map(|_| *all.choose(&mut r).unwrap()).collect();
    let columns: Vec<String> = kinds.iter().enumerate().map(|(i, k)| format!("c{i} {}", k.0)).collect();
    let create = format!(
        "CREATE TABLE t (id INT PRIMARY KEY, {}) DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC",
        columns.join(", ")
    );
    let mode = "SET SESSION sql_mode='ALLOW_INVALID_DATES', time_zone='+00:00'";
    conn.query_drop(mode).await.unwrap();
    // Too many long columns do not fit into a row of the server.
    if conn.query_drop(&create).await.is_err() {
        return;
    }
    let config = |mode| server.config(&[("database.include.list", db), ("snapshot.mode", mode)]);
    let mut stream = Harness::new(config("no_data"), &Arc::new(Offsets::default()), 500);
    stream.start().await.unwrap();
    for batch in 0..4 {
        let rows: Vec<String> = (0..5).map(|i| format!("({}{})", batch * 5 + i, values(&mut r, &kinds))).collect();
        let insert = format!("INSERT INTO t VALUES {}", rows.join(","));
        conn.query_drop(&insert).await.unwrap_or_else(|e| panic!("seed {seed}: {e}: {create}: {insert}"));
    }
    for _ in 0..6 {
        let (column, id) = (r.random_range(0..n), r.random_range(0..20));
        let value = (kinds[column].1)(&mut r);
        conn.query_drop(format!("UPDATE t SET c{column}={value} WHERE id={id}")).await.unwrap();
    }
    conn.query_drop("DELETE FROM t WHERE id=7").await.unwrap();
    stream.caught_up(&mut conn).await;
    let logged = images(&stream.stop().await);
    let mut snapshot = Harness::new(config("initial_only"), &Arc::new(Offsets::default()), 500);
    snapshot.start().await.unwrap();
    while !snapshot.poll().await.unwrap() {}
    let selected = images(&snapshot.stop().await);
    assert_eq!(logged.len(), 19, "seed {seed}");
    for (key, row) in &selected {
        let other = &logged[key];
        for (name, value) in row.as_object().unwrap() {
            let kind = name.strip_prefix('c').and_then(|n| n.parse::<usize>().ok()).map_or("", |i| kinds[i].0);
            assert_eq!(other[name], *value, "seed {seed}, {name} {kind}, row {key}: the log and SELECT differ");
        }
    }
}

async fn random_tables(prefix: &str, name: &str, maria: bool) {
    let Some(server) = Server::of(prefix, name).await else { return };
    let variable = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (count, first) = (variable("EF_RANDOM_TABLES").unwrap_or(12), variable("EF_SEED").unwrap_or(1));
    for seed in first..first + count {
        Box::pin(random_table(&server, "ef_random", seed, maria)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_random_tables_are_the_same_from_the_log_and_from_select_on_mysql() {
    let name = "rows_of_random_tables_are_the_same_from_the_log_and_from_select_on_mysql";
    Box::pin(random_tables("EF_MYSQL", name, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_random_tables_are_the_same_from_the_log_and_from_select_on_mariadb() {
    let name = "rows_of_random_tables_are_the_same_from_the_log_and_from_select_on_mariadb";
    Box::pin(random_tables("EF_MARIADB", name, true)).await;
}

/// With `log_bin_compress` every event with enough rows is compressed; statements too.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_events_of_mariadb_are_read() {
    let Some(server) = Server::of("EF_MARIADB", "compressed_events_of_mariadb_are_read").await else { return };
    let mut conn = server.database("ef_packed").await;
    let mut root = server.connect_as("root", "elasticflow").await;
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)").await.unwrap();
    let config = server.config(&[("database.include.list", "ef_packed"), ("snapshot.mode", "no_data")]);
    let mut harness = Harness::new(config, &Arc::new(Offsets::default()), 500);
    harness.start().await.unwrap();
    let default: u32 = root.query_first("SELECT @@GLOBAL.log_bin_compress_min_len").await.unwrap().unwrap();
    root.query_drop("SET GLOBAL log_bin_compress_min_len=10, GLOBAL log_bin_compress=ON").await.unwrap();
    for sql in [
        "INSERT INTO t VALUES (1,REPEAT('a',5000)),(2,REPEAT('b',300))",
        "UPDATE t SET v=REPEAT('c',700)",
        "ALTER TABLE t ADD COLUMN w INT COMMENT 'a comment that is long enough to be compressed, a comment that is long enough'",
        "DELETE FROM t WHERE id=1",
    ] {
        conn.query_drop(sql).await.unwrap();
    }
    root.query_drop(format!("SET GLOBAL log_bin_compress=OFF, GLOBAL log_bin_compress_min_len={default}"))
        .await
        .unwrap();
    harness.caught_up(&mut conn).await;
    let records = harness.stop().await;
    let ops: Vec<String> =
        records.iter().map(|r| datum(&r.record.value)["op"].as_str().unwrap_or("-").to_owned()).collect();
    assert_eq!(ops, ["c", "c", "u", "u", "d", "-"]);
    let rows = images(&records);
    assert_eq!(rows.values().next().unwrap()["v"], "c".repeat(700));
}

//! From snapshot to stream under everything at once: writes, changes of keys, DDL, killed tasks, killed connections.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::{SourceRecord, SourceTask};
use elasticflow_mysql::config::CdcConfig;
use mysql_async::prelude::Queryable;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROWS: u64 = 1500;
/// A writer that waits for a row whose owner waits for a table that is to be altered, which waits for the writer: no server
/// notices, so nobody waits long.
const SOON: &str = "SET SESSION lock_wait_timeout=1, innodb_lock_wait_timeout=1";

/// Tables by `table/key`: what the records leave.
fn replay(records: &[SourceRecord]) -> BTreeMap<String, Json> {
    let mut rows: BTreeMap<String, Json> = BTreeMap::new();
    for record in records {
        let table = record.record.topic.rsplit('.').next().unwrap();
        let (key, value) = (datum(&record.record.key), datum(&record.record.value));
        let name = format!("{table}/{key}");
        if value["op"] == "t" {
            rows.retain(|k, _| !k.starts_with(&format!("{table}/")));
        } else if value.is_null() || value["op"] == "d" {
            rows.remove(&name);
        } else {
            rows.insert(name, json!([value["after"]["name"], value["after"]["v"]]));
        }
    }
    rows
}

fn statement(random: &mut SmallRng, fresh: &mut u64, db: &str) -> String {
    *fresh += 1;
    let (id, n) = (random.random_range(0..ROWS), *fresh);
    match random.random_range(0..16) {
        0..4 => format!("INSERT INTO {db}.t (id, name, v) VALUES ({n},'new',{n})"),
        4 => format!("DELETE FROM {db}.t WHERE id={id}"),
        5 | 6 => format!("UPDATE {db}.t SET id={n} WHERE id={id}"),
        7 => format!("INSERT INTO {db}.s (a, b, name, v) VALUES ('Key {n}',{n},'new',{n})"),
        8 => format!("DELETE FROM {db}.s WHERE a='key {id}'"),
        9 => format!("UPDATE {db}.s SET a=UPPER(a), v=v+1 WHERE a='key {id}'"),
        10 => format!("UPDATE {db}.s SET b=b+100000, name='moved' WHERE a LIKE 'key {id}%'"),
        _ => format!("UPDATE {db}.t SET v=v+1, name='changed {n}' WHERE id BETWEEN {id} AND {id}+3"),
    }
}

/// Writes until told to stop.
async fn write(server: Server, db: String, seed: u64, stop: Arc<AtomicBool>) {
    let mut conn = server.connect().await;
    let fast_until = Instant::now() + Duration::from_secs(10);
    conn.query_drop(SOON).await.unwrap();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut fresh = 1_000_000 + (seed % 1000) * 1_000_000;
    while !stop.load(Ordering::Relaxed) {
        let many = random.random_range(0..4) == 0;
        if many {
            conn.query_drop("BEGIN").await.unwrap();
        }
        for _ in 0..if many { 5 } else { 1 } {
            // Writers may block each other; the one that is rolled back goes on.
            let _ = conn.query_drop(statement(&mut random, &mut fresh, &db)).await;
        }
        if many {
            let end = if random.random_range(0..3) == 0 { "ROLLBACK" } else { "COMMIT" };
            conn.query_drop(end).await.unwrap();
        }
        // A log that is written faster than it is read, as on a machine that has other work too, is never caught up with.
        if Instant::now() > fast_until {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Changes the tables and kills the connector's connections until told to stop.
async fn disturb(server: Server, db: String, seed: u64, stop: Arc<AtomicBool>) {
    let mut root = server.connect_as("root", "elasticflow").await;
    root.query_drop(SOON).await.unwrap();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut n = 0;
    // On a slow machine a snapshot whose connections are killed for ever would not end.
    let kills_until = Instant::now() + Duration::from_secs(5);
    // Nor would one whose tables are altered faster than a chunk of them is read.
    let alters_until = Instant::now() + Duration::from_secs(20);
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let table = if random.random() { "t" } else { "s" };
        let sql = match random.random_range(0..8) {
            0..=2 if Instant::now() > alters_until => "DO 0".to_owned(),
            0 => format!("ALTER TABLE {db}.{table} ADD COLUMN x{n} INT DEFAULT {n} FIRST"),
            1 => format!("ALTER TABLE {db}.{table} MODIFY name VARCHAR({}) CHARACTER SET utf8mb4", 50 + n % 100),
            2 => format!("TRUNCATE TABLE {db}.g"),
            3 => format!("INSERT INTO {db}.g VALUES ({n},'g',{n}),({n}+1000000,'g',0)"),
            4 => "FLUSH BINARY LOGS".to_owned(),
            _ if Instant::now() > kills_until => "DO 0".to_owned(),
            _ => {
                let mine = format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER='{db}'");
                let ids: Vec<u64> = root.query(mine).await.unwrap();
                for id in ids {
                    // It may have gone by itself.
                    let _ = root.query_drop(format!("KILL {id}")).await;
                }
                "DO 0".to_owned()
            }
        };
        // A lock may be in the way.
        let _ = root.query_drop(sql).await;
        let pause = Duration::from_millis(random.random_range(10..120));
        let until = Instant::now() + pause;
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn prepare(server: &Server, db: &str) -> mysql_async::Conn {
    let mut conn = server.database(db).await;
    for sql in [
        "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(40), v INT)",
        "CREATE TABLE s (a VARCHAR(30) COLLATE utf8mb4_general_ci, b INT, name VARCHAR(40), v INT, PRIMARY KEY (a, b)) DEFAULT CHARSET=utf8mb4",
        "CREATE TABLE g (id INT PRIMARY KEY, name VARCHAR(40), v INT)",
    ] {
        conn.query_drop(sql).await.unwrap();
    }
    let rows: Vec<String> = (0..ROWS).map(|i| format!("({i},'row {i}',0)")).collect();
    conn.query_drop(format!("INSERT INTO t VALUES {}", rows.join(","))).await.unwrap();
    let rows: Vec<String> = (0..ROWS).map(|i| format!("('Key {i}',{i},'row {i}',0)")).collect();
    conn.query_drop(format!("INSERT INTO s VALUES {}", rows.join(","))).await.unwrap();
    conn.query_drop("SET SESSION lock_wait_timeout=2").await.unwrap();
    let mut root = server.connect_as("root", "elasticflow").await;
    for sql in [
        format!("DROP USER IF EXISTS {db}@'%'"),
        format!("CREATE USER {db}@'%' IDENTIFIED BY 'elasticflow'"),
        format!("GRANT ALL PRIVILEGES ON *.* TO {db}@'%'"),
    ] {
        root.query_drop(sql).await.unwrap();
    }
    conn
}

/// Polls for a while, then is killed in the middle of whatever it does: only what was committed counts.
async fn killed(harness: &mut Harness, life: Duration) {
    let end = tokio::time::Instant::now() + life;
    let run = async {
        while harness.start().await.is_err() {}
        while harness.poll().await.is_ok() {}
    };
    let _ = tokio::time::timeout_at(end, run).await;
    harness.task.stop().await;
}

/// Every other seed has its rows written as JSON by the task itself, as before a JSON converter.
fn reader(config: CdcConfig, offsets: &Arc<Offsets>, seed: u64) -> Harness {
    let harness = Harness::new(config, offsets, 150);
    if seed.is_multiple_of(2) { harness.directly(false) } else { harness }
}

async fn hand_over(server: &Server, db: &str, seed: u64) {
    let mut conn = prepare(server, db).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut others: Vec<_> =
        (1..3).map(|n| tokio::spawn(write(server.clone(), db.to_owned(), seed * 10 + n, Arc::clone(&stop)))).collect();
    others.push(tokio::spawn(disturb(server.clone(), db.to_owned(), seed, Arc::clone(&stop))));
    let mut own = server.clone();
    own.user = db.to_owned();
    let config =
        own.config(&[("database.include.list", db), ("snapshot.chunk.rows", "40"), ("skipped.operations", "none")]);
    let (offsets, mut all) = (Arc::new(Offsets::default()), Vec::new());
    let mut random = SmallRng::seed_from_u64(seed ^ 0x5eed);
    for _ in 0..random.random_range(1..4) {
        let mut harness = reader(config.clone(), &offsets, seed);
        killed(&mut harness, Duration::from_millis(random.random_range(50..600))).await;
        all.append(&mut harness.records);
    }
    let mut harness = reader(config.clone(), &offsets, seed);
    while harness.start().await.is_err() {}
    let deadline = Instant::now() + Duration::from_secs(180);
    while harness.task.standing().unwrap().snapshot {
        assert!(Instant::now() < deadline, "seed {seed}: the snapshot does not end");
        if let Err(error) = harness.poll().await {
            // A table altered while it is read as a whole, for one: the worker starts the task again.
            assert!(matches!(error.class, elasticflow_api::ErrorClass::Transient { .. }), "seed {seed}: {error}");
            harness.task.stop().await;
            all.append(&mut harness.records);
            harness = reader(config.clone(), &offsets, seed);
            while harness.start().await.is_err() {}
        }
    }
    stop.store(true, Ordering::Relaxed);
    for other in others {
        other.await.unwrap();
    }
    harness.caught_up(&mut conn).await;
    all.append(&mut harness.stop().await);
    let mut table: BTreeMap<String, Json> = BTreeMap::new();
    for name in ["t", "g"] {
        let rows: Vec<(i64, String, i64)> = conn.query(format!("SELECT id, name, v FROM {name}")).await.unwrap();
        table.extend(rows.into_iter().map(|(id, text, v)| (format!("{name}/{}", json!({"id": id})), json!([text, v]))));
    }
    let rows: Vec<(String, i64, String, i64)> = conn.query("SELECT a, b, name, v FROM s").await.unwrap();
    table.extend(rows.into_iter().map(|(a, b, text, v)| (format!("s/{}", json!({"a": a, "b": b})), json!([text, v]))));
    let topic = replay(&all);
    let missing: Vec<_> = table.iter().filter(|(k, v)| topic.get(*k) != Some(v)).take(5).collect();
    let extra: Vec<_> = topic.keys().filter(|k| !table.contains_key(*k)).take(5).collect();
    let first = missing.first().map(|(key, _)| *key).or(extra.first().copied());
    let history = first.map(|key| history(&all, key)).unwrap_or_default();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "seed {seed}: missing or different {missing:?}, extra {extra:?}; the first one's records: {history:#?}"
    );
}

/// What was told of a row, in order: what, from where, in which of all records.
fn history(records: &[SourceRecord], name: &str) -> Vec<String> {
    let mut told = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let table = record.record.topic.rsplit('.').next().unwrap();
        let (key, value) = (datum(&record.record.key), datum(&record.record.value));
        if format!("{table}/{key}") == name {
            let source = &value["source"];
            told.push(format!(
                "{number}: {} {}:{} gtid {} snapshot {}",
                value["op"], source["file"], source["pos"], source["gtid"], source["snapshot"]
            ));
        }
    }
    told
}

async fn hand_overs(prefix: &str, name: &str, db: &str) {
    let Some(server) = Server::of(prefix, name).await else { return };
    let variable = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (count, first) = (variable("EF_HANDOVERS").unwrap_or(5), variable("EF_SEED").unwrap_or(1));
    for seed in first..first + count {
        hand_over(&server, db, seed).await;
        println!("hand-over with seed {seed}: the table and the replayed topic are equal");
    }
    let mut root = server.connect_as("root", "elasticflow").await;
    root.query_drop(format!("DROP USER {db}@'%'")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_of_mysql_under_writes_ddl_and_kills_loses_and_adds_nothing() {
    hand_overs("EF_MYSQL", "a_hand_over_of_mysql_under_writes_ddl_and_kills_loses_and_adds_nothing", "ef_handover")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_of_mariadb_under_writes_ddl_and_kills_loses_and_adds_nothing() {
    hand_overs("EF_MARIADB", "a_hand_over_of_mariadb_under_writes_ddl_and_kills_loses_and_adds_nothing", "ef_handover")
        .await;
}

//! Memory stays where it is, whatever the size of a transaction and the number of tables. Other tests in the same process
//! would be measured too, so these run only when they are asked for: `make memory`.
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::SourceTask;
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most memory that reading may take beside what the process has when it begins.
const MORE_MAX_KIB: u64 = 96 * 1024;

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn asked(variable: &str, test: &str) -> Option<u64> {
    let n = std::env::var(variable).ok().and_then(|n| n.parse().ok());
    if n.is_none() {
        println!("skipped {test}: {variable} is not set (make memory)");
    }
    n
}

/// Polls until so many records have come, and drops them; the most memory on the way, in KiB.
async fn drain(harness: &mut Harness, records: u64) -> u64 {
    let (mut seen, mut most) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(540);
    while seen < records {
        assert!(Instant::now() < deadline, "{seen} of {records} records");
        let batch = harness.task.poll(&harness.cx).await.unwrap();
        seen += u64::try_from(batch.records.len()).unwrap();
        drop(batch);
        most = most.max(resident());
    }
    most
}

async fn large_transaction(server: Server, rows: u64, db: &str) {
    let mut conn = server.database(db).await;
    for sql in [
        "CREATE TABLE n (i INT PRIMARY KEY)",
        "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT, b BIGINT, name VARCHAR(60), note VARCHAR(120))",
    ] {
        conn.query_drop(sql).await.unwrap();
    }
    let numbers: Vec<String> = (0..2000).map(|i| format!("({i})")).collect();
    conn.query_drop(format!("INSERT INTO n VALUES {}", numbers.join(","))).await.unwrap();
    let config = server.config(&[("database.include.list", db), ("snapshot.mode", "no_data")]);
    let mut harness = Harness::new(config, &Arc::new(Offsets::default()), 2048);
    harness.start().await.unwrap();
    harness.quiet().await;
    let sql = format!(
        "INSERT INTO t (a, b, name, note) SELECT x.i, y.i, CONCAT('name of ', x.i), REPEAT('some text ', 10) \
         FROM n x JOIN n y LIMIT {rows}"
    );
    conn.query_drop(sql).await.unwrap();
    let before = resident();
    let most = drain(&mut harness, rows).await;
    harness.stop().await;
    conn.query_drop(format!("DROP DATABASE {db}")).await.unwrap();
    println!("a transaction of {rows} rows: {before} KiB before, {most} KiB at most");
    assert!(most.saturating_sub(before) < MORE_MAX_KIB, "{} KiB more", most - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_many_rows_takes_no_more_memory_than_a_small_one() {
    let name = "a_transaction_of_many_rows_takes_no_more_memory_than_a_small_one";
    let Some(rows) = asked("EF_MEMORY_ROWS", name) else { return };
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        large_transaction(server, rows, "ef_memory").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tables_take_little_memory() {
    let Some(tables) = asked("EF_MEMORY_TABLES", "many_tables_take_little_memory") else { return };
    let Some(server) = Server::of("EF_MYSQL", "many_tables_take_little_memory").await else { return };
    let db = "ef_memory_tables";
    let mut conn = server.database(db).await;
    let columns: Vec<String> = (0..20).map(|c| format!("column_{c} VARCHAR(40) DEFAULT 'value {c}'")).collect();
    for n in 0..tables {
        conn.query_drop(format!("CREATE TABLE t{n} (id INT PRIMARY KEY, {})", columns.join(","))).await.unwrap();
        conn.query_drop(format!("INSERT INTO t{n} (id) VALUES (1)")).await.unwrap();
    }
    let before = resident();
    let config = server.config(&[
        ("database.include.list", db),
        ("include.schema.changes", "true"),
        ("schema.history.internal.store.only.captured.databases.ddl", "true"),
    ]);
    let mut harness = Harness::new(config, &Arc::new(Offsets::default()), 2048);
    harness.start().await.unwrap();
    // The server's settings, three records of the database, two of each table, and its row.
    let most = drain(&mut harness, 4 + 3 * tables).await;
    for n in 0..tables {
        conn.query_drop(format!("UPDATE t{n} SET column_3='changed'")).await.unwrap();
    }
    let most = most.max(drain(&mut harness, tables).await);
    harness.stop().await;
    conn.query_drop(format!("DROP DATABASE {db}")).await.unwrap();
    println!("{tables} tables of 21 columns: {before} KiB before, {most} KiB at most");
    assert!(most.saturating_sub(before) < MORE_MAX_KIB, "{} KiB more", most - before);
}

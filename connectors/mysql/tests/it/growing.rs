//! Tables that grow faster than a snapshot reads them.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::sync::Arc;

/// Rows before the snapshot.
const ROWS: usize = 60;
/// Rows appended at each poll, several times as many as a chunk has.
const GROWTH: usize = 50;
/// Polls in which the snapshot is over, several times as many as it takes.
const POLLS: usize = 300;

/// Appends rows behind all others.
async fn grow(conn: &mut mysql_async::Conn, from: usize, count: usize) -> usize {
    let rows: Vec<String> = (from..from + count).map(|n| format!("('K{n:08}', {n}, {n})")).collect();
    conn.query_drop(format!("INSERT INTO t VALUES {}", rows.join(","))).await.unwrap();
    from + count
}

/// The end that is stored with the snapshot's progress.
fn stored_end(offsets: &Offsets) -> Option<Json> {
    let progress = offsets.field("elasticflow")?;
    let progress: Json = serde_json::from_str(progress.as_str()?).unwrap();
    progress.get("end").cloned()
}

async fn ends_though_rows_are_appended(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    let table =
        "CREATE TABLE t (a VARCHAR(20) COLLATE utf8mb4_general_ci, b INT, n INT, PRIMARY KEY (a, b)) CHARSET=utf8mb4";
    conn.query_drop(table).await.unwrap();
    let mut written = grow(&mut conn, 0, ROWS).await;
    let config = server.config(&[("database.include.list", db), ("snapshot.chunk.rows", "10")]);
    let (offsets, mut all, mut ends) = (Arc::new(Offsets::default()), Vec::new(), Vec::new());
    let mut harness = Harness::new(config.clone(), &offsets, 150);
    harness.start().await.unwrap();
    let mut polls = 0;
    while harness.task.standing().unwrap().snapshot {
        assert!(polls < POLLS, "the snapshot does not end: {:?}", offsets.field("elasticflow"));
        written = grow(&mut conn, written, GROWTH).await;
        harness.poll().await.unwrap();
        polls += 1;
        ends.extend(stored_end(&offsets));
        if ends.len() == 1 {
            // The end holds over a new start.
            all.append(&mut harness.stop().await);
            harness = Harness::new(config.clone(), &offsets, 150);
            harness.start().await.unwrap();
        }
    }
    harness.caught_up(&mut conn).await;
    all.append(&mut harness.stop().await);
    ends.dedup();
    assert_eq!(ends.len(), 1, "{ends:?}");
    let mut seen: Vec<u64> = all.iter().map(|r| datum(&r.record.value)["after"]["n"].as_u64().unwrap()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..written as u64).collect::<Vec<_>>(), "every row came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_mysql_ends_though_the_table_grows_faster_than_it_is_read() {
    let name = "a_snapshot_of_mysql_ends_though_the_table_grows_faster_than_it_is_read";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        ends_though_rows_are_appended(server, "ef_growing").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_mariadb_ends_though_the_table_grows_faster_than_it_is_read() {
    let name = "a_snapshot_of_mariadb_ends_though_the_table_grows_faster_than_it_is_read";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        ends_though_rows_are_appended(server, "ef_growing").await;
    }
}

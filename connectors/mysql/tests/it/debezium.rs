//! A connector of Debezium is taken over: its configuration as it is documented, and the offsets that it stores.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use mysql_async::Row;
use mysql_async::prelude::Queryable;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Settings as the documentation of Debezium has them, besides how the server is reached.
const DOCUMENTED: &[(&str, &str)] = &[
    ("connector.class", "io.debezium.connector.mysql.MySqlConnector"),
    ("tasks.max", "1"),
    ("database.server.id", "184054"),
    ("topic.prefix", "shop"),
    ("schema.history.internal.kafka.bootstrap.servers", "kafka:9092"),
    ("schema.history.internal.kafka.topic", "schemahistory.shop"),
    ("schema.history.internal.store.only.captured.databases.ddl", "true"),
    ("include.schema.changes", "true"),
];

/// An event of the log as `SHOW BINLOG EVENTS` tells it.
struct Shown {
    pos: u64,
    kind: String,
    end: u64,
    info: String,
}

/// What an offset of Debezium needs to know of the transaction that wrote to a table first.
struct Transaction {
    file: String,
    /// `pos` of the offset while it is read.
    pos: u64,
    /// Place after the transaction before it.
    before: u64,
    /// `gtids` of the offset: what was executed before.
    gtids: String,
}

async fn transaction(conn: &mut mysql_async::Conn, table: &str) -> Transaction {
    let mut row: Row = conn.query_first("SHOW MASTER STATUS").await.unwrap().unwrap();
    let file: String = row.take(0).unwrap();
    let rows: Vec<Row> = conn.query(format!("SHOW BINLOG EVENTS IN '{file}'")).await.unwrap();
    let shown = |mut row: Row| Shown {
        pos: row.take(1).unwrap(),
        kind: row.take(2).unwrap(),
        end: row.take(4).unwrap(),
        info: row.take(5).unwrap(),
    };
    let all: Vec<Shown> = rows.into_iter().map(shown).collect();
    let first = all.iter().position(|e| e.kind == "Table_map" && e.info.contains(table)).unwrap();
    let announced = all[..first].iter().rposition(|e| e.kind.starts_with("Gtid")).unwrap();
    let (gtid, next) = (&all[announced], &all[announced + 1]);
    assert_eq!(gtid.end, next.pos);
    if let Some(id) = gtid.info.strip_prefix("BEGIN GTID ") {
        // MariaDB: domain, server, number.
        let (server, n) = id.split_whitespace().next().unwrap().rsplit_once('-').unwrap();
        let (domain, n) = (server.split_once('-').unwrap().0, n.parse::<u64>().unwrap());
        // Every other domain as it is.
        let all: String = conn.query_first("SELECT @@gtid_binlog_pos").await.unwrap().unwrap();
        let others = all.split(',').filter(|g| !g.starts_with(&format!("{domain}-"))).map(str::to_owned);
        let all: Vec<String> = others.chain([format!("{server}-{}", n - 1)]).collect();
        return Transaction { file, pos: gtid.pos, before: gtid.pos, gtids: all.join(",") };
    }
    let id = gtid.info.split('\'').nth(1).unwrap();
    let (server, n) = id.split_once(':').unwrap();
    let n: u64 = n.parse().unwrap();
    Transaction { file, pos: next.pos, before: gtid.pos, gtids: format!("{server}:1-{}", n - 1) }
}

async fn ids_after(server: &Server, db: &str, offset: Json) -> Vec<i64> {
    let mut settings = DOCUMENTED.to_vec();
    settings.push(("database.include.list", db));
    let mut conn = server.connect().await;
    let mut harness = Harness::new(server.config(&settings), &Offsets::of("shop", offset), 100);
    harness.start().await.unwrap();
    harness.caught_up(&mut conn).await;
    let records = harness.stop().await;
    let of_table = records.iter().filter(|r| *r.record.topic == format!("shop.{db}.t"));
    of_table.map(|r| datum(&r.record.key)["id"].as_i64().unwrap()).collect()
}

async fn goes_on(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    for sql in [
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "BEGIN",
        "INSERT INTO t VALUES (1),(2),(3)",
        "INSERT INTO t VALUES (4),(5)",
        "COMMIT",
        "INSERT INTO t VALUES (6)",
    ] {
        conn.query_drop(sql).await.unwrap();
    }
    let mut root = server.connect_as("root", "elasticflow").await;
    let tx = transaction(&mut root, &format!("{db}.t")).await;
    for by_gtid in [true, false] {
        let offset = |pos: u64, more: Json| {
            let mut offset = json!({"ts_sec": 1_700_000_000, "file": tx.file, "pos": pos, "server_id": 1});
            if by_gtid {
                offset["gtids"] = json!(tx.gtids);
            }
            offset.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            offset
        };
        // The beginning counts as one event, the table map as another: the rows are those of the third.
        for (more, expected) in [
            (json!({"event": 2, "row": 2}), vec![3, 4, 5, 6]),
            (json!({"event": 2, "row": 3}), vec![4, 5, 6]),
            (json!({"event": 4, "row": 1}), vec![5, 6]),
            (json!({"event": 4, "row": 2, "transaction_id": null}), vec![6]),
        ] {
            let found = ids_after(&server, db, offset(tx.pos, more.clone())).await;
            assert_eq!(found, expected, "by GTIDs: {by_gtid}, {more}");
        }
        // As it is after a snapshot: between transactions.
        assert_eq!(ids_after(&server, db, offset(tx.before, json!({}))).await, [1, 2, 3, 4, 5, 6]);
    }
    // A snapshot that was not finished begins anew.
    let unfinished = json!({"ts_sec": 1, "file": tx.file, "pos": tx.before, "gtids": tx.gtids, "snapshot": "INITIAL"});
    assert_eq!(ids_of_snapshot(&server, db, unfinished).await, [1, 2, 3, 4, 5, 6]);
}

async fn ids_of_snapshot(server: &Server, db: &str, offset: Json) -> Vec<i64> {
    let mut settings = DOCUMENTED.to_vec();
    settings.extend([("database.include.list", db), ("include.schema.changes", "false")]);
    let offsets = Offsets::of("shop", offset);
    let mut harness = Harness::new(server.config(&settings), &Arc::clone(&offsets), 100);
    harness.start().await.unwrap();
    harness.until(6).await;
    harness.quiet().await;
    let records = harness.stop().await;
    assert!(records.iter().all(|r| datum(&r.record.value)["op"] == "r"));
    records.iter().map(|r| datum(&r.record.key)["id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_of_debezium_goes_on_from_its_stored_offset_on_mysql() {
    let name = "a_connector_of_debezium_goes_on_from_its_stored_offset_on_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        goes_on(server, "ef_debezium").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_of_debezium_goes_on_from_its_stored_offset_on_mariadb() {
    let name = "a_connector_of_debezium_goes_on_from_its_stored_offset_on_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        goes_on(server, "ef_debezium").await;
    }
}

//! Transactions of chosen sources alone, on a server and on the one that takes its place without having the others.
use crate::private::Private;
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::sync::Arc;

const MAIN: &str = "aaaaaaaa-0000-11f0-9e33-c80aa9429562";
const OTHER: &str = "bbbbbbbb-0000-11f0-9e33-c80aa9429562";
const THIRD: &str = "cccccccc-0000-11f0-9e33-c80aa9429562";

async fn run(conn: &mut Conn, statements: &[String]) {
    for sql in statements {
        conn.query_drop(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

/// A statement under an id that another server is said to have given.
type Under = fn(&str, u64, &str) -> Vec<String>;

fn mysql(source: &str, number: u64, sql: &str) -> Vec<String> {
    vec![format!("SET GTID_NEXT='{source}:{number}'"), sql.to_owned(), "SET GTID_NEXT='AUTOMATIC'".to_owned()]
}

/// The source is a domain, and its server has ten times its number.
fn maria(source: &str, number: u64, sql: &str) -> Vec<String> {
    let server = format!("{source}0");
    let set = [("gtid_domain_id", source), ("server_id", &server), ("gtid_seq_no", &number.to_string())];
    let each = set.iter().map(|(variable, value)| format!("SET {variable}={value}"));
    each.chain([sql.to_owned()]).collect()
}

async fn insert(conn: &mut Conn, under: Under, (source, number): (&str, u64), id: i64) {
    run(conn, &under(source, number, &format!("INSERT INTO ef_src.t VALUES ({id})"))).await;
}

fn ids(harness: &Harness) -> Vec<i64> {
    harness.records.iter().map(|record| datum(&record.record.key)["id"].as_i64().unwrap()).collect()
}

fn captures(server: &Server, filter: &[(&str, &str)]) -> elasticflow_mysql::config::CdcConfig {
    let mut keys = vec![("database.include.list", "ef_src"), ("snapshot.mode", "no_data")];
    keys.extend(filter);
    server.config(&keys)
}

async fn started(server: &Server, filter: &[(&str, &str)], offsets: &Arc<Offsets>) -> elasticflow_api::Result<Harness> {
    let mut harness = Harness::new(captures(server, filter), offsets, 7);
    harness.start().await.map(|()| harness)
}

/// Two servers that have the transactions of `main` in common, and nothing else.
async fn chosen_alone(shared: &Server, service: &'static str, under: Under, [main, other, third]: [&str; 3]) {
    let (first, second) = (Private::start(service, "--server-id=201"), Private::start(service, "--server-id=202"));
    let (one, two) = (first.server(shared), second.server(shared));
    let (mut a, mut b) = (one.connect_as("root", "elasticflow").await, two.connect_as("root", "elasticflow").await);
    for conn in [&mut a, &mut b] {
        run(conn, &under(main, 1, "CREATE DATABASE ef_src")).await;
        run(conn, &under(main, 2, "CREATE TABLE ef_src.t (id BIGINT PRIMARY KEY)")).await;
    }
    let filter = [("gtid.source.includes", main)];
    let offsets = Arc::new(Offsets::default());
    let mut harness = started(&one, &filter, &offsets).await.unwrap();
    for (source, number, id) in [(main, 3, 1), (other, 1, 100), (main, 4, 2), (other, 2, 101), (main, 5, 3)] {
        insert(&mut a, under, (source, number), id).await;
    }
    harness.caught_up(&mut a).await;
    harness.quiet().await;
    assert_eq!(ids(&harness), [1, 2, 3], "the rows of another source are sent");
    harness.stop().await;

    // The other server has the same transactions of the main source, more of it, and purged ones of a third source.
    for (source, number, id) in [(third, 1, 200), (main, 3, 1), (main, 4, 2), (main, 5, 3)] {
        insert(&mut b, under, (source, number), id).await;
    }
    b.query_drop("FLUSH BINARY LOGS").await.unwrap();
    let logs: Vec<mysql_async::Row> = b.query("SHOW BINARY LOGS").await.unwrap();
    let last: String = mysql_async::from_value(logs.last().unwrap()[0].clone());
    b.query_drop(format!("PURGE BINARY LOGS TO '{last}'")).await.unwrap();
    insert(&mut b, under, (third, 2), 201).await;
    insert(&mut b, under, (main, 6), 4).await;
    let unfiltered = started(&two, &[], &offsets.copy()).await.map(drop).unwrap_err();
    assert!(["MYSQL-0110", "MYSQL-0111"].contains(&unfiltered.code), "{unfiltered}");
    let mut harness = started(&two, &filter, &offsets.copy()).await.unwrap();
    harness.caught_up(&mut b).await;
    harness.quiet().await;
    assert_eq!(ids(&harness), [4]);
    harness.stop().await;

    // Left out of the position alone, they are read as far as the server has them.
    let unread = [filter[0], ("gtid.source.filter.dml.events", "false")];
    let mut harness = started(&two, &unread, &offsets.copy()).await.unwrap();
    harness.caught_up(&mut b).await;
    harness.quiet().await;
    assert_eq!(ids(&harness), if service == "mysql" { vec![201, 4] } else { vec![4] });
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_chosen_servers_alone_are_read_and_the_others_stop_no_failover_on_mysql() {
    let name = "transactions_of_chosen_servers_alone_are_read_and_the_others_stop_no_failover_on_mysql";
    if let Some(shared) = Server::of("EF_MYSQL", name).await {
        Box::pin(chosen_alone(&shared, "mysql", mysql, [MAIN, OTHER, THIRD])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_chosen_domains_alone_are_read_and_the_others_stop_no_failover_on_mariadb() {
    let name = "transactions_of_chosen_domains_alone_are_read_and_the_others_stop_no_failover_on_mariadb";
    if let Some(shared) = Server::of("EF_MARIADB", name).await {
        Box::pin(chosen_alone(&shared, "mariadb", maria, ["5", "6", "7"])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_transaction_that_was_sent_in_part_is_behind() {
    let name = "a_server_without_the_transaction_that_was_sent_in_part_is_behind";
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    let mut conn = server.connect().await;
    let executed: String = conn.query_first("SELECT @@GLOBAL.gtid_executed").await.unwrap().unwrap();
    let mut row: mysql_async::Row = conn.query_first("SHOW MASTER STATUS").await.unwrap().unwrap();
    let (file, pos): (String, u64) = (row.take(0).unwrap(), row.take(1).unwrap());
    let stored = |open: &str| {
        let offset = serde_json::json!({
            "ts_sec": 1, "file": file, "pos": pos, "gtids": executed.replace('\n', ""), "event": 3, "row": 1,
            "elasticflow_gtid": open,
        });
        Offsets::of("srv", offset)
    };
    let lost = started(&server, &[], &stored(&format!("{MAIN}:7"))).await.map(drop).unwrap_err();
    assert_eq!(lost.code, "MYSQL-0111", "{lost}");
    assert!(lost.message.contains(&format!("{MAIN}:7")), "{lost}");
    // One whose source is captured no more is not waited for.
    let without = [("gtid.source.excludes", MAIN)];
    started(&server, &without, &stored(&format!("{MAIN}:7"))).await.unwrap().stop().await;
}

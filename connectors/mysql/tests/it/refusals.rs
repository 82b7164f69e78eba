//! What is wrong is said at once, in words that tell what to do.
use crate::support::{Harness, Offsets, Server, SystemClock};
use elasticflow_api::ErrorClass;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::error::ConnectorError;
use elasticflow_api::source::{SourceConnector, SourceTask};
use elasticflow_config::ValidationReport;
use elasticflow_mysql::config::CdcConfig;
use elasticflow_mysql::connector::MySqlConnector;
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use std::time::Instant;

async fn validate(config: &CdcConfig) -> ValidationReport {
    let cx = ConnectorContext { clock: Arc::new(SystemClock::new()), replan: Arc::new(|| ()) };
    SourceConnector::validate(&MySqlConnector, config, &cx).await
}

/// Starts a task and polls until it fails.
async fn failure(config: CdcConfig, offsets: &Arc<Offsets>) -> ConnectorError {
    let mut harness = Harness::new(config, offsets, 100);
    if let Err(error) = harness.start().await {
        return error;
    }
    let deadline = Instant::now() + std::time::Duration::from_secs(20);
    loop {
        assert!(Instant::now() < deadline, "the task does not fail");
        if let Err(error) = harness.task.poll(&harness.cx).await {
            return error;
        }
    }
}

fn text(report: &ValidationReport, key: &str) -> String {
    report.errors.get(key).map(|all| all.join("\n")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_an_error_of_the_configuration() {
    let Some(mut server) = Server::of("EF_MYSQL", "a_wrong_password_is_an_error_of_the_configuration").await else {
        return;
    };
    server.password = "wrong-hunter2".to_owned();
    let config = server.config(&[]);
    let report = validate(&config).await;
    let said = text(&report, "database.user");
    assert!(said.contains("database.password"), "{report:?}");
    assert!(!said.contains("hunter2"));
    let error = failure(config, &Arc::default()).await;
    assert_eq!((error.class, error.code), (ErrorClass::Config, "MYSQL-0102"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_tried_again() {
    let Some(mut server) = Server::of("EF_MYSQL", "a_server_that_is_not_there_is_tried_again").await else { return };
    server.port = 1;
    let error = failure(server.config(&[]), &Arc::default()).await;
    assert_eq!((error.class, error.code), (ErrorClass::Transient { retry_after: None }, "MYSQL-0101"));
    assert!(error.message.contains("127.0.0.1:1"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_server_and_user_is_reported_at_once_with_its_statement() {
    let name = "every_problem_of_server_and_user_is_reported_at_once_with_its_statement";
    let Some(mut server) = Server::of("EF_MYSQL", name).await else { return };
    let mut root = server.connect_as("root", "elasticflow").await;
    root.query_drop("CREATE USER IF NOT EXISTS weak@'%' IDENTIFIED BY 'weak'").await.unwrap();
    root.query_drop("GRANT SELECT ON *.* TO weak@'%'").await.unwrap();
    root.query_drop("SET GLOBAL binlog_format=MIXED, GLOBAL binlog_row_image=MINIMAL").await.unwrap();
    let own: u32 = root.query_first("SELECT @@server_id").await.unwrap().unwrap();
    (server.user, server.password) = ("weak".to_owned(), "weak".to_owned());
    let mut config = server.config(&[
        ("database.server.id", &own.to_string()),
        ("converters", "x"),
        ("table.include.list", "no\\.t"),
    ]);
    let report = validate(&config).await;
    config.converters = None;
    let started = failure(config, &Arc::default()).await;
    root.query_drop("SET GLOBAL binlog_format=ROW, GLOBAL binlog_row_image=FULL").await.unwrap();
    root.query_drop("DROP USER weak@'%'").await.unwrap();
    for (key, words) in [
        ("database.hostname", "SET GLOBAL binlog_format=ROW"),
        ("database.hostname", "SET GLOBAL binlog_row_image=FULL"),
        ("database.user", "GRANT REPLICATION SLAVE ON *.* TO 'weak'@'%'"),
        ("database.user", "GRANT REPLICATION CLIENT ON *.* TO 'weak'@'%'"),
        ("database.server.id", "the id of the server itself"),
        ("x.type", "must be set: converters names x"),
    ] {
        assert!(text(&report, key).contains(words), "{key}: {words} not in {report:?}");
    }
    assert!(report.warnings["table.include.list"][0].contains("no table"));
    assert_eq!((started.class, started.code), (ErrorClass::Config, "MYSQL-0108"));
    assert!(started.message.contains("binlog_format is MIXED, must be ROW"), "{}", started.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_configuration_has_no_error() {
    let Some(server) = Server::of("EF_MYSQL", "a_good_configuration_has_no_error").await else { return };
    let report = validate(&server.config(&[])).await;
    assert!(report.is_ok(), "{report:?}");
}

async fn stored_position(server: &Server, db: &str, offsets: &Arc<Offsets>) -> mysql_async::Conn {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT)").await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (1,1,1)").await.unwrap();
    let mut harness = Harness::new(server.config(&[("database.include.list", db)]), offsets, 100);
    harness.start().await.unwrap();
    harness.until(1).await;
    harness.stop().await;
    conn
}

async fn purge(conn: &mut mysql_async::Conn) {
    for n in 2..4 {
        conn.query_drop(format!("INSERT INTO t VALUES ({n},1,1)")).await.unwrap();
        conn.query_drop("FLUSH BINARY LOGS").await.unwrap();
    }
    let mut row: mysql_async::Row = conn.query_first("SHOW MASTER STATUS").await.unwrap().unwrap();
    let file: String = row.take(0).unwrap();
    // MariaDB keeps files until the engine has written what is in them.
    let deadline = Instant::now() + std::time::Duration::from_secs(20);
    loop {
        conn.query_drop(format!("PURGE BINARY LOGS TO '{file}'")).await.unwrap();
        let mut oldest: mysql_async::Row = conn.query_first("SHOW BINARY LOGS").await.unwrap().unwrap();
        if oldest.take::<String, _>(0).unwrap() == file {
            return;
        }
        assert!(Instant::now() < deadline, "the log files are not purged");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn a_purged_position(server: Server, db: &str) {
    let offsets = Arc::new(Offsets::default());
    stored_position(&server, db, &offsets).await;
    let mut root = server.connect_as("root", "elasticflow").await;
    root.query_drop(format!("USE {db}")).await.unwrap();
    purge(&mut root).await;
    let error = failure(server.config(&[("database.include.list", db)]), &offsets).await;
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "MYSQL-0110"), "{error}");
    assert!(error.message.contains("snapshot.mode=when_needed"), "{}", error.message);

    let config = server.config(&[("database.include.list", db), ("snapshot.mode", "when_needed")]);
    let mut harness = Harness::new(config, &offsets, 100);
    harness.start().await.unwrap();
    harness.until(3).await;
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_position_of_mysql_says_what_to_do() {
    if let Some(server) = Server::of("EF_MYSQL", "a_purged_position_of_mysql_says_what_to_do").await {
        Box::pin(a_purged_position(server, "ef_purged")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_position_of_mariadb_says_what_to_do() {
    if let Some(server) = Server::of("EF_MARIADB", "a_purged_position_of_mariadb_says_what_to_do").await {
        Box::pin(a_purged_position(server, "ef_purged")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_another_server_is_not_jumped_over() {
    let Some(server) = Server::of("EF_MYSQL", "a_position_of_another_server_is_not_jumped_over").await else { return };
    let offsets = Arc::new(Offsets::default());
    stored_position(&server, "ef_other", &offsets).await;
    offsets.change("gtids", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5");
    let error = failure(server.config(&[]), &offsets).await;
    assert_eq!(error.class, ErrorClass::Definite, "{error}");
}

async fn stops_at(name: &str, setting: &str, statement: &str, code: &str, words: &str) {
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    let offsets = Arc::new(Offsets::default());
    stored_position(&server, "ef_stop", &offsets).await;
    let mut root = server.connect_as("root", "elasticflow").await;
    root.query_drop("USE ef_stop").await.unwrap();
    root.query_drop(format!("SET SESSION {setting}")).await.unwrap();
    root.query_drop(statement).await.unwrap();
    let error = failure(server.config(&[("database.include.list", "ef_stop")]), &offsets).await;
    assert_eq!((error.class, error.code), (ErrorClass::Definite, code), "{error}");
    assert!(error.message.contains(words), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_logged_by_a_session_stops_the_task() {
    let name = "a_statement_logged_by_a_session_stops_the_task";
    stops_at(name, "binlog_format=STATEMENT", "UPDATE t SET v=2", "MYSQL-0126", "binlog_format must be ROW").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_image_written_by_a_session_stops_the_task() {
    let name = "a_partial_image_written_by_a_session_stops_the_task";
    stops_at(name, "binlog_row_image=MINIMAL", "UPDATE t SET v=2", "MYSQL-0128", "SET GLOBAL binlog_row_image=FULL")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_offset_is_no_absent_one() {
    let Some(server) = Server::of("EF_MYSQL", "an_unreadable_offset_is_no_absent_one").await else { return };
    let offsets = Arc::new(Offsets::default());
    stored_position(&server, "ef_unreadable", &offsets).await;
    offsets.change("gtids", "what is this:");
    let error = failure(server.config(&[]), &offsets).await;
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "MYSQL-0114"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dump_is_read_on_by_the_task_itself() {
    let Some(server) = Server::of("EF_MYSQL", "a_killed_dump_is_read_on_by_the_task_itself").await else { return };
    let offsets = Arc::new(Offsets::default());
    stored_position(&server, "ef_killed", &offsets).await;
    let config = server.config(&[("database.include.list", "ef_killed")]);
    let mut harness = Harness::new(config, &offsets, 100);
    harness.start().await.unwrap();
    harness.poll().await.unwrap();
    let mut root = server.connect_as("root", "elasticflow").await;
    let dumps: Vec<u64> =
        root.query("SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'").await.unwrap();
    for id in dumps {
        // Another test's dump may have ended meanwhile.
        let _ = root.query_drop(format!("KILL {id}")).await;
    }
    let mut conn = server.connect().await;
    conn.query_drop("INSERT INTO ef_killed.t VALUES (70,1,1)").await.unwrap();
    harness.until(1).await;
    harness.quiet().await;
    assert_eq!(harness.stop().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_used_when_required_and_a_foreign_certificate_is_refused() {
    let name = "tls_is_used_when_required_and_a_foreign_certificate_is_refused";
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    let required = validate(&server.config(&[("database.ssl.mode", "required")])).await;
    assert!(required.is_ok(), "{required:?}");
    let checked = validate(&server.config(&[("database.ssl.mode", "verify_identity")])).await;
    assert!(text(&checked, "database.hostname").contains("ertificate"), "{checked:?}");
}

//! What the task tells of itself.
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::{Report, SourceTask};
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn value(report: &Report, name: &str, label: Option<&str>) -> Option<f64> {
    let is_it = |l: &Option<(&str, String)>| l.as_ref().map(|(_, value)| value.as_str()) == label;
    report.figures.iter().find(|f| f.name == name && is_it(&f.label)).map(|f| f.value)
}

/// Polls until the report says something.
async fn until(harness: &mut Harness, what: &str, says: impl Fn(&Report) -> bool) -> Report {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        harness.poll().await.unwrap();
        let report = harness.task.report().unwrap();
        if says(&report) {
            return report;
        }
        assert!(Instant::now() < deadline, "not {what} after 60 s: {report:?}");
    }
}

async fn tells(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    for table in ["a", "b"] {
        conn.query_drop(format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, v INT)")).await.unwrap();
        let rows: Vec<String> = (0..2000).map(|i| format!("({i},0)")).collect();
        conn.query_drop(format!("INSERT INTO {table} VALUES {}", rows.join(","))).await.unwrap();
    }
    let rate = ("snapshot.max.rows.per.second", "1000");
    let config = server.config(&[("database.include.list", db), ("snapshot.chunk.rows", "500"), rate]);
    let mut harness = Harness::new(config, &Arc::new(Offsets::default()), 500);
    harness.start().await.unwrap();
    let report = until(&mut harness, "at the second table", |r| r.words.contains("table 2 of 2")).await;
    assert_eq!(report.phase, "initial snapshot");
    assert!(report.words.contains(&format!("{db}.b ")) && report.words.contains(" left"), "{}", report.words);
    let rows_of = |table: &str| value(&report, "elasticflow_cdc_snapshot_rows_scanned", Some(&format!("{db}.{table}")));
    assert_eq!(rows_of("a"), Some(2000.0));
    assert!(rows_of("b") < Some(2000.0));
    for (name, expected) in [
        ("elasticflow_cdc_snapshot_running", 1.0),
        ("elasticflow_cdc_snapshot_completed", 0.0),
        ("elasticflow_cdc_snapshot_tables", 2.0),
        ("elasticflow_cdc_snapshot_tables_remaining", 1.0),
    ] {
        assert_eq!(value(&report, name, None), Some(expected), "{name}");
    }
    until(&mut harness, "streaming", |r| r.phase == "streaming").await;
    for sql in ["INSERT INTO a VALUES (5000,1),(5001,1)", "UPDATE a SET v=2 WHERE id<3", "DELETE FROM b WHERE id=0"] {
        conn.query_drop(sql).await.unwrap();
    }
    let deletes = |r: &Report| value(r, "elasticflow_cdc_events_total", Some("d")) == Some(1.0);
    let report = until(&mut harness, "at the deletion", deletes).await;
    assert_eq!(value(&report, "elasticflow_cdc_events_total", Some("c")), Some(2.0));
    assert_eq!(value(&report, "elasticflow_cdc_events_total", Some("u")), Some(3.0));
    assert_eq!(value(&report, "elasticflow_cdc_snapshot_completed", None), Some(1.0));
    assert!(value(&report, "elasticflow_cdc_ms_behind_source", None).is_some());
    assert!(report.words.starts_with("streaming: the log is read up to "), "{}", report.words);
    harness.stop().await;
    conn.query_drop(format!("DROP DATABASE {db}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_tells_how_far_snapshot_and_stream_are_on_mysql() {
    let Some(server) = Server::of("EF_MYSQL", "the_report_tells_how_far_on_mysql").await else { return };
    tells(server, "ef_report").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_tells_how_far_snapshot_and_stream_are_on_mariadb() {
    let Some(server) = Server::of("EF_MARIADB", "the_report_tells_how_far_on_mariadb").await else { return };
    tells(server, "ef_report").await;
}

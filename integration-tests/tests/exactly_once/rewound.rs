//! Offsets that are reset really write everything again: no stored offset and no newer version hides the second time.
use crate::indexed::{Indexed, indexed};
use elasticflow_integration_tests::scenes::one_sink::{SETTLE_MAX, Scene};
use elasticflow_integration_tests::servers::setting;
use serde_json::json;
use std::time::{Duration, Instant};

const NAME: &str = "rewound";
const RECORDS: [(&str, &str); 3] =
    [("1", r#"{"id":1,"n":1}"#), ("2", r#"{"id":2,"n":2}"#), ("1", r#"{"id":1,"n":11}"#)];

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_written_again_over_what_somebody_else_has_put_there() {
    let Some(Indexed { search, scene, index, dir: _dir, .. }) = indexed(NAME, "the rewind of an index").await else {
        return;
    };
    scene.send(&RECORDS).await.unwrap();
    scene.await_offset(3).await.unwrap();
    // Versions above every offset of the topic: without raised epochs the rewrite would change nothing, in silence.
    let spoilt = format!("/{index}/_doc/1?version=5000&version_type=external&refresh=true");
    search.call("PUT", &spoilt, Some(&json!({"id": 1, "n": -1}))).await.unwrap();
    scene.reset().await.unwrap();
    let began = Instant::now();
    loop {
        search.refresh(&index).await.unwrap();
        let documents = search.all(&index, "id").await.unwrap();
        let numbers: Vec<_> = documents.iter().map(|(id, d)| (id.as_str(), d["n"].as_i64().unwrap())).collect();
        if numbers == [("1", 11), ("2", 2)] {
            break;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{numbers:?}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    search.call("DELETE", &format!("/{index}"), None).await.unwrap();
    assert!(scene.worker.stop().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_written_again_as_often_as_its_offsets_are_reset() {
    let Ok(bootstrap) = setting("EF_KAFKA") else {
        return println!("skipped: the rewind of a table needs EF_KAFKA");
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.db");
    let table = rusqlite::Connection::open(&file).unwrap();
    table.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT").unwrap();
    let own = json!({
        "connector.class": "elasticflow.connectors.SqliteSinkConnector", "connection.url": file,
        "table.name.format": "t", "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id",
    });
    let scene = Scene::start(dir.path(), &bootstrap, NAME, own).await.unwrap();
    scene.send(&RECORDS).await.unwrap();
    scene.await_offset(3).await.unwrap();
    let rows = || -> Vec<(i64, i64)> {
        let mut query = table.prepare("SELECT id, n FROM t ORDER BY id").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for round in 0..2 {
        table.execute_batch("DELETE FROM t").unwrap();
        scene.reset().await.unwrap();
        let began = Instant::now();
        while rows() != [(1, 11), (2, 2)] {
            assert!(began.elapsed() < SETTLE_MAX, "round {round}: {:?}\n{}", rows(), scene.worker.log_tail());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(scene.worker.stop().await.unwrap());
}

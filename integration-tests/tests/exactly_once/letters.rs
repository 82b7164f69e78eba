//! Dead letters: shown with their reasons, put again after a mend, exactly once and never over something newer.
use crate::indexed::{Indexed, indexed, numbers};
use anyhow::{Context, Result, ensure};
use elasticflow_integration_tests::scenes::one_sink::{SETTLE_MAX, Scene};
use elasticflow_integration_tests::servers::setting;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const NAME: &str = "letters";

async fn letters(scene: &Scene, query: &str) -> Result<Vec<Value>> {
    let path = format!("/flow/v1/connectors/{NAME}/errors?{query}");
    let answer = scene.worker.rest().expect("GET", &path, None).await?;
    Ok(answer["errors"].as_array().cloned().unwrap_or_default())
}

async fn await_letters(scene: &Scene, query: &str, count: usize) -> Result<Vec<Value>> {
    let began = Instant::now();
    loop {
        let letters = letters(scene, query).await?;
        if letters.len() == count {
            return Ok(letters);
        }
        ensure!(began.elapsed() < SETTLE_MAX, "{query}: {letters:?}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn post(scene: &Scene, verb: &str, body: &Value) -> Result<Value> {
    scene.worker.rest().expect("POST", &format!("/flow/v1/connectors/{NAME}/errors/{verb}"), Some(body)).await
}

fn id(letter: &Value) -> &str {
    letter["id"].as_str().unwrap_or_default()
}

/// One record that is no JSON, and one whose `n` is no number.
const BAD: [(&str, &str); 3] = [("1", r#"{"id":1,"n":1}"#), ("2", "{"), ("3", r#"{"id":3,"n":"text"}"#)];

/// What both destinations have in common: two letters with their reasons.
async fn two_letters(scene: &Scene) -> Result<(Value, Value)> {
    scene.send(&BAD).await?;
    let found = await_letters(scene, "state=open", 2).await?;
    let (unread, refused) = (found[0].clone(), found[1].clone());
    assert_eq!(
        (&unread["stage"], &unread["kind"], &unread["offset"]),
        (&json!("VALUE_CONVERTER"), &json!("conversion"), &json!(1))
    );
    assert_eq!(
        (&refused["stage"], &refused["field"], &refused["offset"]),
        (&json!("TASK_PUT"), &json!("n"), &json!(2))
    );
    assert_eq!((&refused["kind"], &refused["topic"]), (&json!("conversion"), &json!(scene.topic)));
    assert_eq!(refused["contents"]["value"], json!({"id": 3, "n": "text"}), "the worker listens on loopback");
    assert!(!refused["reason"].as_str().context("a reason")?.contains("text"), "{refused}");
    let page = scene.worker.rest().expect("GET", &format!("/flow/v1/connectors/{NAME}/errors?limit=1"), None).await?;
    let next = page["next"].as_str().context("a cursor")?;
    assert_eq!(id(&letters(scene, &format!("cursor={next}")).await?[0]), id(&refused));
    Ok((unread, refused))
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_an_index_are_put_again_once_and_never_over_a_newer_document() {
    let Some(Indexed { search, scene, index, dir: _dir, .. }) = indexed(NAME, "dead letters of an index").await else {
        return;
    };
    search.call("PUT", &format!("/{index}"), Some(&numbers())).await.unwrap();
    let (unread, refused) = two_letters(&scene).await.unwrap();
    scene.send(&[("3", r#"{"id":3,"n":33}"#), ("4", r#"{"id":4,"n":"x"}"#)]).await.unwrap();
    let third = await_letters(&scene, "state=open", 3).await.unwrap()[2].clone();

    let mended = post(&scene, "replay", &json!({"ids": [id(&unread)], "patch": {"id": 2, "n": 2}})).await.unwrap();
    assert_eq!(mended["done"], json!([id(&unread)]));
    post(&scene, "replay", &json!({"ids": [id(&refused)], "patch": {"n": 3}})).await.unwrap();
    post(&scene, "replay", &json!({"ids": [id(&third)]})).await.unwrap();
    let replayed = await_letters(&scene, "state=replayed", 1).await.unwrap();
    assert_eq!(id(&replayed[0]), id(&unread));
    assert_eq!(id(&await_letters(&scene, "state=superseded", 1).await.unwrap()[0]), id(&refused));
    assert_eq!(id(&await_letters(&scene, "state=failed_again", 1).await.unwrap()[0]), id(&third));

    let open = await_letters(&scene, "state=open", 1).await.unwrap();
    assert_eq!((&open[0]["replay_of"], &open[0]["offset"]), (&json!(id(&third)), &json!(4)));
    let again = post(&scene, "replay", &json!({"ids": [id(&unread), id(&refused)]})).await.unwrap();
    assert_eq!((again["done"].clone(), again["skipped"].as_array().unwrap().len()), (json!([]), 2));
    post(&scene, "discard", &json!({"filter": {"state": "open"}})).await.unwrap();
    await_letters(&scene, "state=open", 0).await.unwrap();

    search.refresh(&index).await.unwrap();
    let documents = search.all(&index, "id").await.unwrap();
    let numbers: Vec<_> = documents.iter().map(|(id, d)| (id.as_str(), d["n"].as_i64().unwrap())).collect();
    assert_eq!(numbers, [("1", 1), ("2", 2), ("3", 33)]);
    search.call("DELETE", &format!("/{index}"), None).await.unwrap();
    assert!(scene.worker.stop().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_a_table_are_put_again_once() {
    let Ok(bootstrap) = setting("EF_KAFKA") else {
        println!("skipped: dead_letters_of_a_table_are_put_again_once needs EF_KAFKA");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.db");
    let table = rusqlite::Connection::open(&file).unwrap();
    table.execute_batch("CREATE TABLE t (id INTEGER NOT NULL, n INTEGER NOT NULL) STRICT").unwrap();
    let own = json!({
        "connector.class": "elasticflow.connectors.SqliteSinkConnector", "connection.url": file,
        "table.name.format": "t", "insert.mode": "insert", "pk.mode": "none",
    });
    let scene = Scene::start(dir.path(), &bootstrap, NAME, own).await.unwrap();
    let (unread, refused) = two_letters(&scene).await.unwrap();
    let dry = json!({"filter": {"state": "open"}, "patch": {"id": 9, "n": 9}, "dryRun": true});
    assert_eq!(post(&scene, "replay", &dry).await.unwrap()["done"].as_array().unwrap().len(), 2);
    post(&scene, "replay", &json!({"ids": [id(&unread)], "patch": {"id": 2, "n": 2}})).await.unwrap();
    post(&scene, "replay", &json!({"ids": [id(&refused)], "patch": {"n": 3}})).await.unwrap();
    await_letters(&scene, "state=replayed", 2).await.unwrap();
    post(&scene, "replay", &json!({"ids": [id(&unread), id(&refused)]})).await.unwrap();
    // A record behind the replay shows that everything before it has been put.
    scene.send(&[("5", r#"{"id":5,"n":5}"#)]).await.unwrap();
    let rows = || -> Vec<(i64, i64)> {
        let mut query = table.prepare("SELECT id, n FROM t ORDER BY id").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let began = Instant::now();
    while rows().len() < 4 && began.elapsed() < SETTLE_MAX {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(rows(), [(1, 1), (2, 2), (3, 3), (5, 5)], "a row that came twice would stand there twice");
    assert!(scene.worker.stop().await.unwrap());
}

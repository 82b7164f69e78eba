//! Against the server that `EF_ELASTICSEARCH` names, such as http://localhost:9200.
use crate::harness::{Harness, event, flat, key, record, schema, struct_of, tombstone};
use elasticflow_api::data::{Kind, Value};
use elasticflow_api::sink::SinkRecord;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The server and a name that nobody else uses, or `None` with a line that says so.
pub(crate) fn server(test: &str) -> Option<(String, String)> {
    let Ok(url) = std::env::var("EF_ELASTICSEARCH") else {
        println!("skipped {test}: EF_ELASTICSEARCH names no server");
        return None;
    };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    Some((url, format!("ef-test-{}-{nanos}", std::process::id())))
}

/// A sink into an index of its own.
async fn real(test: &str) -> Option<(Harness, String, String)> {
    let (url, index) = server(test)?;
    let sink = Harness::at(&url, Arc::default(), &[("index.name.format", index.as_str())]).await;
    Some((sink, url, index))
}

pub(crate) async fn ask(method: reqwest::Method, url: &str) -> Json {
    let text = reqwest::Client::new().request(method, url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) async fn put(url: &str, body: &Json) -> Json {
    let request = reqwest::Client::new().put(url).header("content-type", "application/json").body(body.to_string());
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

/// Every document with its version.
pub(crate) async fn contents(url: &str, index: &str) -> BTreeMap<String, (u64, Json)> {
    ask(reqwest::Method::POST, &format!("{url}/{index}/_refresh")).await;
    let found = ask(reqwest::Method::GET, &format!("{url}/{index}/_search?version=true&size=1000")).await;
    let hits = found["hits"]["hits"].as_array().unwrap().iter();
    hits.map(|hit| {
        (hit["_id"].as_str().unwrap().to_owned(), (hit["_version"].as_u64().unwrap(), hit["_source"].clone()))
    })
    .collect()
}

pub(crate) async fn remove(url: &str, index: &str) {
    ask(reqwest::Method::DELETE, &format!("{url}/{index}")).await;
}

fn topic() -> Vec<SinkRecord> {
    let mut records: Vec<SinkRecord> =
        (0..500).map(|i| record(i, key(i % 200), event("u", i % 200, i32::try_from(i).unwrap()))).collect();
    records.push(record(500, key(7), event("d", 7, 0)));
    records.push(record(501, key(7), tombstone()));
    records.push(record(502, key(8), tombstone()));
    records
}

#[tokio::test]
async fn a_real_server_is_not_changed_by_a_second_run_of_the_whole_topic() {
    let Some((mut sink, url, index)) = real("a second run").await else { return };
    sink.put_and_flush(topic()).await.unwrap();
    let first = contents(&url, &index).await;
    assert_eq!(first.len(), 198);
    assert_eq!(first["9"].0, 409);
    sink.restart().await;
    sink.put_and_flush(topic()).await.unwrap();
    assert_eq!(contents(&url, &index).await, first);
    assert!(sink.rejections().is_empty(), "{:?}", sink.rejections());
    remove(&url, &index).await;
}

#[tokio::test]
async fn a_real_server_refuses_an_older_write_after_a_delete() {
    let Some((mut sink, url, index)) = real("an older write").await else { return };
    sink.put_and_flush(vec![record(5, key(1), flat(1, 1)), record(9, key(1), tombstone())]).await.unwrap();
    sink.put_and_flush(vec![record(7, key(1), flat(1, 7))]).await.unwrap();
    assert!(contents(&url, &index).await.is_empty());
    remove(&url, &index).await;
}

#[tokio::test]
async fn a_real_server_maps_the_types_and_refuses_what_does_not_fit() {
    let Some((mut sink, url, index)) = real("types").await else { return };
    let typed = |born: i32, at: i64| {
        struct_of(
            Some("k.Value"),
            vec![
                ("born", schema(Kind::Int32, Some("io.debezium.time.Date"), true), Value::Int32(born)),
                ("at", schema(Kind::Int64, Some("io.debezium.time.MicroTimestamp"), true), Value::Int64(at)),
                ("name", schema(Kind::String, None, true), Value::String("Zoë 😀 \"q\"".into())),
                ("raw", schema(Kind::Bytes, None, true), Value::Bytes(bytes::Bytes::from_static(&[0, 255]))),
            ],
        )
    };
    let bad =
        struct_of(Some("k.Other"), vec![("born", schema(Kind::String, None, true), Value::String("never".into()))]);
    let records = vec![record(0, key(1), typed(19_000, 1_700_000_000_123_456)), record(1, key(2), bad)];
    sink.put_and_flush(records).await.unwrap();
    let there = contents(&url, &index).await;
    assert_eq!(there.keys().collect::<Vec<_>>(), ["1"]);
    assert_eq!(there["1"].1["at"], "2023-11-14T22:13:20.123456Z");
    assert_eq!(there["1"].1["name"], "Zoë 😀 \"q\"");
    let [(1, reason)] = &sink.rejections()[..] else { panic!("{:?}", sink.rejections()) };
    assert!(reason.contains("born") && !reason.contains("never"), "{reason}");
    let mapping = ask(reqwest::Method::GET, &format!("{url}/{index}/_mapping")).await;
    assert_eq!(mapping[&index]["mappings"]["properties"]["at"]["type"], "date");
    remove(&url, &index).await;
}

#[tokio::test]
async fn a_template_of_the_server_keeps_its_word_about_a_new_index() {
    let Some((mut sink, url, index)) = real("a template").await else { return };
    let template = json!({"index_patterns": [index], "template": {
        "settings": {"index.refresh_interval": "7s"},
        "mappings": {"properties": {"n": {"type": "keyword"}}},
    }});
    assert_eq!(put(&format!("{url}/_index_template/{index}"), &template).await["acknowledged"], true);
    sink.put_and_flush(vec![record(0, key(1), flat(1, 5))]).await.unwrap();
    let there = ask(reqwest::Method::GET, &format!("{url}/{index}")).await;
    assert_eq!(there[&index]["mappings"]["properties"]["n"]["type"], "keyword");
    assert_eq!(there[&index]["mappings"]["properties"]["id"]["type"], "long");
    assert_eq!(there[&index]["settings"]["index"]["refresh_interval"], "7s");
    assert_eq!(there[&index]["settings"]["index"]["gc_deletes"], "1h");
    remove(&url, &index).await;
    ask(reqwest::Method::DELETE, &format!("{url}/_index_template/{index}")).await;
}

//! Data streams, on a server that has them.
use crate::harness::{Harness, at_time, documents, event, flat, key, record, schema, struct_of, tombstone};
use crate::real::{ask, put, remove, server};
use elasticflow_api::data::{Kind, Value};
use elasticflow_api::sink::SinkRecord;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A server with data streams. What a test writes there stays: this server has no call that deletes a data stream.
async fn streams(test: &str) -> Option<(String, String)> {
    let (url, name) = server(test)?;
    let probe = json!({"index_patterns": [name], "data_stream": {}});
    if put(&format!("{url}/_index_template/{name}"), &probe).await["acknowledged"] != true {
        println!("skipped {test}: the server has no data streams; start it anew with scripts/services");
        return None;
    }
    ask(reqwest::Method::DELETE, &format!("{url}/_index_template/{name}")).await;
    // A dataset is without hyphens.
    Some((url, name.replace('-', ".")))
}

async fn sink_to(url: &str, dataset: &str, pairs: &[(&str, &str)]) -> Harness {
    let stream = [("data.stream.type", "logs"), ("data.stream.dataset", dataset)];
    Harness::at(url, Arc::default(), &[&stream[..], pairs].concat()).await
}

/// Every document: index behind the stream, `_id`, source.
async fn all(url: &str, stream: &str) -> Vec<(String, String, Json)> {
    ask(reqwest::Method::POST, &format!("{url}/{stream}/_refresh")).await;
    let found = ask(reqwest::Method::GET, &format!("{url}/{stream}/_search?size=1000")).await;
    let text = |hit: &Json, name: &str| hit[name].as_str().unwrap().to_owned();
    let hits = found["hits"]["hits"].as_array().unwrap().iter();
    hits.map(|hit| (text(hit, "_index"), text(hit, "_id"), hit["_source"].clone())).collect()
}

/// The indices behind a stream, without the last, are deleted; and the template that the sink has made.
async fn clear(url: &str, stream: &str) {
    ask(reqwest::Method::POST, &format!("{url}/{stream}/_rollover")).await;
    let indices = ask(reqwest::Method::GET, &format!("{url}/{stream}/_settings")).await;
    let mut names: Vec<&String> = indices.as_object().unwrap().keys().collect();
    names.sort();
    names.pop();
    for name in names {
        remove(url, name).await;
    }
}

fn timed(offset: i64, n: i32) -> SinkRecord {
    at_time(record(offset, key(1), flat(1, n)), Some(1_700_000_000_000 + offset))
}

#[tokio::test]
async fn a_data_stream_takes_every_record_once_though_all_have_one_key() {
    let Some((url, dataset)) = streams("one key").await else { return };
    let stream = format!("logs-{dataset}-orders");
    let mut sink = sink_to(&url, &dataset, &[]).await;
    let records = || (0..20).map(|i| timed(i, 5)).collect::<Vec<_>>();
    sink.put_and_flush(records()).await.unwrap();
    sink.restart().await;
    sink.put_and_flush(records()).await.unwrap();
    let found = all(&url, &stream).await;
    assert_eq!(found.len(), 20, "{:?}", sink.rejections());
    assert!(found.iter().all(|(index, ..)| index.starts_with(&format!(".ds-{stream}-"))), "{found:?}");
    let (_, _, first) = found.iter().find(|(_, id, _)| id == "Orders+0+0").unwrap();
    assert_eq!(first, &json!({"id": 1, "n": 5, "@timestamp": 1_700_000_000_000_i64}));
    let mapping = ask(reqwest::Method::GET, &format!("{url}/{stream}/_mapping")).await;
    let properties = &mapping.as_object().unwrap().values().next().unwrap()["mappings"]["properties"];
    assert_eq!((&properties["n"]["type"], &properties["@timestamp"]["type"]), (&json!("integer"), &json!("date")));
    clear(&url, &stream).await;
}

#[tokio::test]
async fn a_write_that_comes_again_after_a_roll_over_is_a_second_document() {
    let Some((url, dataset)) = streams("a roll-over").await else { return };
    let stream = format!("logs-{dataset}-orders");
    let mut sink = sink_to(&url, &dataset, &[]).await;
    sink.put_and_flush(vec![timed(0, 1)]).await.unwrap();
    ask(reqwest::Method::POST, &format!("{url}/{stream}/_rollover")).await;
    sink.restart().await;
    sink.put_and_flush(vec![timed(0, 1)]).await.unwrap();
    // The reason why exactly-once is refused.
    assert_eq!(all(&url, &stream).await.len(), 2);
    clear(&url, &stream).await;
}

#[tokio::test]
async fn the_namespace_and_the_field_of_the_timestamp_are_as_configured() {
    let Some((url, dataset)) = streams("a field").await else { return };
    let pairs = [
        ("data.stream.type", "METRICS"),
        ("data.stream.namespace", "eu.${topic}"),
        ("data.stream.timestamp.field", "t,n"),
    ];
    let mut sink = sink_to(&url, &dataset, &pairs).await;
    let without = struct_of(None, vec![("id", schema(Kind::Int64, None, true), Value::Int64(1))]);
    sink.put_and_flush(vec![timed(0, 77), record(1, key(1), without), record(2, key(1), tombstone())]).await.unwrap();
    let stream = format!("metrics-{dataset}-eu.orders");
    let found = all(&url, &stream).await;
    assert_eq!(found.iter().map(|(_, _, doc)| &doc["@timestamp"]).collect::<Vec<_>>(), [77]);
    let reasons = sink.rejections();
    assert!(reasons[0].1.contains("data.stream.timestamp.field") && reasons[1].1.contains("no value"), "{reasons:?}");
    clear(&url, &stream).await;
}

#[tokio::test]
async fn a_template_of_the_server_that_fits_is_used_and_one_that_makes_an_index_is_refused() {
    let Some((url, dataset)) = streams("templates").await else { return };
    let template = format!("{url}/_index_template/{dataset}");
    let body = |stream: bool| {
        let mut body = json!({"index_patterns": [format!("logs-{dataset}-*")], "priority": 900,
            "template": {"mappings": {"properties": {"n": {"type": "keyword"}}}}});
        if stream {
            body["data_stream"] = json!({});
        }
        body
    };
    put(&template, &body(false)).await;
    let mut sink = sink_to(&url, &dataset, &[]).await;
    let error = sink.put_and_flush(vec![timed(0, 1)]).await.unwrap_err();
    assert_eq!(error.code, "ES-0019", "{error}");
    assert!(error.message.contains(&dataset), "{error}");
    put(&template, &body(true)).await;
    sink.restart().await;
    sink.put_and_flush(vec![timed(0, 1)]).await.unwrap();
    let mapping = ask(reqwest::Method::GET, &format!("{url}/logs-{dataset}-orders/_mapping/field/n")).await;
    assert!(mapping.to_string().contains(r#""type":"keyword""#), "{mapping}");
    let own = ask(reqwest::Method::GET, &format!("{url}/_index_template/elasticflow-logs-{dataset}-orders")).await;
    assert_eq!(own["status"], 404);
    clear(&url, &format!("logs-{dataset}-orders")).await;
}

#[tokio::test]
async fn an_index_that_has_the_name_of_the_stream_is_refused() {
    let Some((url, dataset)) = streams("an index").await else { return };
    let index = format!("logs-{dataset}-orders");
    put(&format!("{url}/{index}"), &json!({})).await;
    let mut sink = sink_to(&url, &dataset, &[]).await;
    let error = sink.put_and_flush(vec![timed(0, 1)]).await.unwrap_err();
    assert_eq!(error.code, "ES-0019", "{error}");
    remove(&url, &index).await;
}

#[tokio::test]
async fn fields_that_come_later_are_mapped_also_after_a_roll_over() {
    let Some((url, dataset)) = streams("later fields").await else { return };
    let stream = format!("logs-{dataset}-orders");
    let mut sink = sink_to(&url, &dataset, &[]).await;
    sink.put_and_flush(vec![timed(0, 1)]).await.unwrap();
    let born = schema(Kind::Int32, Some("io.debezium.time.Date"), true);
    let wider = struct_of(None, vec![("born", born, Value::Int32(19_000))]);
    sink.put_and_flush(vec![record(1, key(1), wider)]).await.unwrap();
    ask(reqwest::Method::POST, &format!("{url}/{stream}/_rollover")).await;
    let mapping = ask(reqwest::Method::GET, &format!("{url}/{stream}/_mapping")).await;
    let of_all = mapping.as_object().unwrap().values().map(|index| &index["mappings"]["properties"]["born"]["type"]);
    assert_eq!(of_all.map(|kind| kind.as_str()).collect::<Vec<_>>(), [Some("date"); 2], "{mapping}");
    clear(&url, &stream).await;
}

#[tokio::test]
async fn a_delete_event_adds_nothing_and_a_raised_epoch_adds_everything_again() {
    let Some((url, dataset)) = streams("an epoch").await else { return };
    let stream = format!("logs-{dataset}-orders");
    let mut sink = sink_to(&url, &dataset, &[]).await;
    let mut records = documents(0, 3);
    records.push(record(3, key(1), event("d", 1, 1)));
    sink.put_and_flush(records).await.unwrap();
    assert_eq!(all(&url, &stream).await.len(), 3);
    sink.cx.version_epoch = 2;
    sink.put_and_flush(documents(0, 3)).await.unwrap();
    assert_eq!(all(&url, &stream).await.len(), 6);
    clear(&url, &stream).await;
}

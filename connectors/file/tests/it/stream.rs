//! Apache's demonstration pair.
use crate::fakes::{Rejected, Source, registry, sink_context};
use crate::sink::{numbers, record};
use elasticflow_api::config::Properties;
use elasticflow_api::data::Value;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_api::registry::{Plugin, PluginKind, TaskConfig};
use elasticflow_api::sink::{SinkBatch, SinkKind};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use tempfile::tempdir;

#[tokio::test]
async fn the_source_waits_for_its_file_holds_half_a_line_and_stores_apaches_positions() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("in.txt");
    let path = file.to_str().unwrap();
    let properties = Properties::from_iter([("file", path), ("topic", "t")]);
    let mut source = Source::start_as("FileStreamSource", &properties, &[], 10).await.unwrap();
    source.drain().await.unwrap();
    fs::write(&file, "one\r\ntwo\nthr").unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["one", "two"]);
    let position = &source.stored[0];
    assert_eq!(serde_json::to_value(&*position.partition).unwrap(), serde_json::json!({"filename": path}));
    assert_eq!(serde_json::to_value(&*position.offset).unwrap(), serde_json::json!({"position": 9}));
    OpenOptions::new().append(true).open(&file).unwrap().write_all(b"ee\n").unwrap();
    let mut next = Source::start_as("FileStreamSource", &properties, &source.stored, 10).await.unwrap();
    next.drain().await.unwrap();
    assert_eq!(next.texts(), ["three"]);
}

#[tokio::test]
async fn the_sink_appends_text_forms_and_says_what_is_durable() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("out.txt");
    fs::write(&file, "before\n").unwrap();
    let registry = registry();
    let Plugin::Sink(plugin) = &registry.find(PluginKind::Sink, "FileStreamSink").unwrap().plugin else {
        panic!("no sink")
    };
    let properties = Properties::from_iter([("file", file.to_str().unwrap())]);
    let SinkKind::Idempotent(mut task) = plugin.task(&properties, TaskConfig::default()).unwrap() else {
        panic!("wrong kind")
    };
    let cx = sink_context("c", Arc::new(Rejected::default()), Arc::default());
    task.start(&cx).await.unwrap();
    let at = TopicPartition { topic: "t".into(), partition: 0 };
    let consumed = ConsumedOffsets([(at, Offset(4))].into());
    let records = vec![record("t", 2, Value::String("a b".into())), record("t", 3, Value::Null)];
    task.put(SinkBatch { records, consumed: consumed.clone() }, &cx).await.unwrap();
    assert_eq!(task.flush(&cx).await.unwrap(), consumed);
    task.put(numbers(4..5), &cx).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "before\na b\nnull\n4\n");
    let missing = Properties::from_iter([("file", "/nowhere/out.txt")]);
    let SinkKind::Idempotent(mut task) = plugin.task(&missing, TaskConfig::default()).unwrap() else {
        panic!("wrong kind")
    };
    let error = task.start(&cx).await.unwrap_err();
    assert!(
        error.message.starts_with("Couldn't find or create file '/nowhere/out.txt' for FileStreamSinkTask"),
        "{error}"
    );
}

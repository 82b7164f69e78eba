//! Whole files.
use crate::fakes::Source;
use elasticflow_api::ErrorClass;
use elasticflow_api::config::Properties;
use elasticflow_api::data::{Kind, Value};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn csv(input: &Path) -> Properties {
    Properties::from_iter([
        ("input.path", input.to_str().unwrap()),
        ("input.file.pattern", r".*\.csv"),
        ("topic", "t"),
        ("format", "csv"),
        ("csv.first.row.as.header", "true"),
        ("file.minimum.age.ms", "0"),
    ])
}

#[tokio::test]
async fn a_header_row_names_the_fields_and_keys_are_made_of_columns() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("a.csv"), "id,name\n1,Ann\n2,\"B\"\"ob\"\n").unwrap();
    fs::write(dir.path().join("b.txt"), "not,me\n").unwrap();
    let properties = csv(dir.path()).with("schema.generation.key.fields", "id");
    let mut source = Source::start(&properties, &[]).await.unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["1|Ann", "2|B\"ob"]);
    let record = &source.records[1];
    assert_eq!(&*record.topic, "t");
    let schema = record.value.schema.as_ref().unwrap();
    let Kind::Struct(fields) = &schema.kind else { panic!("no struct") };
    assert_eq!(fields.iter().map(|f| &*f.name).collect::<Vec<_>>(), ["id", "name"]);
    assert!(fields.iter().all(|f| f.schema.optional && f.schema.kind == Kind::String));
    let Value::Struct(key) = &record.key.value else { panic!("no key") };
    assert_eq!(key.values, [Value::String("2".into())]);
}

#[tokio::test]
async fn a_finished_file_is_not_read_again_after_a_restart() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("a.csv"), "id\n1\n2\n3\n4\n").unwrap();
    let mut first = Source::start(&csv(dir.path()), &[]).await.unwrap();
    first.drain().await.unwrap();
    assert_eq!(first.texts(), ["1", "2", "3", "4"]);
    fs::write(dir.path().join("b.csv"), "id\n5\n").unwrap();
    let mut second = Source::start(&csv(dir.path()), &first.stored).await.unwrap();
    second.drain().await.unwrap();
    assert_eq!(second.texts(), ["5"]);
}

#[tokio::test]
async fn a_file_that_changed_while_half_read_stops_the_task() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("a.csv");
    fs::write(&file, "id\n1\n2\n3\n4\n5\n").unwrap();
    let mut first = Source::start(&csv(dir.path()), &[]).await.unwrap();
    first.poll().await.unwrap();
    assert_eq!(first.texts(), ["1", "2", "3"]);
    for other in ["id\n1\n", "id\n9\n2\n3\n4\n5\n"] {
        fs::write(&file, other).unwrap();
        let mut second = Source::start(&csv(dir.path()), &first.stored).await.unwrap();
        let error = second.drain().await.unwrap_err();
        assert_eq!((error.class, error.code), (ErrorClass::Definite, "FILE-0021"), "{error}");
    }
}

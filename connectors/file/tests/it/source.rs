//! Whole files.
use crate::fakes::Source;
use elasticflow_api::ErrorClass;
use elasticflow_api::config::Properties;
use elasticflow_api::data::{Kind, Value};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const OWN: &str = "elasticflow.connectors.FileSourceConnector";

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

const QUOTED: &str = "id,text\r\n1,\"a\nb\"\r\n2,\"c,\"\"d\"\"\"\n3,\"\n\n\"\n4,e\n5,\"f\r\ng\"";

#[tokio::test]
async fn a_restart_after_any_record_of_a_csv_with_quoted_line_ends_gives_the_rest() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("a.csv"), QUOTED).unwrap();
    let own = "elasticflow.connectors.FileSourceConnector";
    let mut whole = Source::start(&csv(dir.path()), &[]).await.unwrap();
    whole.drain().await.unwrap();
    assert_eq!(whole.texts(), ["1|a\nb", "2|c,\"d\"", "3|\n\n", "4|e", "5|f\r\ng"]);
    let mut one = Source::start_as(own, &csv(dir.path()), &[], 1).await.unwrap();
    for read in 1..=5 {
        while one.records.len() < read {
            one.poll().await.unwrap();
        }
        let mut rest = Source::start_as(own, &csv(dir.path()), &one.stored, 1).await.unwrap();
        rest.drain().await.unwrap();
        assert_eq!(rest.texts(), whole.texts()[read..]);
    }
}

#[tokio::test]
async fn a_finished_file_goes_only_after_its_position_is_committed() {
    for policy in ["DELETE", "MOVE", "MOVEBYDATE"] {
        let (dir, finished) = (tempdir().unwrap(), tempdir().unwrap());
        let file = dir.path().join("a.csv");
        fs::write(&file, "id\n1\n").unwrap();
        let properties =
            csv(dir.path()).with("cleanup.policy", policy).with("finished.path", finished.path().to_str().unwrap());
        let mut source = Source::start(&properties, &[]).await.unwrap();
        source.drain().await.unwrap();
        assert!(file.exists(), "{policy}");
        source.committed().await;
        assert!(!file.exists(), "{policy}");
        let moved = walk(finished.path());
        assert_eq!(moved.len(), usize::from(policy != "DELETE"), "{policy}: {moved:?}");
        assert!(moved.iter().all(|name| name.ends_with("a.csv")), "{moved:?}");
        // The same name with the same beginning is another file.
        fs::write(&file, "id\n1\n2\n").unwrap();
        source.drain().await.unwrap();
        assert_eq!(source.texts(), ["1", "1", "2"], "{policy}");
    }
}

fn walk(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { names.extend(walk(&path)) } else { names.push(path.to_str().unwrap().to_owned()) }
    }
    names
}

#[tokio::test]
async fn a_clean_up_that_a_crash_has_cut_off_is_repeated_at_the_next_start() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("a.csv");
    fs::write(&file, "id\n1\n").unwrap();
    let properties = csv(dir.path()).with("cleanup.policy", "DELETE");
    let mut first = Source::start(&properties, &[]).await.unwrap();
    first.drain().await.unwrap();
    let mut second = Source::start(&properties, &first.stored).await.unwrap();
    second.drain().await.unwrap();
    assert!(!file.exists() && second.records.is_empty());
    fs::write(&file, "id\n1\n").unwrap();
    let mut third = Source::start(&properties, &second.stored).await.unwrap();
    third.drain().await.unwrap();
    assert_eq!(third.texts(), ["1"]);
}

#[tokio::test]
async fn a_file_that_is_still_written_is_not_taken() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("a.csv");
    fs::write(&file, "id\n1").unwrap();
    let properties = csv(dir.path()).with("file.minimum.age.ms", "60000");
    let mut source = Source::start(&properties, &[]).await.unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), [""; 0]);
    fs::write(&file, "id\n12\n").unwrap();
    source.clock.leap(120_000);
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["12"]);
}

#[tokio::test]
async fn a_bad_row_is_told_with_its_line_and_bytes_and_a_restart_after_it_goes_on_behind_it() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("a.csv"), "id,n\n1,x\nsecret\n3,y\n").unwrap();
    let mut source = Source::start(&csv(dir.path()), &[]).await.unwrap();
    source.poll().await.unwrap();
    let reason = "TASK_POLL: FILE-0022: a.csv line 3: 1 fields where 2 are expected";
    assert_eq!(source.rejected, [(reason.to_owned(), Some("secret".to_owned()))]);
    assert_eq!(source.texts(), ["1|x", "3|y"]);
    source.drain().await.unwrap();
    assert_eq!(source.rejected.len(), 1);

    fs::write(dir.path().join("b.csv"), "id,n\nbad\n7,z\n8,z\n9,z\n").unwrap();
    let mut first = Source::start_as(OWN, &csv(dir.path()), &source.stored, 1).await.unwrap();
    while first.rejected.is_empty() {
        first.poll().await.unwrap();
    }
    assert!(first.texts().is_empty());
    let mut second = Source::start(&csv(dir.path()), &first.stored).await.unwrap();
    second.drain().await.unwrap();
    assert_eq!((second.rejected.len(), second.texts()), (0, vec!["7|z".into(), "8|z".into(), "9|z".into()]));
}

#[tokio::test]
async fn a_file_with_a_bad_row_moves_to_the_error_path_when_asked_to() {
    let (dir, errors) = (tempdir().unwrap(), tempdir().unwrap());
    fs::write(dir.path().join("a.csv"), "id,n\n1,x\nbad\n3,y\n").unwrap();
    let properties = csv(dir.path()).with("halt.on.error", "false").with("error.path", errors.path().to_str().unwrap());
    let mut source = Source::start(&properties, &[]).await.unwrap();
    source.drain().await.unwrap();
    source.committed().await;
    assert_eq!(source.texts(), ["1|x"]);
    assert!(errors.path().join("a.csv").exists() && !dir.path().join("a.csv").exists());
}

#[tokio::test]
async fn a_record_above_the_limit_is_bad_and_reading_goes_on_at_the_next_line() {
    let dir = tempdir().unwrap();
    let long = "x".repeat(700_000);
    fs::write(dir.path().join("a.txt"), format!("a\n{long}\nb\n")).unwrap();
    fs::write(dir.path().join("b.txt"), format!("c\n{long}")).unwrap();
    let properties =
        csv(dir.path()).with("format", "text").with("input.file.pattern", ".*").with("csv.max.record.bytes", "1000");
    let mut source = Source::start(&properties, &[]).await.unwrap();
    source.drain().await.unwrap();
    assert_eq!((source.texts(), source.rejected.len()), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 2));
}

#[tokio::test]
async fn json_lines_are_schemaless_or_of_a_schema() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("a.json"), "{\"id\":1,\"n\":\"x\"}\n\n[2]\n").unwrap();
    let base = csv(dir.path()).with("format", "json").with("input.file.pattern", ".*");
    let mut source = Source::start(&base, &[]).await.unwrap();
    source.drain().await.unwrap();
    assert!(source.records.iter().all(|r| r.value.schema.is_none()) && source.records.len() == 2);
    fs::write(dir.path().join("a.json"), "{\"id\":1,\"n\":\"x\"}\n").unwrap();
    let schema =
        r#"{"type":"struct","fields":[{"field":"id","type":"int64"},{"field":"n","type":"string","optional":true}]}"#;
    let typed = base.with("value.schema", schema).with("schema.generation.key.fields", "id");
    let mut source = Source::start(&typed, &[]).await.unwrap();
    source.drain().await.unwrap();
    let Value::Struct(row) = &source.records[0].value.value else { panic!("no struct") };
    assert_eq!(row.values, [Value::Int64(1), Value::String("x".into())]);
    let Value::Struct(key) = &source.records[0].key.value else { panic!("no key") };
    assert_eq!(key.values, [Value::Int64(1)]);
}

#[tokio::test]
async fn a_compressed_file_is_resumed_in_the_middle() {
    use std::io::Write;
    let dir = tempdir().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(QUOTED.as_bytes()).unwrap();
    let bytes = gz.finish().unwrap();
    fs::write(dir.path().join("a.csv"), &bytes).unwrap();
    let mut first = Source::start(&csv(dir.path()), &[]).await.unwrap();
    first.poll().await.unwrap();
    let mut second = Source::start(&csv(dir.path()), &first.stored).await.unwrap();
    second.drain().await.unwrap();
    assert_eq!([first.texts(), second.texts()].concat(), ["1|a\nb", "2|c,\"d\"", "3|\n\n", "4|e", "5|f\r\ng"]);
    fs::write(dir.path().join("b.csv"), &bytes[..bytes.len() - 12]).unwrap();
    let error = second.drain().await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "FILE-0025"));
}

#[tokio::test]
async fn links_and_staged_files_are_not_read_and_tasks_share_the_rest() {
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    fs::write(other.path().join("secret.csv"), "id\n9\n").unwrap();
    std::os::unix::fs::symlink(other.path().join("secret.csv"), dir.path().join("link.csv")).unwrap();
    std::os::unix::fs::symlink(other.path(), dir.path().join("linked")).unwrap();
    fs::create_dir_all(dir.path().join(".elasticflow/x")).unwrap();
    fs::write(dir.path().join(".elasticflow/x/part.csv"), "id\n8\n").unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/a.csv"), "id\n1\n").unwrap();
    let properties = csv(dir.path()).with("input.path.walk.recursively", "true").with("input.file.glob", "sub/*");
    let mut source = Source::start(&properties.clone().with("input.file.glob", "**"), &[]).await.unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["1"]);
    let mut source = Source::start(&properties, &[]).await.unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["1"]);
}

#[tokio::test]
async fn a_spooldir_class_presets_its_format_and_reads_its_offsets() {
    use elasticflow_api::position::{SourceOffset, SourcePartition, SourcePosition};
    use std::sync::Arc;
    let (dir, finished) = (tempdir().unwrap(), tempdir().unwrap());
    fs::write(dir.path().join("a.txt"), "1\n2\n3\n").unwrap();
    let class = "com.github.jcustenborder.kafka.connect.spooldir.SpoolDirLineDelimitedSourceConnector";
    let properties = Properties::from_iter([
        ("input.path", dir.path().to_str().unwrap()),
        ("finished.path", finished.path().to_str().unwrap()),
        ("input.file.pattern", r"a\.txt"),
        ("topic", "t"),
    ]);
    let stored = SourcePosition {
        partition: Arc::new(SourcePartition(serde_json::from_str(r#"{"fileName":"a.txt"}"#).unwrap())),
        offset: Arc::new(SourceOffset(serde_json::from_str(r#"{"offset":2}"#).unwrap())),
    };
    let mut source = Source::start_as(class, &properties, &[stored], 10).await.unwrap();
    source.drain().await.unwrap();
    source.committed().await;
    assert_eq!(source.texts(), ["3"]);
    assert!(finished.path().join("a.txt").exists());
}

#[tokio::test]
async fn every_problem_of_a_configuration_is_told_at_once() {
    let properties = Properties::from_iter([
        ("input.path", "/nowhere"),
        ("topic", "t"),
        ("format", "csv"),
        ("cleanup.policy", "MOVE"),
        ("halt.on.error", "false"),
        ("csv.quote.char", "44"),
        ("value.schema", "{}"),
    ]);
    let error = Source::start(&properties, &[]).await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Config);
    for key in ["finished.path", "error.path", "csv.quote.char", "value.schema"] {
        assert!(error.message.contains(key), "{key}: {}", error.message);
    }
}

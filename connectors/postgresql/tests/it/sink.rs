//! The sink on a real server: the bodies that every SQL sink passes, the conformance suite, and what only PostgreSQL has.
use crate::case::Case;
use elasticflow_api::ErrorClass;
use elasticflow_api::data::{Kind, Text, Value};
use elasticflow_testkit::check_sink;
use elasticflow_testkit::sql::{
    SqlCase, Started, check_sql_sink, check_types, key, record, row, schema, structure, upserting,
};

#[tokio::test]
async fn postgresql_passes_what_every_sql_sink_passes() {
    let Some(case) = Case::of("postgresql_passes_what_every_sql_sink_passes").await else { return };
    check_sql_sink(&case, "p").await;
    check_sink(&case).await;
    case.drop_schema().await;
}

#[tokio::test]
async fn a_text_with_nul_is_a_bad_record_and_the_others_are_written() {
    let Some(case) = Case::of("a_text_with_nul_is_a_bad_record_and_the_others_are_written").await else { return };
    let mut sink = Started::new(&case, &upserting(&case), "nul", "nul").await;
    sink.put(vec![record("nul", 0, key(1), row(1, "a\0b")), record("nul", 1, key(2), row(2, "ok"))]).await.unwrap();
    let reasons: Vec<String> = sink.rejected.0.lock().iter().map(|(_, _, why)| why.clone()).collect();
    assert!(reasons.len() == 1 && reasons[0].contains("PG-0021"), "{reasons:?}");
    assert_eq!(case.query("SELECT id FROM nul").await, [vec![Some("2".to_owned())]]);
    case.drop_schema().await;
}

#[tokio::test]
async fn text_reaches_columns_of_other_types_through_their_input_function() {
    let Some(case) = Case::of("text_reaches_columns_of_other_types_through_their_input_function").await else { return };
    case.run("CREATE TYPE mood AS ENUM ('sad', 'happy')").await;
    case.run("CREATE TABLE odd (id BIGINT PRIMARY KEY, u UUID, j JSONB, m mood, i INET, n NUMERIC(10,2))").await;
    let text = |t: &str| Value::String(Text::from(t));
    let optional = || schema(Kind::String, None, true);
    let value = structure(
        None,
        &[
            ("id", schema(Kind::Int64, None, false), Value::Int64(1)),
            ("u", optional(), text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
            ("j", optional(), text("{\"a\": [1, null]}")),
            ("m", optional(), text("happy")),
            ("i", optional(), text("10.0.0.1/8")),
            ("n", schema(Kind::Float64, None, true), Value::Float64(1.5)),
        ],
    );
    let mut sink = Started::new(&case, &upserting(&case), "odd", "odd").await;
    sink.put(vec![record("odd", 0, key(1), value)]).await.unwrap();
    let found = case.query("SELECT u, j, m, i, n FROM odd").await;
    let expected = ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{\"a\": [1, null]}", "happy", "10.0.0.1/8", "1.50"];
    assert_eq!(found, [expected.map(|t| Some(t.to_owned())).to_vec()]);
    case.drop_schema().await;
}

#[tokio::test]
async fn an_upsert_without_a_unique_index_is_a_config_error() {
    let Some(case) = Case::of("an_upsert_without_a_unique_index_is_a_config_error").await else { return };
    case.run("CREATE TABLE bare (id BIGINT, name TEXT)").await;
    let mut sink = Started::new(&case, &upserting(&case), "bare", "bare").await;
    let refused = sink.put(vec![record("bare", 0, key(1), row(1, "a"))]).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Config, "{refused}");
    case.drop_schema().await;
}

#[tokio::test]
async fn keys_that_a_column_takes_for_equal_end_in_the_last_state() {
    let Some(case) = Case::of("keys_that_a_column_takes_for_equal_end_in_the_last_state").await else { return };
    case.run("CREATE TABLE padded (id CHAR(4) PRIMARY KEY, name TEXT)").await;
    let keyed = |offset, id: &str, name: Option<&str>| {
        let field = || schema(Kind::String, None, false);
        let text = |t: &str| Value::String(Text::from(t));
        let key = structure(None, &[("id", field(), text(id))]);
        let value = match name {
            Some(name) => structure(None, &[("id", field(), text(id)), ("name", field(), text(name))]),
            None => elasticflow_testkit::sql::tombstone(),
        };
        record("padded", offset, key, value)
    };
    let mut sink = Started::new(&case, &upserting(&case), "padded", "padded").await;
    let all = vec![
        keyed(0, "a", Some("1")),
        keyed(1, "a ", Some("2")),
        keyed(2, "b", Some("1")),
        keyed(3, "b ", None),
        keyed(4, "c", None),
        keyed(5, "c ", Some("3")),
    ];
    sink.put(all).await.unwrap();
    let rows = case.query("SELECT rtrim(id), name FROM padded ORDER BY id").await;
    let expected = [["a", "2"], ["c", "3"]].map(|r| r.map(|t| Some(t.to_owned())).to_vec());
    assert_eq!(rows, expected);
    case.drop_schema().await;
}

#[tokio::test]
async fn every_cell_of_the_type_table_is_stored_exactly() {
    let Some(case) = Case::of("every_cell_of_the_type_table_is_stored_exactly").await else { return };
    check_types(&case, "types", &TYPES).await;
    case.drop_schema().await;
}

const TYPES: [(&str, Option<&str>); 24] = [
    ("i8", Some("-128")),
    ("i16", Some("-32768")),
    ("i32", Some("-2147483648")),
    ("i64", Some("-9223372036854775808")),
    ("i64max", Some("9223372036854775807")),
    ("f32", Some("1.5")),
    ("f64", Some("0.1")),
    ("b", Some("t")),
    ("s", Some("größe \u{1F600} \\ ' \"")),
    ("bytes", Some("\\x706c61696e")),
    ("dec", Some("-12.34")),
    ("d", Some("2024-01-01")),
    ("t", Some("23:59:59.999")),
    ("ts", Some("2024-01-02 03:04:05.678")),
    ("dd", Some("2024-01-01")),
    ("mt", Some("01:01:01.000001")),
    ("mts", Some("2024-01-02 03:04:05.678901")),
    ("nts", Some("2024-01-02 03:04:05.678901")),
    ("zts", Some("2024-01-02 03:04:05.678901+00")),
    ("y", Some("2024")),
    ("j", Some("{\"a\": 1}")),
    ("u", Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("e", Some("a")),
    ("nul", None),
];

//! The table of an offsets topic.
use crate::record;
use elasticflow_store::offsets::OffsetTable;
use serde_json::json;

#[test]
fn keys_are_compared_as_json_and_the_newest_key_bytes_are_kept() {
    let mut table = OffsetTable::default();
    table.fold(&record(0, r#"["c",{"a":1,"b":2}]"#, Some(r#"{"p":1}"#))).unwrap();
    table.fold(&record(1, r#"["c",{"b":2,"a":1}]"#, Some(r#"{"p":2}"#))).unwrap();
    let stored = table.of("c");
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].offset, Ok(json!({"p":2})));
    assert_eq!(&stored[0].key[..], br#"["c",{"b":2,"a":1}]"#);
}

#[test]
fn a_position_that_cannot_be_decoded_is_not_an_absent_one() {
    let mut table = OffsetTable::default();
    table.fold(&record(0, r#"["c",{"a":1}]"#, Some("{\"p\":"))).unwrap();
    let stored = table.of("c");
    assert!(stored[0].offset.is_err(), "{stored:?}");
}

#[test]
fn a_foreign_key_is_reported_and_harms_nobody() {
    let mut table = OffsetTable::default();
    for key in ["nonsense", "[1,{}]", "[\"c\"]", "[\"c\",{},1]", "\u{1}"] {
        assert!(table.fold(&record(0, key, Some("{}"))).is_err(), "{key}");
    }
    table.fold(&record(1, r#"["c",null]"#, Some(r#"{"p":1}"#))).unwrap();
    assert_eq!(table.of("c").len(), 1);
}

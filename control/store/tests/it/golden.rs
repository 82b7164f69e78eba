//! Rows recorded from Kafka Connect, read and written again.
use crate::record;
use elasticflow_store::config::{self, ConfigRecord, ConfigState, TargetState};
use elasticflow_store::{offsets, status};
use serde_json::Value as Json;

const ROWS: &str = include_str!("../golden/internal-topics.jsonl");

struct Row {
    id: String,
    topic: String,
    key: String,
    value: Option<String>,
}

/// Matchers that stand for numbers become numbers; the others are texts and can stay.
fn rows(topic: &str) -> Vec<Row> {
    let parse = |line: &str| {
        let row: Json = serde_json::from_str(line).unwrap();
        let text = |field: &str| row[field].as_str().map(str::to_owned);
        let value = text("value").map(|v| v.replace("\"${int}\"", "3").replace("\"${ms}\"", "1700000000000"));
        Row { id: text("id").unwrap(), topic: text("topic").unwrap(), key: text("key").unwrap(), value }
    };
    let all = ROWS.lines().map(parse).filter(|r| r.topic == topic).collect::<Vec<_>>();
    assert!(all.len() > 5, "the recording has rows of the {topic} topic");
    all
}

/// Member order of properties is free; everything else is compared as bytes.
fn assert_same(id: &str, written: Option<&str>, recorded: Option<&str>) {
    let parsed = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    assert_eq!(written.map(parsed), recorded.map(parsed), "{id}");
    let length = |text: Option<&str>| text.map(str::len);
    assert_eq!(length(written), length(recorded), "{id}: no blanks, the same escapes");
}

#[test]
fn every_recorded_config_row_is_read_and_written_back() {
    for row in rows("config") {
        let decoded = config::decode(row.key.as_bytes(), row.value.as_deref().map(str::as_bytes)).unwrap();
        assert!(!matches!(decoded, ConfigRecord::Unknown { .. }), "{}: {decoded:?}", row.id);
        if decoded == ConfigRecord::SessionKey {
            continue; // read, never written
        }
        let (key, value) = config::encode(&decoded).unwrap();
        assert_eq!(key, row.key, "{}", row.id);
        assert_same(&row.id, value.as_deref(), row.value.as_deref());
    }
}

#[test]
fn every_recorded_status_row_is_read_and_written_back() {
    for row in rows("status") {
        let decoded = status::decode(row.key.as_bytes(), row.value.as_deref().map(str::as_bytes)).unwrap();
        let (key, value) = status::encode(&decoded).unwrap();
        assert_eq!((key, value), (row.key, row.value), "{}: byte for byte", row.id);
    }
}

#[test]
fn every_recorded_offset_row_keeps_its_key_bytes() {
    let mut table = offsets::OffsetTable::default();
    for (n, row) in (0i64..).zip(rows("offset")) {
        table.fold(&record(n, &row.key, row.value.as_deref())).unwrap();
        let parsed: Json = serde_json::from_str(&row.key).unwrap();
        let connector = parsed[0].as_str().unwrap();
        assert_eq!(offsets::encode_key(connector, &parsed[1]), row.key, "{}", row.id);
        let stored = table.of(connector).into_iter().find(|p| p.partition == parsed[1]);
        let offset = stored.map(|p| p.offset.unwrap().to_string());
        assert_eq!(offset, row.value, "{}", row.id);
    }
}

#[test]
fn the_recorded_life_of_a_connector_folds_to_what_connect_showed() {
    let mut state = ConfigState::default();
    let mut seen = Vec::new();
    for (n, row) in (0i64..).zip(rows("config")) {
        state.fold(&record(n, &row.key, row.value.as_deref()));
        let shown = state.connector("src1").map(|c| (c.target, c.tasks.len()));
        if seen.last() != Some(&shown) {
            seen.push(shown);
        }
    }
    use TargetState::{Paused, Started, Stopped};
    let expected = [
        None,
        Some((Started, 0)),
        Some((Started, 1)),
        Some((Paused, 1)),
        Some((Started, 1)),
        Some((Started, 0)),
        Some((Stopped, 0)),
        Some((Paused, 0)),
        Some((Started, 0)),
        Some((Started, 1)),
        Some((Started, 0)),
        Some((Stopped, 0)),
        None,
    ];
    assert_eq!(seen, expected);
    assert!(state.connectors().is_empty(), "both connectors were deleted");
    assert_eq!(state.fencing("e1").recorded, Some(0), "fencing outlives the connector");
    assert_eq!(state.fencing("e1").most, 1);
}

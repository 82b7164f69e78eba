//! Decoders against every cut of their input, and against bytes that nobody would write.
use super::columns::{Columns, Rules};
use super::csv::{CsvRows, Dialect};
use super::lines::{Lines, TextLine};
use super::text::Charset;
use super::{Decode, Step};
use bytes::Bytes;
use elasticflow_api::data::Value;
use proptest::prelude::*;
use std::sync::Arc;

fn csv(width: usize, bytes_max: usize) -> CsvRows {
    let rules = Rules {
        schema: None,
        key: Vec::new(),
        empty_is_null: false,
        pad: true,
        charset: Charset::new(encoding_rs::UTF_8, true),
    };
    let dialect = Dialect { separator: b',', quote: b'"', escape: None, bytes_max };
    CsvRows::new(dialect, Columns::unnamed(width, &rules).unwrap(), Arc::new(rules))
}

/// What a decoder makes of pieces, and after which byte each record ended.
fn decoded(decode: &mut dyn Decode, pieces: &[&[u8]]) -> Vec<(String, usize)> {
    let (mut records, mut given, mut rest) = (Vec::new(), 0, Bytes::new());
    for (at, piece) in pieces.iter().enumerate() {
        rest = Bytes::from([&rest[..], piece].concat());
        given += piece.len();
        let mut is_end = false;
        loop {
            match decode.step(&mut rest, is_end) {
                Step::Record(row) => records.push((shown(&row.value.value), given - rest.len())),
                Step::Bad(reason) => records.push((reason, given - rest.len())),
                Step::TooLong => return records,
                Step::More if at + 1 == pieces.len() && !is_end => is_end = true,
                Step::More => break,
            }
        }
    }
    records
}

fn shown(value: &Value) -> String {
    match value {
        Value::Struct(row) => row.values.iter().map(|v| format!("{v:?};")).collect(),
        other => format!("{other:?}"),
    }
}

fn field() -> impl Strategy<Value = String> {
    "[a-z\u{feff}é ]{0,4}".prop_flat_map(|plain| {
        let quoted = "[a-z,\"\r\n]{0,6}".prop_map(|text| format!("\"{}\"", text.replace('"', "\"\"")));
        prop_oneof![Just(plain), quoted]
    })
}

fn document() -> impl Strategy<Value = String> {
    // A record may begin with the bytes of a byte order mark.
    let first = prop_oneof![Just("x"), Just("\u{feff}")];
    let row = (first, field(), field(), field()).prop_map(|(x, a, b, c)| format!("{x},{a},{b},{c}"));
    let end = prop_oneof![Just("\n"), Just("\r\n")];
    prop::collection::vec((row, end), 1..8)
        .prop_map(|rows| rows.into_iter().map(|(row, end)| format!("{row}{end}")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn csv_cut_at_any_byte_gives_the_same_records(document in document()) {
        let bytes = document.as_bytes();
        let whole = decoded(&mut csv(4, 1 << 20), &[bytes]);
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            let records: Vec<String> = decoded(&mut csv(4, 1 << 20), &[a, b]).into_iter().map(|r| r.0).collect();
            prop_assert_eq!(records, whole.iter().map(|r| r.0.clone()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn csv_resumed_after_any_record_gives_the_rest(document in document()) {
        let bytes = document.as_bytes();
        let whole = decoded(&mut csv(4, 1 << 20), &[bytes]);
        for (at, (_, end)) in whole.iter().enumerate() {
            let rest: Vec<String> = decoded(&mut csv(4, 1 << 20), &[&bytes[*end..]]).into_iter().map(|r| r.0).collect();
            prop_assert_eq!(rest, whole[at + 1..].iter().map(|r| r.0.clone()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_or_stand_still(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0usize..400, most in 1usize..64) {
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        let csv_records = decoded(&mut csv(2, most), &[a, b]);
        let text = TextLine::new(Charset::new(encoding_rs::UTF_8, false));
        let lines = decoded(&mut Lines::new(text, most), &[a, b]);
        prop_assert!(csv_records.len() <= bytes.len() + 1 && lines.len() <= bytes.len() + 1);
    }
}

#[test]
fn lines_end_with_either_line_end_and_the_last_one_with_the_file() {
    let text = || Lines::new(TextLine::new(Charset::new(encoding_rs::UTF_8, false)), 100);
    let records: Vec<String> = decoded(&mut text(), &[b"a\r\n\nb", b"c"]).into_iter().map(|r| r.0).collect();
    assert_eq!(records, [r#"String("a")"#, r#"String("")"#, r#"String("bc")"#]);
}

#[test]
fn bytes_of_another_charset_are_a_bad_record_or_replaced() {
    let lines = |encoding, replace| {
        let mut lines = Lines::new(TextLine::new(Charset::new(encoding, replace)), 100);
        decoded(&mut lines, &[b"caf\xe9\n"]).remove(0).0
    };
    assert_eq!(lines(encoding_rs::WINDOWS_1252, false), r#"String("café")"#);
    assert_eq!(lines(encoding_rs::UTF_8, false), "bytes that are not of the charset");
    assert_eq!(lines(encoding_rs::UTF_8, true), "String(\"caf\u{fffd}\")");
}

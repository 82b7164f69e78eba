//! Every recorded vector: what a real worker wrote from values and read from bytes.
//!
//! A vector that the data model has no value for is printed with its reason; the lists are part of the test, so that
//! one more or one less is a failure.
use crate::typed::{bytes, datum, has_unsorted_parameters};
use bytes::{Bytes, BytesMut};
use elasticflow_api::RecordError;
use elasticflow_api::convert::{Converter, DecodeError, EncodeError, HeaderConverter};
use elasticflow_api::data::{Datum, Headers};
use elasticflow_api::registry::{Plugin, PluginKind, Registry};
use elasticflow_config::Properties;
use elasticflow_formats::SerializationError;
use serde_json::Value as Json;
use std::sync::Arc;

fn registry() -> Registry {
    let mut registry = Registry::default();
    for entry in elasticflow_formats::plugins() {
        registry.add(entry).unwrap();
    }
    registry
}

fn vectors(text: &'static str) -> impl Iterator<Item = Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn properties(vector: &Json) -> Properties {
    vector["config"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect()
}

fn converter(vector: &Json) -> Arc<dyn Converter> {
    let registry = registry();
    let entry = registry.find(PluginKind::Converter, vector["converter"].as_str().unwrap()).unwrap();
    let Plugin::Converter(make) = entry.plugin else { panic!("not a converter") };
    make(&properties(vector), vector["is_key"].as_bool().unwrap_or(false)).unwrap()
}

fn header_converter(vector: &Json) -> Arc<dyn HeaderConverter> {
    let registry = registry();
    let entry = registry.find(PluginKind::HeaderConverter, vector["converter"].as_str().unwrap()).unwrap();
    let Plugin::HeaderConverter(make) = entry.plugin else { panic!("not a header converter") };
    make(&properties(vector)).unwrap()
}

/// What is wrong with one vector.
type Verdict = Result<(), String>;

fn check_error(vector: &Json, error: &RecordError) -> Verdict {
    let expected = &vector["error"];
    if expected.is_null() {
        return Err(format!("error {error}"));
    }
    if let Some(message) = expected["message"].as_str()
        && message != error.reason
    {
        return Err(format!("message {:?} instead of {message:?}", error.reason));
    }
    let serialization = error.source.as_ref().is_some_and(|source| source.is::<SerializationError>());
    let wanted = expected["cause_class"] == "org.apache.kafka.common.errors.SerializationException";
    if serialization == wanted { Ok(()) } else { Err("another cause".to_owned()) }
}

fn check_bytes(vector: &Json, expected: &Json, written: Option<&[u8]>) -> Verdict {
    if !vector["error"].is_null() && vector["product"].is_null() {
        return Err(format!("no error but {:?}", written.map(String::from_utf8_lossy)));
    }
    let expected = bytes(expected);
    if expected.as_deref() == written {
        return Ok(());
    }
    let shown = |b: Option<&[u8]>| b.map(|b| String::from_utf8_lossy(b).into_owned());
    Err(format!("wrote {:?} instead of {:?}", shown(written), shown(expected.as_deref())))
}

fn check_datum(expected: &Json, read: &Datum) -> Result<Verdict, &'static str> {
    let expected = datum(expected).map_err(|inexpressible| inexpressible.0)?;
    Ok(if expected == *read { Ok(()) } else { Err(format!("read {read:?} instead of {expected:?}")) })
}

/// Runs one vector; the outer error says why it cannot be expressed.
fn run(vector: &Json) -> Result<Verdict, &'static str> {
    match vector["op"].as_str().unwrap() {
        "encode" => {
            let input = datum(&vector["input"]).map_err(|inexpressible| inexpressible.0)?;
            if vector["config"]["schemas.enable"] == "true" && has_unsorted_parameters(&vector["input"]["schema"]) {
                return Err("the parameters of a schema in an order of their own");
            }
            let mut out = BytesMut::new();
            Ok(match converter(vector).encode("t", &input, &mut Headers::new(), &mut out) {
                Ok(there) => check_bytes(vector, &vector["output"], there.then_some(&out)),
                Err(EncodeError::Record(error)) => check_error(vector, &error),
                Err(other) => Err(format!("{other:?}")),
            })
        }
        "decode" => match converter(vector).decode("t", bytes(&vector["input"]).as_ref(), &Headers::new()) {
            Ok(_) if !vector["error"].is_null() => Ok(Err("no error".to_owned())),
            Ok(read) => check_datum(&vector["output"], &read),
            Err(DecodeError::Record(error)) => Ok(check_error(vector, &error)),
            Err(other) => Ok(Err(format!("{other:?}"))),
        },
        "header-encode" => {
            let input = datum(&vector["input"]).map_err(|inexpressible| inexpressible.0)?;
            let mut out = BytesMut::new();
            let there = header_converter(vector).encode("t", "h", &input, &mut out).unwrap();
            Ok(check_bytes(vector, &vector["output"], there.then_some(&out)))
        }
        "header-round-trip" => run_header(vector),
        other => panic!("unknown op {other}"),
    }
}

fn run_header(vector: &Json) -> Result<Verdict, &'static str> {
    let expected = if vector["product"].is_null() { vector } else { &vector["product"] };
    let converter = header_converter(vector);
    let read = converter.decode("t", "h", bytes(&vector["input"]).as_ref()).unwrap();
    let verdict = check_datum(&expected["output"], &read)?;
    let mut out = BytesMut::new();
    let there = converter.encode("t", "h", &read, &mut out).unwrap();
    Ok(verdict.and_then(|()| check_bytes(vector, &expected["written"], there.then_some(&out))))
}

/// Runs a file of vectors. `inexpressible` lists those that the data model has no value for.
fn run_all(text: &'static str, inexpressible: &[&str]) {
    let mut failures = Vec::new();
    let mut left_out = Vec::new();
    let mut passed = 0;
    for vector in vectors(text) {
        let id = vector["id"].as_str().unwrap().to_owned();
        match run(&vector) {
            Ok(Ok(())) => passed += 1,
            Ok(Err(problem)) => failures.push(format!("{id} {}: {problem}", vector["name"])),
            Err(reason) => {
                println!("not expressible: {id} {}: {reason}", vector["name"]);
                left_out.push(id);
            }
        }
    }
    println!("{passed} vectors equal, {} not expressible", left_out.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(left_out, inexpressible);
}

#[test]
fn json_is_written_as_connect_writes_it() {
    run_all(
        include_str!("../golden/json-encode.jsonl"),
        &[
            "json-encode-091",
            "json-encode-103",
            "json-encode-104",
            "json-encode-128",
            "json-encode-148",
            "json-encode-149",
            "json-encode-150",
        ],
    );
}

#[test]
fn json_is_read_as_connect_reads_it() {
    run_all(include_str!("../golden/json-decode.jsonl"), &["json-decode-056"]);
}

#[test]
fn other_converters_write_and_read_as_connect_does() {
    run_all(include_str!("../golden/converters.jsonl"), &[]);
}

#[test]
fn headers_are_read_and_written_as_connect_does() {
    run_all(include_str!("../golden/header-simple.jsonl"), &[]);
}

#[test]
fn a_number_of_smaller_scale_is_read_at_the_scale_of_its_schema() {
    let vector = vectors(include_str!("../golden/json-decode.jsonl")).find(|v| v["id"] == "json-decode-056").unwrap();
    let read = converter(&vector).decode("t", bytes(&vector["input"]).as_ref(), &Headers::new()).unwrap();
    assert_eq!(read.value, elasticflow_api::data::Value::Bytes(Bytes::from_static(&[0, 150])));
}

//! Every recorded vector: what real transforms and predicates made of records, and what they refused.
//!
//! A vector that is not met is printed with its reason; the lists are part of the test, so that one more or one less is
//! a failure.
use crate::typed::{Inexpressible, datum};
use elasticflow_api::convert::{Predicate, Transform};
use elasticflow_api::data::{Record, Value};
use elasticflow_api::position::Offset;
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_config::Properties;
use serde_json::Value as Json;
use std::sync::Arc;

/// A schemaless decimal or date is plain bytes or a plain number here: the data model has no value for it.
const NO_VALUE: [&str; 4] = ["smt-069", "smt-070", "smt-195", "smt-241"];
/// Connect puts the value of the field into the message; here its length stands in its place.
const CONTENTS: [&str; 3] = ["smt-187", "smt-188", "smt-282"];

fn entry(class: &str) -> PluginEntry {
    elasticflow_transforms::plugins().into_iter().find(|e| e.class == class).unwrap_or_else(|| panic!("no {class}"))
}

fn properties(vector: &Json) -> Properties {
    vector["config"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect()
}

fn transform(vector: &Json) -> Result<Arc<dyn Transform>, String> {
    let Plugin::Transform(make) = entry(vector["transform"].as_str().unwrap()).plugin else { panic!("no transform") };
    make(&properties(vector)).map_err(|e| e.message)
}

fn predicate(vector: &Json) -> Result<Arc<dyn Predicate>, String> {
    let Plugin::Predicate(make) = entry(vector["predicate"].as_str().unwrap()).plugin else { panic!("no predicate") };
    make(&properties(vector)).map_err(|e| e.message)
}

/// The record, and its offset.
fn record(json: &Json) -> Result<(Record, Offset), Inexpressible> {
    let header = |h: &Json| Ok((h["key"].as_str().unwrap().into(), datum(h)?));
    let headers = json["headers"].as_array().unwrap().iter().map(header).collect::<Result<_, _>>()?;
    let record = Record {
        topic: json["topic"].as_str().unwrap().into(),
        partition: json["partition"].as_i64().map(|n| i32::try_from(n).unwrap()),
        key: datum(&json["key"])?,
        value: datum(&json["value"])?,
        headers,
        timestamp_ms: json["timestamp"].as_i64(),
    };
    Ok((record, Offset(json["offset"].as_i64().unwrap())))
}

/// Maps have no order.
fn sorted(mut record: Record) -> Record {
    sort(&mut record.key.value);
    sort(&mut record.value.value);
    record
}

fn sort(value: &mut Value) {
    match value {
        Value::Map(pairs) => {
            pairs.iter_mut().for_each(|(_, v)| sort(v));
            pairs.sort_by_key(|(key, _)| format!("{key:?}"));
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Struct(record) => record.values.iter_mut().for_each(sort),
        _ => {}
    }
}

fn check_message(expected: &Json, message: &str) -> Result<(), String> {
    let exact = expected["message"].as_str().is_none_or(|m| m == message);
    let begins = expected["message_prefix"].as_str().is_none_or(|m| message.starts_with(m));
    if exact && begins { Ok(()) } else { Err(format!("message {message:?}, expected {expected}")) }
}

fn run(vector: &Json) -> Result<(), String> {
    let inexpressible = |e: Inexpressible| e.0.to_owned();
    let (input, offset) = record(&vector["input"]).map_err(inexpressible)?;
    let outcome = transform(vector).and_then(|transform| transform.apply_at(input, Some(offset)).map_err(|e| e.reason));
    match outcome {
        Err(message) if !vector["error"].is_null() => check_message(&vector["error"], &message),
        Err(message) => Err(format!("error {message}")),
        Ok(_) if !vector["error"].is_null() => Err("no error".to_owned()),
        Ok(None) if vector["output"].is_null() => Ok(()),
        Ok(None) => Err("dropped".to_owned()),
        Ok(Some(_)) if vector["output"].is_null() => Err("not dropped".to_owned()),
        Ok(Some(output)) => {
            let (expected, _) = record(&vector["output"]).map_err(inexpressible)?;
            let (expected, output) = (sorted(expected), sorted(output));
            if expected == output { Ok(()) } else { Err(format!("{output:#?}\n  instead of {expected:#?}")) }
        }
    }
}

fn run_config(vector: &Json) -> Result<(), String> {
    match transform(vector) {
        Ok(_) if vector["output"] == "accepted" => Ok(()),
        Ok(_) => Err("accepted".to_owned()),
        Err(message) if !vector["error"].is_null() => check_message(&vector["error"], &message),
        Err(message) => Err(format!("error {message}")),
    }
}

fn run_predicate(vector: &Json) -> Result<(), String> {
    let (input, _) = record(&vector["input"]).map_err(|e| e.0.to_owned())?;
    match predicate(vector) {
        Err(message) if !vector["error"].is_null() => check_message(&vector["error"], &message),
        Err(message) => Err(format!("error {message}")),
        Ok(predicate) if predicate.test(&input) == vector["output"] => Ok(()),
        Ok(_) => Err("another answer".to_owned()),
    }
}

fn run_all(text: &str, run: fn(&Json) -> Result<(), String>, not_met: &[&str]) {
    let mut failures = Vec::new();
    let mut met = 0;
    for vector in text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()) {
        let id = vector["id"].as_str().unwrap();
        match (run(&vector), not_met.contains(&id)) {
            (Ok(()), false) => met += 1,
            (Ok(()), true) => failures.push(format!("{id} is met: take it off the list")),
            (Err(problem), true) => println!("not met: {id} {}: {problem}", vector["name"]),
            (Err(problem), false) => failures.push(format!("{id} {}: {problem}", vector["name"])),
        }
    }
    println!("{met} vectors equal, {} not met", not_met.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn records_are_transformed_as_connect_transforms_them() {
    run_all(include_str!("../golden/smt.jsonl"), run, &[NO_VALUE.as_slice(), &CONTENTS].concat());
}

#[test]
fn configurations_are_refused_as_connect_refuses_them() {
    run_all(include_str!("../golden/smt-config.jsonl"), run_config, &[]);
}

#[test]
fn predicates_answer_as_those_of_connect_do() {
    run_all(include_str!("../golden/predicate.jsonl"), run_predicate, &[]);
}

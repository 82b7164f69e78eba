//! What Confluent's Avro converter wrote and read, replayed.
use crate::converting::{Failed, decode, encode, try_converter};
use crate::server::TestRegistry;
use crate::typed::{bytes, datum};
use elasticflow_api::data::{Datum, Schema};
use elasticflow_config::Properties;
use serde_json::{Value as Json, json};
use std::sync::Arc;

async fn run(vector: &Json) -> Result<(), String> {
    let server = TestRegistry::start().await;
    let mut properties: Properties = vector["config"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
        .collect();
    properties = properties.with("schema.registry.url", server.url.as_str());
    let class = vector["converter"].as_str().unwrap();
    let converter = try_converter(class, properties, vector["is_key"].as_bool().unwrap()).unwrap();
    let topic = vector["topic"].as_str().unwrap();
    let registered = &vector["registered"];
    if vector["op"] == "encode" {
        let input = datum(&vector["input"]).unwrap();
        let output = encode(&*converter, topic, &input).await;
        if !vector["error"].is_null() {
            return refused(output.err(), &vector["error"]);
        }
        let output = output.map_err(|e| e.text())?;
        same("bytes", &output, &bytes(&vector["output"]))?;
        if registered.is_null() {
            return same("requests", &server.requests(), &Vec::new());
        }
        let (text, subjects) = {
            let kept = server.state.lock().unwrap();
            (kept.schemas[0].1.clone(), kept.subjects.keys().cloned().collect::<Vec<_>>())
        };
        same("schema", &text, &registered["schema"].to_string())?;
        same("subject", &subjects, &vec![registered["subject"].as_str().unwrap().to_owned()])?;
        let again = decode(&*converter, topic, output.as_ref()).await.map_err(|e| e.text())?;
        return same("decoded again", &again, &expected(&vector["decoded_again"]));
    }
    if !registered.is_null() {
        let id =
            server.put(registered["subject"].as_str().unwrap(), "AVRO", &registered["schema"].to_string(), json!([]));
        assert_eq!(id, registered["id"].as_u64().unwrap() as usize);
    }
    let output = decode(&*converter, topic, bytes(&vector["input"]).as_ref()).await;
    let wanted = if vector["product"].is_null() { vector } else { &vector["product"] };
    if wanted["output"].is_null() {
        return refused(output.err(), &vector["error"]);
    }
    same("decoded", &output.map_err(|e| e.text())?, &expected(&wanted["output"]))
}

/// The recorded schema of a struct stands on its values, too.
fn expected(json: &Json) -> Datum {
    datum(json).unwrap()
}

fn refused(failed: Option<Failed>, error: &Json) -> Result<(), String> {
    let Some(failed) = failed else { return Err("it is converted".to_owned()) };
    let message = error["message"].as_str().unwrap_or_default().trim_end();
    let text = failed.text();
    if text.contains(message) { Ok(()) } else { Err(format!("refused as {text:?}, not {message:?}")) }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, wanted: &T) -> Result<(), String> {
    if is == wanted { Ok(()) } else { Err(format!("{what}:\n    is     {is:?}\n    wanted {wanted:?}")) }
}

#[tokio::test]
async fn avro_is_written_and_read_as_the_recorded_converter_does() {
    let mut failures = Vec::new();
    let mut count = 0;
    for line in include_str!("../golden/avro.jsonl").lines() {
        let vector: Json = serde_json::from_str(line).unwrap();
        count += 1;
        if let Err(problem) = run(&vector).await {
            failures.push(format!("{} {}: {problem}", vector["id"], vector["name"]));
        }
    }
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(count, 51);
}

#[tokio::test]
async fn equal_schemas_at_other_addresses_are_registered_once() {
    let server = TestRegistry::start().await;
    let converter = crate::converting::converter(crate::converting::AVRO, &server.url, &[]);
    let vector: Json = include_str!("../golden/avro.jsonl")
        .lines()
        .map(|l| serde_json::from_str::<Json>(l).unwrap())
        .find(|v| v["name"] == "struct")
        .unwrap();
    for _ in 0..5 {
        let mut input = datum(&vector["input"]).unwrap();
        input.schema = input.schema.map(|schema| Arc::new(Schema::clone(&schema)));
        encode(&*converter, "t", &input).await.unwrap();
    }
    assert_eq!(server.requests(), ["POST /base/subjects/t-value/versions"]);
}

//! Data streams: their names, and how one comes to be.
//!
//! A data stream is made by its first document, if an index template says that its name is one's. So a missing template is
//! made here, for this one name; a template of somebody else's that fits is used as it is.
use crate::answer::ServerError;
use crate::client::{Call, Client, Reply};
use crate::error::Error;
use crate::mapping::{merge, missing};
use crate::template::{Fitting, fitting};
use serde_json::{Map, Value as Json, json};
use tracing::info;

/// Elasticsearch's limit of a part of the name, in bytes.
const PART_BYTES_MAX: usize = 100;
/// Above the templates for `logs-*-*` that a server brings.
const PRIORITY: u32 = 500;
/// What the indices behind a data stream begin with.
const BACKING: &str = ".ds-";

/// Checks `data.stream.dataset`.
pub(crate) fn check_dataset(text: &str) -> Result<(), String> {
    check_part(text)?;
    if text.contains('-') {
        Err("must be without a hyphen, which separates the parts of the name".to_owned())
    } else {
        Ok(())
    }
}

/// Checks `data.stream.namespace`.
pub(crate) fn check_namespace(text: &str) -> Result<(), String> {
    check_part(&text.replace("${topic}", "t"))
}

fn check_part(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > PART_BYTES_MAX {
        return Err(format!("must have from 1 to {PART_BYTES_MAX} bytes"));
    }
    let forbidden = |c: char| c.is_uppercase() || c.is_whitespace() || "\\/*?\"<>|,#:${}".contains(c);
    match text.chars().find(|c| forbidden(*c)) {
        Some(c) => Err(format!("must be lower case and without {c:?}")),
        None => Ok(()),
    }
}

/// Refuses an index that has the name of the stream.
pub(crate) fn check_is_stream(name: &str, settings: &Reply) -> Result<(), Error> {
    let indices: Json = serde_json::from_slice(&settings.body).unwrap_or_default();
    let streamed = indices.as_object().is_some_and(|all| all.keys().all(|index| index.starts_with(BACKING)));
    if streamed {
        Ok(())
    } else {
        Err(Error::NoStream { name: name.to_owned(), found: "an index or an alias".to_owned() })
    }
}

/// What a template that is made here holds.
pub(crate) struct Contents<'a> {
    pub(crate) settings: &'a Json,
    /// Of a file.
    pub(crate) mapping: Option<&'a Json>,
    /// Of schemas.
    pub(crate) properties: &'a Map<String, Json>,
}

fn own_template(stream: &str) -> String {
    format!("/_index_template/elasticflow-{stream}")
}

fn body(stream: &str, contents: &Contents<'_>) -> Json {
    let mappings = contents.mapping.cloned().unwrap_or_else(|| json!({"properties": contents.properties}));
    let template = json!({"settings": contents.settings, "mappings": mappings});
    json!({"index_patterns": [stream], "data_stream": {}, "priority": PRIORITY, "template": template})
}

/// Makes sure that the first document makes a data stream of this name.
pub(crate) async fn create(client: &Client, stream: &str, contents: &Contents<'_>) -> Result<(), Error> {
    match fitting(client, stream).await? {
        Fitting::Stream => {}
        Fitting::Index { template } => {
            let found = format!("an index, by the index template {template}");
            return Err(Error::NoStream { name: stream.to_owned(), found });
        }
        Fitting::Nothing => {
            put_template(client, stream, &body(stream, contents)).await?;
            info!(stream, template = format!("elasticflow-{stream}"), "index template created for a data stream");
        }
    }
    let reply = client.ask_patiently(&Call::put(&format!("/_data_stream/{stream}"))).await?;
    match reply.status {
        200..=299 => {
            info!(stream, "data stream created");
            Ok(())
        }
        // A server without this call makes the stream with its first document.
        405 => Ok(()),
        400 if is_there_or_later(&reply) => Ok(()),
        _ => Err(reply.refusal()),
    }
}

/// Another task was faster; or the server does not know the call.
fn is_there_or_later(reply: &Reply) -> bool {
    let ServerError { kind, reason } = ServerError::from_body(&reply.body);
    kind == "resource_already_exists_exception" || reason.starts_with("no handler found")
}

async fn put_template(client: &Client, stream: &str, body: &Json) -> Result<(), Error> {
    let reply = client.ask_patiently(&Call::put_json(&own_template(stream), body)).await?;
    if (200..300).contains(&reply.status) { Ok(()) } else { Err(reply.refusal()) }
}

/// Gives fields that schemas have brought later to the template that was made here, so that the indices to come have them.
pub(crate) async fn widen_template(client: &Client, stream: &str, wanted: &Map<String, Json>) -> Result<(), Error> {
    let reply = client.ask_patiently(&Call::get(&own_template(stream))).await?;
    match reply.status {
        200 => {}
        404 => return Ok(()),
        _ => return Err(reply.refusal()),
    }
    let mut found: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
    let Some(mut body) = found.pointer_mut("/index_templates/0/index_template").map(Json::take) else { return Ok(()) };
    let Some(Json::Object(there)) = body.pointer_mut("/template/mappings/properties") else { return Ok(()) };
    let lacking = missing(wanted, &Json::Object(there.clone()));
    if lacking.is_empty() {
        return Ok(());
    }
    merge(there, lacking);
    // The answer has more in it than every version of the server takes.
    body["data_stream"] = json!({});
    put_template(client, stream, &body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_name_are_checked() {
        for good in ["app", "nginx.access", "a_1"] {
            assert_eq!(check_dataset(good), Ok(()));
        }
        for bad in ["", "App", "a-b", "a b", "a*", "a:b", "${topic}"] {
            assert!(check_dataset(bad).is_err(), "{bad}");
        }
        assert_eq!(check_dataset(&"x".repeat(100)), Ok(()));
        assert!(check_dataset(&"x".repeat(101)).is_err());
        assert_eq!(check_namespace("${topic}"), Ok(()));
        assert_eq!(check_namespace("eu-${topic}"), Ok(()));
        assert!(check_namespace("${timestamp:yyyy}").is_err());
    }
}

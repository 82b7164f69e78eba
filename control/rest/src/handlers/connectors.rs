//! Connectors and their configurations.
use super::{Call, shown};
use crate::answer::Answer;
use crate::body;
use crate::guard::may_touch;
use crate::path::encode;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use elasticflow_config::infos::Remarks;
use elasticflow_herder::answer::{ConfigPatch, ConnectorInfo, Put};
use elasticflow_herder::validation::refuse_nulls;
use serde_json::{Map, Value, json};

pub(super) async fn list(rest: &Rest, call: &Call) -> Result<Answer, Problem> {
    let expand: Vec<&str> = call.all("expand").collect();
    if expand.is_empty() {
        let mut names = rest.herder.connectors().await?;
        names.retain(|name| call.caller.sees(name));
        return Ok(Answer::ok(&names));
    }
    let mut connectors = Map::new();
    for (info, status) in rest.herder.all().await? {
        if !call.caller.sees(&info.name) {
            continue;
        }
        let mut members = Map::new();
        if expand.contains(&"status") {
            // A connector whose status is not known yet is left out, as in Connect.
            let Some(status) = status else { continue };
            members.insert("status".to_owned(), json!(shown(rest, status)));
        }
        if expand.contains(&"info") {
            members.insert("info".to_owned(), json!(info));
        }
        connectors.insert(info.name, Value::Object(members));
    }
    Ok(Answer::ok(&connectors))
}

pub(super) async fn create(rest: &Rest, call: &Call) -> Result<Answer, Problem> {
    let request = body::create(&call.body)?;
    may_touch(&call.caller, &request.name)?;
    let (values, nulls) = (request.config.values, request.config.nulls);
    if !nulls.is_empty() {
        return Err(refuse_nulls(&request.name, values, &nulls, rest.herder.context()).await.into());
    }
    let put = rest.herder.create(&request.name, values, request.state).await?;
    Ok(stored(rest, put, call))
}

pub(super) async fn put(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let posted = body::config(&call.body)?;
    if !posted.nulls.is_empty() {
        return Err(refuse_nulls(name, posted.values, &posted.nulls, rest.herder.context()).await.into());
    }
    let put = rest.herder.put_config(name, posted.values).await?;
    Ok(stored(rest, put, call))
}

pub(super) async fn patch(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let posted = body::config(&call.body)?;
    let mut patch: ConfigPatch = posted.values.0.into_iter().map(|(k, v)| (k, Some(v))).collect();
    patch.extend(posted.nulls.into_iter().map(|key| (key, None)));
    Ok(Answer::ok(&told(rest, rest.herder.patch_config(name, &patch).await?)))
}

pub(super) async fn delete(rest: &Rest, name: &str) -> Result<Answer, Problem> {
    rest.herder.delete(name).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// 201 with the place for a new connector, 200 for a changed one.
fn stored(rest: &Rest, put: Put, call: &Call) -> Answer {
    let info = told(rest, put.info);
    if !put.created {
        return Answer::ok(&info);
    }
    let at = stored_at(&info.name, &call.headers, call.is_https);
    Answer::json(StatusCode::CREATED, &info).located(&at)
}

/// Without what Kafka Connect does not say, if the answers are to be its own.
fn told(rest: &Rest, mut info: ConnectorInfo) -> ConnectorInfo {
    if !rest.options.extensions {
        info.elasticflow = Remarks::default();
    }
    info
}

/// Where a connector can be asked for.
pub(crate) fn stored_at(name: &str, headers: &HeaderMap, is_https: bool) -> String {
    let scheme = if is_https { "https" } else { "http" };
    let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}/connectors/{}", encode(name))
}

//! Requests that another worker has to carry out: writes are the leader's, a task is restarted where it runs.
//!
//! A request is passed on with `forward=false`: whoever gets it carries it out or says that it cannot, in which case
//! the first worker looks again who can. Nothing is asked for twice unless it was certainly not carried out. Of the
//! caller's headers only `Authorization` goes along, as between Java workers; the worker that is asked checks it itself.
use crate::access::Grant;
use crate::answer::Answer;
use crate::connections::Peer;
use crate::handlers::{Call, handle};
use crate::problem::{Place, Problem};
use crate::resource::Resource;
use crate::serve::Rest;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Wait before it is looked again who can carry a request out.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Largest answer that is passed on.
const ANSWER_MAX: usize = 64 << 20;
/// A worker of the same group is near; one that cannot be reached by then has gone.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The client for requests to other workers; made when the first one is passed on.
#[derive(Clone, Default)]
pub struct Forwarder(Arc<OnceLock<reqwest::Client>>);

impl Forwarder {
    fn client(&self) -> &reqwest::Client {
        self.0.get_or_init(|| {
            let built = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_MAX).build();
            built.unwrap_or_default()
        })
    }
}

/// What a request asks for, and who asks: resource, query, body, caller.
pub(crate) type Asked = (Resource, Vec<(String, String)>, Bytes, Arc<Grant>);

/// Carries a request out, here or elsewhere.
pub(crate) async fn anywhere(rest: &Rest, parts: &Parts, asked: Asked) -> Result<Answer, Problem> {
    let (resource, query, body, caller) = asked;
    let is_https = is_https(parts);
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let here_alone = query.iter().any(|(key, value)| key == "forward" && value.eq_ignore_ascii_case("false"));
    loop {
        let (headers, query) = (parts.headers.clone(), query.clone());
        let caller = Arc::clone(&caller);
        let call = Call { method: method.clone(), headers, query, body: body.clone(), caller, is_https };
        let problem = match handle(rest, resource.clone(), call).await {
            Err(problem) if problem.place != Place::Here && !here_alone => problem,
            outcome => return outcome,
        };
        if let Place::At(url) = &problem.place {
            match pass_on(rest, url, parts, &body).await {
                Passed::Answered(answer) => return Ok(answer),
                Passed::Failed(problem) => return Err(problem),
                Passed::NotThere => {}
            }
        }
        rest.herder.context().clock.sleep(LOOK_AGAIN).await;
    }
}

enum Passed {
    Answered(Answer),
    Failed(Problem),
    /// Certainly not carried out.
    NotThere,
}

async fn pass_on(rest: &Rest, url: &str, parts: &Parts, body: &Bytes) -> Passed {
    let mut request = rest
        .options
        .forwarder
        .client()
        .request(parts.method.clone(), address(url, parts))
        .timeout(rest.options.request_timeout)
        .body(body.clone());
    if let Some(credentials) = parts.headers.get(AUTHORIZATION) {
        request = request.header(AUTHORIZATION, credentials);
    }
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    match request.send().await {
        Ok(answer) => take(rest, answer, parts).await,
        Err(error) if error.is_connect() => {
            tracing::debug!(url, "the worker that has to carry out a request cannot be reached");
            Passed::NotThere
        }
        Err(error) => Passed::Failed(broken(&error)),
    }
}

/// The path is the caller's own; other queries that say where to forward to are left out.
fn address(url: &str, parts: &Parts) -> String {
    let query = parts.uri.query().unwrap_or("");
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("forward="));
    let query: Vec<&str> = kept.chain(["forward=false"]).collect();
    format!("{url}{}?{}", parts.uri.path(), query.join("&"))
}

async fn take(rest: &Rest, answer: reqwest::Response, parts: &Parts) -> Passed {
    let status = answer.status();
    let media_type = answer.headers().get(CONTENT_TYPE).cloned();
    let location = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok()).map(str::to_owned);
    let too_large = answer.content_length().is_some_and(|length| length > ANSWER_MAX as u64);
    let body = match answer.bytes().await {
        Ok(body) if !too_large => body,
        Ok(_) => return Passed::Failed(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer is too large")),
        Err(error) => return Passed::Failed(broken(&error)),
    };
    if status == StatusCode::CONFLICT && is_refusal(&body) {
        return Passed::NotThere;
    }
    // What was changed there is shown here before the caller is told.
    if status.is_success() && parts.method != Method::GET && rest.herder.sync().await.is_err() {
        tracing::debug!("a change that another worker has made may not be shown here yet");
    }
    let passed = Answer::passed_on(status, media_type, body.to_vec());
    Passed::Answered(match location.as_deref().and_then(path_of) {
        Some(path) => {
            let host = parts.headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
            let scheme = if is_https(parts) { "https" } else { "http" };
            passed.located(&format!("{scheme}://{host}{path}"))
        }
        None => passed,
    })
}

fn is_https(parts: &Parts) -> bool {
    parts.extensions.get::<Peer>().is_some_and(|peer| peer.is_https)
}

/// The other worker cannot carry it out either.
fn is_refusal(body: &[u8]) -> bool {
    let message = elasticflow_herder::HerderError::Moving.to_string();
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    parsed.is_some_and(|body| body.get("message").and_then(|m| m.as_str()) == Some(message.as_str()))
}

/// The path of an absolute URL.
fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.find('/').and_then(|at| rest.get(at..))
}

fn broken(error: &reqwest::Error) -> Problem {
    let text = format!("IO Error trying to forward REST request: {}", root(error));
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// The innermost reason; the outer ones repeat the URL.
fn root(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> Parts {
        axum::http::Request::builder().uri(uri).body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_path_and_the_query_go_along_and_the_next_worker_passes_nothing_on() {
        let address = |uri: &str| address("http://w:1", &parts(uri));
        assert_eq!(
            address("/connectors/a%2Fb/restart?includeTasks=true"),
            "http://w:1/connectors/a%2Fb/restart?includeTasks=true&forward=false"
        );
        assert_eq!(address("/connectors?forward=true"), "http://w:1/connectors?forward=false");
    }

    #[test]
    fn the_refusal_of_a_worker_is_told_from_a_connector_that_exists() {
        assert!(is_refusal(br#"{"error_code":409,"message":"Cannot complete request because of a conflicting operation (e.g. worker rebalance)"}"#));
        assert!(!is_refusal(br#"{"error_code":409,"message":"Connector c already exists"}"#));
        assert!(!is_refusal(b""));
    }

    #[test]
    fn a_location_keeps_its_path() {
        assert_eq!(path_of("http://leader:8083/connectors/c"), Some("/connectors/c"));
        assert_eq!(path_of("nothing"), None);
    }
}

//! Requests that another worker has to carry out: writes are the leader's, a task is restarted where it runs.
//!
//! A request is passed on with `forward=false`: whoever gets it carries it out or says that it cannot, in which case
//! the first worker looks again who can, for as long as a request may take. What was passed on to a worker that ended
//! without an answer is asked for again, see [`crate::doubt`]. Of the caller's headers only `Authorization` goes along, as between Java workers; the worker that is asked checks it itself.
use crate::access::Grant;
use crate::answer::Answer;
use crate::connections::Peer;
use crate::doubt;
use crate::handlers::{Call, handle};
use crate::problem::{Place, Problem};
use crate::reloaded::Reloaded;
use crate::resource::Resource;
use crate::serve::Rest;
use crate::trust::distrust;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use elasticflow_herder::HerderError;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Wait before it is looked again who can carry a request out.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Says with a change that another worker asked for how far it has to read to show it.
const READ_TO: HeaderName = HeaderName::from_static("x-elasticflow-read-to");
/// Largest answer that is passed on.
const ANSWER_MAX: usize = 64 << 20;
/// A worker of the same group is near; one that cannot be reached by then has gone.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The client for requests to other workers; the default speaks http, and is made when the first one is passed on.
#[derive(Clone, Default)]
pub struct Forwarder {
    plain: Arc<OnceLock<Arc<reqwest::Client>>>,
    tls: Option<Arc<Reloaded<reqwest::Client>>>,
}

impl Forwarder {
    /// For workers that speak https: from the `ssl.*` keys of REST, prefixes taken off. Certificates of other workers must
    /// be signed by an authority of the truststore, or stand in the keystore where there is none; this worker shows its
    /// own. Files are read again when they change.
    ///
    /// # Errors
    /// The key and what to do.
    pub fn over_tls(keys: &BTreeMap<String, String>) -> Result<Self, String> {
        let (files, read) = crate::tls::client(keys, base)?;
        Reloaded::new("certificates for other workers", files, read)
            .map(|client| Self { tls: Some(Arc::new(client)), ..Self::default() })
    }

    fn client(&self) -> Arc<reqwest::Client> {
        match &self.tls {
            Some(client) => client.current(),
            None => Arc::clone(self.plain.get_or_init(|| Arc::new(base().build().unwrap_or_default()))),
        }
    }
}

/// A connection of its own for each request: the other worker may be closing one that was kept.
fn base() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).connect_timeout(CONNECT_MAX)
}

/// What a request asks for, and who asks: resource, query, body, caller.
pub(crate) type Asked = (Resource, Vec<(String, String)>, Bytes, Arc<Grant>);

/// Carries a request out, here or elsewhere.
pub(crate) async fn anywhere(rest: &Rest, parts: &Parts, asked: Asked) -> Result<Answer, Problem> {
    let (resource, query, body, caller) = asked;
    let is_https = is_https(parts);
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let here_alone = query.iter().any(|(key, value)| key == "forward" && value.eq_ignore_ascii_case("false"));
    let mut in_doubt = false;
    loop {
        let (headers, query) = (parts.headers.clone(), query.clone());
        let caller = Arc::clone(&caller);
        let call = Call { method: method.clone(), headers, query, body: body.clone(), caller, is_https };
        let done = match handle(rest, resource.clone(), call).await {
            Err(Problem { place: Place::At(url), .. }) if !here_alone => {
                match pass_on(rest, &url, parts, &body).await {
                    Passed::Answered(answer) => Some(Ok(answer)),
                    Passed::Failed(problem) => Some(Err(problem)),
                    Passed::NotThere => None,
                    Passed::Lost => {
                        in_doubt = true;
                        None
                    }
                }
            }
            Err(problem) if problem.place != Place::Here && !here_alone => None,
            outcome => Some(outcome),
        };
        match done {
            Some(Ok(answer)) if here_alone && method != Method::GET => {
                return Ok(answer.with(READ_TO, HeaderValue::from(rest.herder.read_to())));
            }
            Some(outcome) if in_doubt => return doubt::settle(rest, (&resource, parts, &body), outcome).await,
            Some(outcome) => return outcome,
            None => {}
        }
        rest.herder.context().clock.sleep(LOOK_AGAIN).await;
    }
}

enum Passed {
    Answered(Answer),
    Failed(Problem),
    /// Certainly not carried out.
    NotThere,
    /// Carried out or not: the other worker ended before it answered.
    Lost,
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
        Err(error) => unanswered(url, &error),
    }
}

fn unanswered(url: &str, error: &reqwest::Error) -> Passed {
    if let Some(problem) = distrust(url, error) {
        return Passed::Failed(problem);
    }
    if error.is_connect() {
        tracing::debug!(url, "the worker that has to carry out a request cannot be reached");
        return Passed::NotThere;
    }
    if error.is_timeout() { Passed::Failed(broken(error)) } else { lost(url, error) }
}

fn lost(url: &str, error: &reqwest::Error) -> Passed {
    tracing::info!(url, reason = root(error), "a worker has ended with a request in its hands; it is asked for again");
    Passed::Lost
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
    let read_to = answer.headers().get(READ_TO).and_then(|at| at.to_str().ok()?.parse().ok());
    let media_type = answer.headers().get(CONTENT_TYPE).cloned();
    let location = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok()).map(str::to_owned);
    let too_large = answer.content_length().is_some_and(|length| length > ANSWER_MAX as u64);
    let body = match answer.bytes().await {
        Ok(body) if !too_large => body,
        Ok(_) => return Passed::Failed(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer is too large")),
        Err(error) => return lost("", &error),
    };
    match message(&body) {
        Some(text) if status == StatusCode::CONFLICT && text == HerderError::Moving.to_string() => {
            return Passed::NotThere;
        }
        Some(text) if status.is_server_error() && text == HerderError::Closing.to_string() => return Passed::NotThere,
        Some(text) if status.is_server_error() && text == elasticflow_herder::ENDED => return Passed::Lost,
        _ => {}
    }
    // What was changed there is shown here before the caller is told.
    let shown = async {
        match read_to {
            Some(offset) => rest.herder.await_read(offset).await,
            None => rest.herder.sync().await,
        }
    };
    if status.is_success() && parts.method != Method::GET && shown.await.is_err() {
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

pub(crate) fn is_https(parts: &Parts) -> bool {
    parts.extensions.get::<Peer>().is_some_and(|peer| peer.is_https)
}

/// The message of an error.
fn message(body: &[u8]) -> Option<String> {
    let parsed: serde_json::Value = serde_json::from_slice(body).ok()?;
    parsed.get("message").and_then(|message| message.as_str()).map(str::to_owned)
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
    fn the_message_of_an_error_is_read_and_anything_else_has_none() {
        assert_eq!(message(br#"{"error_code":409,"message":"m"}"#).as_deref(), Some("m"));
        assert_eq!(message(b""), None);
        assert_eq!(message(br#"{"message":1}"#), None);
    }

    #[test]
    fn a_location_keeps_its_path() {
        assert_eq!(path_of("http://leader:8083/connectors/c"), Some("/connectors/c"));
        assert_eq!(path_of("nothing"), None);
    }
}

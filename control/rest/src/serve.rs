//! The router, and the sockets that it is served on.
use crate::answer::Answer;
use crate::audit::Audit;
use crate::connections::Peer;
use crate::cors::Cors;
use crate::gate::{Head, Passed, pass};
use crate::loggers::Loggers;
use crate::options::RestOptions;
use crate::policy::{RefusedListener, check_listener};
use crate::problem::Problem;
use crate::resource::Resource;
use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::State;
use axum::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use elasticflow_config::worker::{Listener, ListenerError};
use elasticflow_herder::HerderHandle;
use elasticflow_herder::flow::FlowHandle;
use http_body_util::LengthLimitError;
use std::error::Error as _;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What the endpoint works with.
#[derive(Clone)]
pub struct Rest {
    /// The worker.
    pub herder: HerderHandle,
    /// What is known of limits.
    pub flow: FlowHandle,
    /// Settings.
    pub options: Arc<RestOptions>,
    /// Log levels.
    pub loggers: Loggers,
    /// Metrics in Prometheus's text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Which resources a listener serves: `admin.listeners` takes `/admin` elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Everything.
    All,
    /// Everything but `/admin`.
    WithoutAdmin,
    /// `/admin` alone.
    AdminOnly,
}

impl Surface {
    pub(crate) fn serves(self, resource: &Resource) -> bool {
        match self {
            Self::All => true,
            Self::WithoutAdmin => !resource.is_admin(),
            Self::AdminOnly => resource.is_admin(),
        }
    }
}

/// The routes of a surface.
pub fn router(rest: Rest, surface: Surface) -> Router {
    Router::new().fallback(answer).with_state((rest, surface))
}

async fn answer(State((rest, surface)): State<(Rest, Surface)>, request: Request<Body>) -> Response<Body> {
    let cors = Cors::of(request.method(), request.headers());
    let is_head = request.method() == Method::HEAD;
    let limit = rest.options.request_timeout;
    let outcome = if admits(&rest, &request) {
        tokio::time::timeout(limit, carry_out(&rest, surface, request)).await
    } else {
        Ok(Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "More requests a second than rest.requests.per.second.max")))
    };
    let answer = match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(problem)) => problem.answer(rest.options.extensions),
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Request timed out").answer(false),
    };
    let mut response = answer.into_response(is_head);
    cors.apply(&rest.options, response.headers_mut());
    let now = rest.herder.context().clock.wall_ms();
    for rule in &rest.options.response_headers {
        rule.apply(response.headers_mut(), now);
    }
    response
}

async fn carry_out(rest: &Rest, surface: Surface, request: Request<Body>) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>();
    let audit = Audit::of(&parts.method, parts.uri.path(), peer.map(|peer| peer.address));
    let head = Head {
        method: &parts.method,
        path: parts.uri.path(),
        headers: &parts.headers,
        has_body: !body.is_end_stream(),
        peer,
    };
    let (resource, caller) = match pass(rest, surface, &head, &audit)? {
        Passed::Answered(answer) => return Ok(answer),
        Passed::Go(resource, caller) => (resource, caller),
    };
    let body = read_body(body, &rest.options).await?;
    let query = crate::path::query(parts.uri.query().unwrap_or(""));
    let outcome = crate::forward::anywhere(rest, &parts, (resource, query, body, Arc::clone(&caller))).await;
    audit.answered(&caller, outcome.as_ref().map_or_else(Problem::status, Answer::status));
    outcome
}

/// Whether the caller's address has requests left in this second.
fn admits(rest: &Rest, request: &Request<Body>) -> bool {
    let Some(limit) = &rest.options.rate_limit else { return true };
    let Some(peer) = request.extensions().get::<Peer>() else { return true };
    limit.admits(peer.address.ip(), rest.herder.context().clock.monotonic())
}

async fn read_body(body: Body, options: &RestOptions) -> Result<Bytes, Problem> {
    let max = options.body_bytes_max;
    match tokio::time::timeout(options.client_timeout, to_bytes(body, max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.source().is_some_and(|e| e.is::<LengthLimitError>()) => {
            let text = format!("the body is larger than rest.request.bytes.max, {max} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text))
        }
        Ok(Err(_)) => {
            Err(Problem::bad_request("the body could not be read: it ended early or is not framed as HTTP says"))
        }
        Err(_) => {
            let ms = options.client_timeout.as_millis();
            let text = format!("the body did not arrive within rest.client.timeout.ms, {ms} ms");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
}

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its address.
    #[error(transparent)]
    Address(#[from] ListenerError),
    /// Nothing guards it.
    #[error(transparent)]
    Refused(#[from] RefusedListener),
    /// The system refuses it.
    #[error("could not listen on {listener}: {source}; end what uses the port, or choose another one in listeners")]
    Io {
        /// Which listener.
        listener: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Binds a listener, unless that would let anybody in.
///
/// # Errors
/// The address has no meaning, is refused by policy, or by the system.
pub async fn bind(listener: &Listener, authenticated: bool, insecure: bool) -> Result<TcpListener, BindError> {
    let address = listener.address()?;
    check_listener(address, authenticated, insecure)?;
    TcpListener::bind(address).await.map_err(|source| BindError::Io { listener: listener.to_string(), source })
}

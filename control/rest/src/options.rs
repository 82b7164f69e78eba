//! What the endpoint is told at start.
use crate::auth::{LoginError, Users};
use crate::forward::Forwarder;
use crate::guard::{AccessRules, Guard};
use crate::headers::{HeaderRule, HeaderRuleError};
use crate::rate::RateLimit;
use elasticflow_config::worker::{Listener, WorkerSettings};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Settings of the endpoint, from the worker's configuration.
#[derive(Clone)]
pub struct RestOptions {
    /// Origin that browsers may call from; empty for none.
    pub allow_origin: String,
    /// Methods that they may call; empty for GET, POST, HEAD.
    pub allow_methods: String,
    /// Headers for every answer.
    pub response_headers: Vec<HeaderRule>,
    /// Who may call.
    pub guard: Guard,
    /// Longest time of a request.
    pub request_timeout: Duration,
    /// Longest time for a body to arrive.
    pub client_timeout: Duration,
    /// Requests a second from one address.
    pub(crate) rate_limit: Option<Arc<RateLimit>>,
    /// Largest body in bytes.
    pub body_bytes_max: usize,
    /// Whether answers may carry a member of this product.
    pub extensions: bool,
    /// Signature algorithms that answers to Java workers name.
    pub verification_algorithms: Vec<String>,
    /// Passes requests on to other workers.
    pub forwarder: Forwarder,
    /// Whether contents of records are told where reading them is the purpose.
    pub data_read: bool,
}

/// Why the endpoint cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// Basic authentication is asked for and nobody could log in.
    #[error("java.security.auth.login.config: {0}")]
    Login(#[from] LoginError),
    /// The access file.
    #[error("rest.access.file: {0}")]
    Access(String),
    /// A header rule.
    #[error(transparent)]
    Headers(#[from] HeaderRuleError),
}

impl Default for RestOptions {
    fn default() -> Self {
        Self {
            allow_origin: String::new(),
            allow_methods: String::new(),
            response_headers: Vec::new(),
            guard: Guard::Open,
            request_timeout: Duration::from_secs(90),
            client_timeout: Duration::from_secs(30),
            rate_limit: None,
            body_bytes_max: 4 << 20,
            extensions: true,
            verification_algorithms: vec!["HmacSHA256".to_owned()],
            forwarder: Forwarder::default(),
            data_read: true,
        }
    }
}

impl RestOptions {
    /// From the worker's settings; reads the login file where basic authentication is asked for.
    ///
    /// # Errors
    /// The login file or a header rule cannot be used.
    pub fn from_worker(settings: &WorkerSettings) -> Result<Self, RestError> {
        let guard = match (&settings.access_file, &settings.login_config) {
            (Some(file), _) => Guard::Access(AccessRules::read(file).map_err(RestError::Access)?),
            (None, Some(path)) if !settings.rest_extensions.is_empty() => {
                Guard::Users(Users::from_login_file(Path::new(path))?)
            }
            _ => Guard::Open,
        };
        Ok(Self {
            allow_origin: settings.allow_origin.clone(),
            allow_methods: settings.allow_methods.clone(),
            response_headers: HeaderRule::list(&settings.response_headers)?,
            guard,
            request_timeout: settings.request_timeout.duration(),
            client_timeout: settings.client_timeout.duration(),
            rate_limit: RateLimit::per_second(settings.requests_per_second_max).map(Arc::new),
            body_bytes_max: settings.request_bytes_max as usize,
            extensions: settings.extensions,
            verification_algorithms: settings.verification_algorithms.clone(),
            forwarder: Forwarder::default(),
            data_read: settings.data_read.unwrap_or_else(|| settings.listeners.iter().all(|url| is_loopback(url))),
        })
    }
}

/// Whether a listener can be reached from this machine alone.
fn is_loopback(url: &str) -> bool {
    let address = Listener::read(url).ok().and_then(|listener| listener.address().ok());
    address.is_some_and(|address| address.ip().is_loopback())
}

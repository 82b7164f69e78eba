//! HTTP to the nodes: one after the other, a node that does not answer left out for a while.
use crate::answer::ServerError;
use crate::config::ElasticsearchConfig;
use crate::error::Error;
use crate::outage::{Outage, backoff};
use bytes::{Bytes, BytesMut};
use elasticflow_api::clock::Clock;
use elasticflow_api::context::{Endpoint, SinkFlow};
use parking_lot::Mutex;
use reqwest::{Certificate, Identity, Method, Proxy, Url};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a node that did not answer is left out.
const NODE_OUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer; a bulk answer has some hundred bytes per item at worst.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Checks `connection.url`.
pub(crate) fn check_urls(text: &str) -> Result<(), String> {
    let mut urls = text.split(',').map(str::trim).filter(|url| !url.is_empty()).peekable();
    if urls.peek().is_none() {
        return Err("at least one address is needed, such as http://localhost:9200".to_owned());
    }
    urls.try_for_each(|url| node_url(url).map(drop))
}

/// Checks `wait.for.active.shards`.
pub(crate) fn check_active_shards(text: &str) -> Result<(), String> {
    if text == "all" || text.parse::<u16>().is_ok() { Ok(()) } else { Err("must be a number or all".to_owned()) }
}

fn node_url(text: &str) -> Result<Url, String> {
    // The text may hold a password, so it is not repeated.
    let url = Url::parse(text).map_err(|error| format!("not an address: {error}; write it as http://host:9200"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("an address begins with http:// or https://".to_owned());
    }
    Ok(url)
}

/// The nodes of a cluster.
pub(crate) struct Client {
    http: reqwest::Client,
    nodes: Vec<Node>,
    next: AtomicUsize,
    login: Login,
    clock: Arc<dyn Clock>,
    endpoint: Arc<dyn Endpoint>,
    outage: Outage,
    /// Where the status is told that nothing answers; none for a look in passing.
    flow: Option<Arc<dyn SinkFlow>>,
    patience: Patience,
}

struct Node {
    /// Without credentials and trailing slash; goes into messages.
    base: String,
    out_until: Mutex<Duration>,
}

enum Login {
    None,
    Basic { user: String, password: String },
    Header(String),
}

/// How long and how often something is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Longest time without any answer.
    pub(crate) silence_max: Duration,
    /// Most answers of overload.
    pub(crate) overloads_max: u32,
    /// First wait.
    pub(crate) backoff: Duration,
}

/// An answer, of whatever status.
pub(crate) struct Reply {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The answer as a refusal of the whole request.
    pub(crate) fn refusal(&self) -> Error {
        let ServerError { kind, reason } = ServerError::from_body(&self.body);
        Error::Refused { url: self.url.clone(), status: self.status, kind, reason }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self.status, 429 | 500 | 502 | 503 | 504)
    }
}

/// What has kept a request from its answer: the client itself says only that it could not send.
fn root_of(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

/// No answer.
pub(crate) struct Silence {
    url: String,
    cause: reqwest::Error,
    /// How long nothing has answered.
    pub(crate) for_: Duration,
}

impl Silence {
    pub(crate) fn into_error(self) -> Error {
        Error::Unreachable { url: self.url, waited_s: self.for_.as_secs(), cause: Some(self.cause) }
    }
}

/// What is sent.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Option<Bytes>,
}

impl Call {
    pub(crate) fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), content_type: "", body: None }
    }

    pub(crate) fn delete(path: &str) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    pub(crate) fn put(path: &str) -> Self {
        Self { method: Method::PUT, ..Self::get(path) }
    }

    pub(crate) fn post(path: &str) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    pub(crate) fn post_json(path: &str, body: &serde_json::Value) -> Self {
        Self { method: Method::POST, ..Self::put_json(path, body) }
    }

    pub(crate) fn put_json(path: &str, body: &serde_json::Value) -> Self {
        let body = Some(Bytes::from(body.to_string()));
        Self { method: Method::PUT, path: path.to_owned(), content_type: "application/json", body }
    }
}

impl Client {
    /// Makes a client; reads certificate files.
    pub(crate) fn new(
        config: &ElasticsearchConfig,
        clock: Arc<dyn Clock>,
        endpoint: Arc<dyn Endpoint>,
    ) -> Result<Self, Error> {
        // An error means that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut login = login_of(config);
        let mut nodes = Vec::new();
        for text in &config.urls {
            let mut url = node_url(text).map_err(|reason| Error::Setting(format!("connection.url: {reason}")))?;
            if matches!(login, Login::None) && !url.username().is_empty() {
                login = Login::Basic {
                    user: url.username().to_owned(),
                    password: url.password().unwrap_or_default().to_owned(),
                };
            }
            let _ = url.set_username("");
            let _ = url.set_password(None);
            let base = url.as_str().trim_end_matches('/').to_owned();
            nodes.push(Node { base, out_until: Mutex::new(Duration::ZERO) });
        }
        let patience = Patience {
            silence_max: config.flush_timeout.duration(),
            overloads_max: config.max_retries,
            backoff: config.retry_backoff.duration(),
        };
        let (next, outage) = (AtomicUsize::new(0), Outage::default());
        Ok(Self { http: http_client(config)?, nodes, next, login, clock, endpoint, outage, flow: None, patience })
    }

    /// The same for a task, whose status tells of it while nothing answers.
    pub(crate) fn telling(mut self, flow: &Arc<dyn SinkFlow>) -> Self {
        self.flow = Some(Arc::clone(flow));
        self
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Waits before another attempt.
    pub(crate) async fn pause(&self, attempt: u32) {
        self.clock.sleep(backoff(self.patience.backoff, attempt, self.now())).await;
    }

    /// Asks one node, once; waits while the breaker is open.
    pub(crate) async fn ask(&self, call: &Call) -> Result<Reply, Silence> {
        let permit = self.endpoint.permit().await;
        let now = self.now();
        let Some(node) = self.choose(now) else {
            // Not reached: `connection.url` has at least one address.
            return Ok(Reply { url: String::new(), status: 503, body: Bytes::new() });
        };
        match self.exchange(node, call).await {
            Ok(reply) => {
                self.outage.answered(self.now(), &node.base);
                // Too many requests is an answer of a system that works, at its limit.
                if reply.is_overload() && reply.status != 429 {
                    permit.failed()
                } else {
                    permit.answered()
                }
                Ok(reply)
            }
            Err(cause) => {
                permit.failed();
                let cause = cause.without_url();
                let now = self.now();
                *node.out_until.lock() = now + NODE_OUT;
                let for_ = self.outage.failed(now, &node.base, &root_of(&cause));
                if let Some(flow) = &self.flow {
                    flow.waiting(&format!("{} does not answer: {}", node.base, root_of(&cause)));
                }
                Err(Silence { url: node.base.clone(), cause, for_ })
            }
        }
    }

    /// The next node that is not left out; if all are, the next one.
    fn choose(&self, now: Duration) -> Option<&Node> {
        let count = self.nodes.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = |i: usize| self.nodes.get(start.wrapping_add(i).checked_rem(count)?);
        (0..count).filter_map(turn).find(|node| *node.out_until.lock() <= now).or_else(|| turn(0))
    }

    async fn exchange(&self, node: &Node, call: &Call) -> Result<Reply, reqwest::Error> {
        let mut request = self.http.request(call.method.clone(), format!("{}{}", node.base, call.path));
        request = match &self.login {
            Login::None => request,
            Login::Basic { user, password } => request.basic_auth(user, Some(password)),
            Login::Header(value) => request.header(reqwest::header::AUTHORIZATION, value),
        };
        if let Some(body) = &call.body {
            request = request.header(reqwest::header::CONTENT_TYPE, call.content_type).body(body.clone());
        }
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { url: node.base.clone(), status, body: body.freeze() })
    }

    /// Asks until there is an answer that is none of overload, within the patience.
    pub(crate) async fn ask_patiently(&self, call: &Call) -> Result<Reply, Error> {
        self.ask_for(call, self.patience.silence_max).await
    }

    /// As [`Client::ask_patiently`], with a limit of its own on silence.
    pub(crate) async fn ask_for(&self, call: &Call, silence_max: Duration) -> Result<Reply, Error> {
        let mut overloads = 0;
        for attempt in 0.. {
            match self.ask(call).await {
                Ok(reply) if reply.is_overload() => {
                    overloads += 1;
                    if overloads > self.patience.overloads_max {
                        return Err(Error::Overloaded { url: reply.url, status: reply.status, attempts: overloads });
                    }
                }
                Ok(reply) => return Ok(reply),
                Err(silence) if silence.for_ >= silence_max => return Err(silence.into_error()),
                Err(_) => {}
            }
            self.pause(attempt).await;
        }
        Err(Error::Lost("attempts have run out".to_owned()))
    }
}

fn login_of(config: &ElasticsearchConfig) -> Login {
    if let Some(key) = &config.api_key {
        return Login::Header(format!("ApiKey {}", key.expose()));
    }
    if let Some(token) = &config.bearer_token {
        return Login::Header(format!("Bearer {}", token.expose()));
    }
    match &config.username {
        Some(user) => {
            let password = config.password.as_ref().map(|p| p.expose().to_owned()).unwrap_or_default();
            Login::Basic { user: user.clone(), password }
        }
        None => Login::None,
    }
}

fn http_client(config: &ElasticsearchConfig) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .use_rustls_tls()
        .no_gzip()
        .http1_only()
        .user_agent(concat!("elasticflow/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.connect_timeout().duration())
        .timeout(config.read_timeout().duration())
        .pool_idle_timeout(config.idle_timeout.duration())
        .pool_max_idle_per_host(config.in_flight)
        .tcp_nodelay(true);
    builder = match proxy_of(config)? {
        Some(proxy) => builder.proxy(proxy),
        None => builder.no_proxy(),
    };
    if let Some(pem) = text_of(config.ca_pem.as_ref(), config.ca_file.as_ref(), "ssl.ca.location")? {
        builder = builder.tls_built_in_root_certs(false);
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| tls_error("ssl.ca.location", &e))?;
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let Some(mut pem) = text_of(None, config.certificate_file.as_ref(), "ssl.certificate.location")? {
        let key = text_of(None, config.key_file.as_ref(), "ssl.key.location")?
            .ok_or_else(|| Error::Setting("ssl.certificate.location needs ssl.key.location".to_owned()))?;
        pem.push(b'\n');
        pem.extend(key);
        builder = builder.identity(Identity::from_pem(&pem).map_err(|e| tls_error("ssl.certificate.location", &e))?);
    }
    builder.build().map_err(|error| Error::Setting(format!("the HTTP client cannot be made: {error}")))
}

fn proxy_of(config: &ElasticsearchConfig) -> Result<Option<Proxy>, Error> {
    let Some(host) = &config.proxy_host else { return Ok(None) };
    let proxy = Proxy::all(format!("http://{host}:{}", config.proxy_port))
        .map_err(|error| Error::Setting(format!("proxy.host: {error}")))?;
    Ok(Some(match &config.proxy_username {
        Some(user) => proxy.basic_auth(user, config.proxy_password.as_ref().map_or("", |p| p.expose())),
        None => proxy,
    }))
}

fn text_of(text: Option<&String>, file: Option<&String>, key: &str) -> Result<Option<Vec<u8>>, Error> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(path)) => {
            let read = std::fs::read(path).map_err(|error| Error::Setting(format!("{key}: {path}: {error}")));
            read.map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn tls_error(key: &str, error: &reqwest::Error) -> Error {
    Error::Setting(format!(
        "{key}: not certificates in PEM form ({error}); convert key stores with openssl pkcs12 -nodes"
    ))
}

//! One worker's REST endpoint, as its client sees it.
use crate::cli::ConnectionArgs;
use anyhow::{Context, Result};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Client, Identity, Method};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Longest time for an answer: a worker's own limit and a little.
const ANSWER_MAX: Duration = Duration::from_secs(100);

/// The worker refused a request, or failed.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Status of its answer.
    pub(crate) status: u16,
    /// Its message.
    pub(crate) message: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the worker answers {}: {}", self.status, self.message)
    }
}

impl std::error::Error for Refused {}

/// A client of one worker.
pub(crate) struct Connection {
    client: Client,
    url: String,
    user: Option<(String, String)>,
    token: Option<String>,
}

impl Connection {
    /// Prepares the client; nothing is sent.
    ///
    /// # Errors
    /// A certificate cannot be used.
    pub(crate) fn open(args: &ConnectionArgs) -> Result<Self> {
        let mut client = Client::builder().timeout(ANSWER_MAX);
        if let Some(file) = &args.ca {
            for certificate in Certificate::from_pem_bundle(&read(file)?).context("--ca holds no certificate")? {
                client = client.add_root_certificate(certificate);
            }
        }
        if let Some(file) = &args.certificate {
            let identity = Identity::from_pem(&read(file)?).context("--certificate needs a certificate and its key")?;
            client = client.identity(identity);
        }
        let user = args.user.as_ref().map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (name.to_owned(), password.to_owned())
        });
        let url = args.url.trim_end_matches('/').to_owned();
        Ok(Self { client: client.build().context("no HTTP client")?, url, user, token: args.token.clone() })
    }

    /// Sends a request; no body is `null`.
    ///
    /// # Errors
    /// [`Refused`], or the worker cannot be reached.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.client.request(Method::from_bytes(method.as_bytes())?, format!("{}{path}", self.url));
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let unreachable = || format!("no answer from {}; name another worker with --url", self.url);
        let response = request.send().await.with_context(unreachable)?;
        let status = response.status();
        let text = response.text().await.with_context(unreachable)?;
        let json: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(json);
        }
        let message = json["message"].as_str().map_or_else(|| text.clone(), str::to_owned);
        Err(Refused { status: status.as_u16(), message }.into())
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// A name as one path segment.
pub(crate) fn segment(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

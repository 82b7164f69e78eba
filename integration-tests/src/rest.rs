//! A client of a worker's REST endpoint.
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Pause between two looks at a status.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Speaks to one worker.
#[derive(Clone)]
pub struct Rest {
    http: reqwest::Client,
    url: String,
}

/// An HTTP client for loopback; sets up TLS once for the process, as the library asks for a provider even without TLS.
pub fn http_client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let built = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(100)).build();
    built.unwrap_or_default()
}

impl Rest {
    /// A client of the endpoint at a URL.
    pub fn new(url: &str) -> Self {
        Self { http: http_client(), url: url.to_owned() }
    }

    /// Whether it answers `GET /connectors` with 200.
    pub async fn is_ready(&self) -> bool {
        let asked = self.http.get(format!("{}/connectors", self.url)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// Sends a request; status and body.
    ///
    /// # Errors
    /// The endpoint does not answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(serde_json::to_vec(body)?);
        }
        let answer = request.send().await.with_context(|| format!("{path}: the worker does not answer"))?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// As [`Rest::call`]; anything but 2xx is an error.
    ///
    /// # Errors
    /// The answer's message.
    pub async fn expect(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        match self.call(method, path, body).await? {
            (200..=299, answer) => Ok(answer),
            (status, answer) => bail!("{method} {path} answered {status}: {answer}"),
        }
    }

    /// `POST /connectors`.
    ///
    /// # Errors
    /// The connector is refused.
    pub async fn create(&self, name: &str, config: &Value) -> Result<Value> {
        self.expect("POST", "/connectors", Some(&json!({"name": name, "config": config}))).await
    }

    /// Waits until a connector and at least one task are RUNNING; how long that took.
    ///
    /// # Errors
    /// A part is FAILED (with its trace), or the time is up.
    pub async fn await_running(&self, name: &str, most: Duration) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let (code, status) = self.call("GET", &format!("/connectors/{name}/status"), None).await?;
            let parts = parts_of(&status);
            if let Some(failed) = parts.iter().find(|p| p["state"] == "FAILED") {
                bail!("{name} has failed: {}", failed["trace"].as_str().unwrap_or_default());
            }
            if code == 200 && parts.len() > 1 && parts.iter().all(|p| p["state"] == "RUNNING") {
                return Ok(began.elapsed());
            }
            if began.elapsed() > most {
                bail!("{name} is not RUNNING after {} s: {status}", most.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The connector's own state and those of its tasks.
fn parts_of(status: &Value) -> Vec<Value> {
    let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
    std::iter::once(status["connector"].clone()).chain(tasks).collect()
}

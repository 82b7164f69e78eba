//! The demo speaks to the worker as a user does: over REST.
use super::connectors::Connector;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A client of the worker's REST endpoint.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self { http: reqwest::Client::builder().no_proxy().build()?, url: url.to_owned() })
    }

    /// `POST /connectors`.
    pub(crate) async fn create(&self, connector: &Connector) -> Result<()> {
        let body = serde_json::to_vec(&connector.body())?;
        let request = self.http.post(format!("{}/connectors", self.url));
        self.send(request.body(body)).await.map(drop)
    }

    /// `PUT /connectors/{name}/config`.
    pub(crate) async fn put_config(&self, connector: &Connector) -> Result<()> {
        let body = serde_json::to_vec(&connector.config)?;
        let request = self.http.put(format!("{}/connectors/{}/config", self.url, connector.name));
        self.send(request.body(body)).await.map(drop)
    }

    /// `GET /flow/v1/connectors/{name}`.
    pub(crate) async fn flow(&self, name: &str) -> Result<Value> {
        let answer = self.send(self.http.get(format!("{}/flow/v1/connectors/{name}", self.url))).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// The trace of the first connector or task that has failed.
    pub(crate) async fn first_failure(&self) -> Result<Option<String>> {
        let answer = self.send(self.http.get(format!("{}/connectors?expand=status", self.url))).await?;
        let all: Value = serde_json::from_slice(&answer)?;
        let parts = all.as_object().into_iter().flat_map(|all| all.values()).flat_map(|connector| {
            let status = &connector["status"];
            let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
            std::iter::once(status["connector"].clone()).chain(tasks)
        });
        let failed =
            parts.filter(|part| part["state"] == "FAILED").map(|p| p["trace"].as_str().unwrap_or("").to_owned());
        Ok(failed.into_iter().next())
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>> {
        let request = request.header("Content-Type", "application/json");
        let answer = request.send().await.context("the worker's REST endpoint does not answer")?;
        let status = answer.status();
        let body = answer.bytes().await?.to_vec();
        if !status.is_success() {
            bail!("the worker answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }
}

//! The webhook: messages about incidents by POST, signed.
//!
//! What is written to the log of a failed delivery never names the URL: some receivers carry their secret in it.
use async_trait::async_trait;
use elasticflow_config::Secret;
use elasticflow_config::worker::WorkerConfig;
use elasticflow_herder::flow::HookPort;
use ring::hmac;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Longest that one delivery may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A receiver by HTTP.
pub(crate) struct Webhook {
    http: reqwest::Client,
    url: Secret,
    key: Option<hmac::Key>,
}

impl Webhook {
    /// The one of a worker's configuration, if it names one.
    pub(crate) fn of(config: &WorkerConfig) -> anyhow::Result<Option<Arc<dyn HookPort>>> {
        let Some(url) = &config.settings.hook_url else { return Ok(None) };
        // A redirect could lead the message anywhere.
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        let key = config.settings.hook_secret.as_ref().map(|secret| key(secret.expose()));
        Ok(Some(Arc::new(Self { http, url: url.clone(), key })))
    }
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

/// As receivers of the wide world check it: `sha256=` and hexadecimal digits.
fn signature(key: &hmac::Key, body: &[u8]) -> String {
    let mut text = "sha256=".to_owned();
    for byte in hmac::sign(key, body).as_ref() {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[async_trait]
impl HookPort for Webhook {
    async fn tell(&self, id: &str, body: Vec<u8>) -> Result<(), String> {
        let request =
            self.http.post(self.url.expose()).header("Content-Type", "application/json").header("X-Flow-Id", id);
        let signed = match &self.key {
            Some(key) => request.header("X-Flow-Signature", signature(key, &body)),
            None => request,
        };
        let answer = signed.body(body).send().await.map_err(|error| error.without_url().to_string())?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        let text = signature(&key("Jefe"), b"what do ya want for nothing?");
        assert_eq!(text, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}

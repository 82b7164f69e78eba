//! A client of the test Elasticsearch.
use crate::rest::http_client;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Documents asked for at once.
const PAGE: usize = 5000;

/// Speaks to one Elasticsearch.
#[derive(Clone)]
pub struct Search {
    http: reqwest::Client,
    url: String,
}

impl Search {
    /// A client of the server at a URL.
    pub fn new(url: &str) -> Self {
        Self { http: http_client(), url: url.trim_end_matches('/').to_owned() }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request; anything but 2xx and 404 is an error, 404 is null.
    ///
    /// # Errors
    /// The server does not answer or refuses.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(serde_json::to_vec(body)?);
        }
        let answer = request.send().await.context("Elasticsearch does not answer")?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        match status {
            200..=299 => Ok(serde_json::from_slice(&body).unwrap_or(Value::Null)),
            404 => Ok(Value::Null),
            _ => bail!("Elasticsearch answered {status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// Number of documents that a search finds now.
    ///
    /// # Errors
    /// As for [`Search::call`].
    pub async fn count(&self, index: &str) -> Result<u64> {
        Ok(self.call("GET", &format!("/{index}/_count"), None).await?["count"].as_u64().unwrap_or(0))
    }

    /// Makes everything that was written searchable.
    ///
    /// # Errors
    /// As for [`Search::call`].
    pub async fn refresh(&self, index: &str) -> Result<()> {
        self.call("POST", &format!("/{index}/_refresh"), None).await.map(drop)
    }

    /// Every document with its id, in the order of the field `sort`, which must be unique and numeric.
    ///
    /// # Errors
    /// As for [`Search::call`].
    pub async fn all(&self, index: &str, sort: &str) -> Result<Vec<(String, Value)>> {
        let mut documents = Vec::new();
        let mut after = Value::Null;
        loop {
            let mut query = json!({"size": PAGE, "sort": [{sort: "asc"}], "query": {"match_all": {}}});
            if let (Value::Object(query), false) = (&mut query, after.is_null()) {
                query.insert("search_after".to_owned(), after.clone());
            }
            let answer = self.call("POST", &format!("/{index}/_search"), Some(&query)).await?;
            let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
            let Some(last) = hits.last() else { return Ok(documents) };
            after = last["sort"].clone();
            documents
                .extend(hits.iter().map(|h| (h["_id"].as_str().unwrap_or_default().to_owned(), h["_source"].clone())));
        }
    }
}

//! HTTP to the registry: the addresses one after the other, answers told apart by what can be done about them.
mod login;
mod tls;

use crate::error::Error;
use crate::settings::RegistrySettings;
use bytes::{Bytes, BytesMut};
use login::Login;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use tls::check_store_type;

/// Most bytes of an answer; the largest schemas have some hundred kilobytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most characters of the registry's own words in a message.
const REASON_MAX: usize = 600;
/// What the registry speaks.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const ACCEPTED: &str = "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json";
/// Schemas of references are asked for even when their version was softly deleted: messages still need them.
const DELETED_TOO: &str = "?deleted=true";

/// Checks `schema.registry.url`.
pub(crate) fn check_urls(text: &str) -> Result<(), String> {
    let mut urls = text.split(',').map(str::trim).filter(|url| !url.is_empty()).peekable();
    if urls.peek().is_none() {
        return Err("at least one address is needed, such as http://localhost:8081".to_owned());
    }
    urls.try_for_each(|url| address(url).map(drop))
}

fn address(text: &str) -> Result<Url, String> {
    // The text may hold a password, so it is not repeated.
    let url = Url::parse(text).map_err(|e| format!("not an address: {e}; write it as http://host:8081"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("an address begins with http:// or https://".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an address ends with its path; ? and # have no place in it".to_owned());
    }
    Ok(url)
}

/// A registry.
pub(crate) struct Client {
    http: reqwest::Client,
    /// Without credentials and trailing slash; they go into messages.
    bases: Vec<String>,
    /// The address that answered last.
    current: AtomicUsize,
    login: Login,
    normalize: bool,
}

/// What is registered, looked up, or found.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Found {
    pub(crate) id: Option<u32>,
    pub(crate) version: Option<i32>,
    #[serde(default)]
    pub(crate) schema: String,
    #[serde(rename = "schemaType")]
    pub(crate) schema_type: Option<String>,
    #[serde(default)]
    pub(crate) references: Option<Vec<Reference>>,
}

/// Another schema that a schema needs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: i32,
}

#[derive(Deserialize)]
struct SubjectVersion {
    subject: String,
    version: i32,
}

/// The registry's own error.
#[derive(Deserialize)]
struct Refusal {
    error_code: Option<i64>,
    message: Option<String>,
}

/// An answer of status 200, or the registry's word that there is no such thing.
enum Answer {
    Body { url: String, status: u16, bytes: Bytes },
    NotFound(String),
}

struct Call<'a> {
    method: Method,
    path: String,
    body: Option<Json>,
    /// Subject or id, for messages.
    about: &'a str,
}

impl<'a> Call<'a> {
    fn read(path: String, about: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, about }
    }
}

impl Client {
    /// Makes a client; reads certificate files.
    pub(crate) fn new(settings: &RegistrySettings) -> Result<Self, Error> {
        let mut bases = Vec::new();
        let mut in_url = None;
        for text in &settings.urls {
            let mut url = address(text).map_err(|reason| Error::Setting(format!("schema.registry.url: {reason}")))?;
            if in_url.is_none() && !url.username().is_empty() {
                in_url = Some(login::from_url(&url));
            }
            let _ = url.set_username("");
            let _ = url.set_password(None);
            bases.push(url.as_str().trim_end_matches('/').to_owned());
        }
        let http = tls::http_client(settings)?;
        let login = Login::new(settings, in_url)?;
        Ok(Self { http, bases, current: AtomicUsize::new(0), login, normalize: settings.normalize })
    }

    /// Registers a schema under a subject and gives its id.
    pub(crate) async fn register(&self, subject: &str, body: Json) -> Result<u32, Error> {
        let path = format!("/subjects/{}/versions{}", encoded(subject), self.normalized());
        let call = Call { method: Method::POST, path, body: Some(body), about: subject };
        match self.found(&call).await? {
            Ok(Found { id: Some(id), .. }) => Ok(id),
            Ok(_) => Err(self.odd("the answer has no id")),
            Err(reason) => Err(Error::Refused { subject: subject.to_owned(), status: 404, reason }),
        }
    }

    /// The schema of a subject that equals this one; the inner error is the registry's word that there is none.
    pub(crate) async fn look_up(&self, subject: &str, body: Json) -> Result<Result<u32, String>, Error> {
        let path = format!("/subjects/{}{}", encoded(subject), self.normalized());
        let call = Call { method: Method::POST, path, body: Some(body), about: subject };
        match self.found(&call).await? {
            Ok(Found { id: Some(id), .. }) => Ok(Ok(id)),
            Ok(_) => Err(self.odd("the answer has no id")),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// The newest version of a subject.
    pub(crate) async fn latest(&self, subject: &str) -> Result<Result<Found, String>, Error> {
        self.found(&Call::read(format!("/subjects/{}/versions/latest", encoded(subject)), subject)).await
    }

    /// A version of a subject.
    pub(crate) async fn version(&self, subject: &str, version: i32) -> Result<Result<Found, String>, Error> {
        let path = format!("/subjects/{}/versions/{version}{DELETED_TOO}", encoded(subject));
        self.found(&Call::read(path, subject)).await
    }

    /// The schema of an id.
    pub(crate) async fn by_id(&self, id: u32) -> Result<Result<Found, String>, Error> {
        self.found(&Call::read(format!("/schemas/ids/{id}"), &format!("schema id {id}"))).await
    }

    /// The version that an id has under a subject, if it has one.
    pub(crate) async fn version_of(&self, id: u32, subject: &str) -> Result<Option<i32>, Error> {
        match self.ask(&Call::read(format!("/schemas/ids/{id}/versions"), subject)).await? {
            Answer::Body { url, status, bytes } => {
                let all: Vec<SubjectVersion> = parsed(url, status, &bytes)?;
                Ok(all.into_iter().find(|of| of.subject == subject).map(|of| of.version))
            }
            Answer::NotFound(_) => Ok(None),
        }
    }

    fn normalized(&self) -> &'static str {
        if self.normalize { "?normalize=true" } else { "" }
    }

    fn base(&self, turn: usize) -> (usize, &str) {
        let place = self.current.load(Ordering::Relaxed).wrapping_add(turn).checked_rem(self.bases.len()).unwrap_or(0);
        (place, self.bases.get(place).map_or("", String::as_str))
    }

    fn odd(&self, detail: &str) -> Error {
        Error::NotARegistry { url: self.base(0).1.to_owned(), status: 200, detail: detail.to_owned() }
    }

    async fn found(&self, call: &Call<'_>) -> Result<Result<Found, String>, Error> {
        match self.ask(call).await? {
            Answer::Body { url, status, bytes } => parsed(url, status, &bytes).map(Ok),
            Answer::NotFound(reason) => Ok(Err(reason)),
        }
    }

    /// Asks the addresses in turn until one answers that is not in trouble itself.
    async fn ask(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let mut last = Error::Setting("schema.registry.url has no address".to_owned());
        for turn in 0..self.bases.len() {
            let (place, base) = self.base(turn);
            let outcome = match self.exchange(base, call).await {
                Ok((status, bytes)) => judge(base, call, status, bytes),
                Err(cause) => Err(Error::Unreachable { url: base.to_owned(), cause: cause.without_url() }),
            };
            match outcome {
                Err(error @ (Error::Unreachable { .. } | Error::Trouble { .. })) => last = error,
                settled => {
                    self.current.store(place, Ordering::Relaxed);
                    return settled;
                }
            }
        }
        Err(last)
    }

    async fn exchange(&self, base: &str, call: &Call<'_>) -> Result<(u16, Bytes), reqwest::Error> {
        let mut request = self.http.request(call.method.clone(), format!("{base}{}", call.path));
        request = self.login.sign(request.header(reqwest::header::ACCEPT, ACCEPTED));
        if let Some(body) = &call.body {
            request = request.header(reqwest::header::CONTENT_TYPE, CONTENT_TYPE).body(body.to_string());
        }
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                break;
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, bytes.freeze()))
    }
}

/// The body of a request that brings a schema.
pub(crate) fn schema_body(schema_type: &str, schema: &str) -> Json {
    // A registry without a type takes it for Avro; the oldest ones know nothing else.
    if schema_type == "AVRO" {
        json!({ "schema": schema })
    } else {
        json!({ "schemaType": schema_type, "schema": schema })
    }
}

fn parsed<T: for<'de> Deserialize<'de>>(url: String, status: u16, bytes: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::NotARegistry {
        url,
        status,
        detail: format!("the answer cannot be read at line {}, column {}", e.line(), e.column()),
    })
}

fn judge(base: &str, call: &Call<'_>, status: u16, bytes: Bytes) -> Result<Answer, Error> {
    if (200..300).contains(&status) {
        return Ok(Answer::Body { url: base.to_owned(), status, bytes });
    }
    let refusal = serde_json::from_slice::<Refusal>(&bytes).ok();
    let code = refusal.as_ref().and_then(|r| r.error_code);
    let reason = shortened(refusal.and_then(|r| r.message).unwrap_or_default());
    let (url, about) = (base.to_owned(), call.about.to_owned());
    Err(match status {
        401 | 403 => Error::Denied { url, status, about, reason },
        404 if code.is_some_and(|code| (40_401..=40_499).contains(&code)) => return Ok(Answer::NotFound(reason)),
        409 => Error::Incompatible { subject: about, reason },
        408 | 425 | 429 | 500.. => Error::Trouble { url, status, reason },
        _ if code.is_none() || status == 404 => {
            Error::NotARegistry { url, status, detail: format!("asked for {}", call.path) }
        }
        _ => Error::Refused { subject: about, status, reason },
    })
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(REASON_MAX) {
        Some((end, _)) => text.get(..end).map(|start| format!("{start}…")).unwrap_or_default(),
        None => text,
    }
}

/// A subject as one part of a path.
fn encoded(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_one_part_of_a_path() {
        assert_eq!(encoded("a/b c-value"), "a%2Fb%20c-value");
    }

    #[test]
    fn addresses_are_checked_without_being_repeated() {
        assert!(check_urls("http://a:8081, https://b/apis/ccompat/v7").is_ok());
        for wrong in ["", "localhost:8081", "ftp://a", "http://a?x=1"] {
            assert!(check_urls(wrong).is_err(), "{wrong}");
        }
        assert!(!check_urls("htt//u:secret@h").unwrap_err().contains("secret"));
    }

    #[test]
    fn a_foreign_404_is_told_from_the_registry_s_own() {
        let call = Call::read("/schemas/ids/1".to_owned(), "schema id 1");
        let of = |status, body: &'static str| judge("http://r", &call, status, Bytes::from_static(body.as_bytes()));
        assert!(matches!(of(404, r#"{"error_code":40403,"message":"no"}"#), Ok(Answer::NotFound(m)) if m == "no"));
        assert!(matches!(of(404, "<html>"), Err(Error::NotARegistry { .. })));
        assert!(matches!(of(404, r#"{"error_code":404,"message":"HTTP 404"}"#), Err(Error::NotARegistry { .. })));
        assert!(matches!(of(409, "{}"), Err(Error::Incompatible { .. })));
        assert!(matches!(of(503, ""), Err(Error::Trouble { .. })));
        assert!(matches!(of(401, ""), Err(Error::Denied { .. })));
        assert!(matches!(of(422, r#"{"error_code":42201,"message":"bad"}"#), Err(Error::Refused { .. })));
    }
}

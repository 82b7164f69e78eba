//! Tokens of SASL OAUTHBEARER: asked for at an endpoint with client credentials, or read from a file, and shared by every
//! client with the same login.
//!
//! librdkafka asks for a token on a thread of its own and again after four fifths of the token's life; an endpoint that
//! does not answer is asked a few times before the client is told, which repeats the question every ten seconds.
use crate::native::{Token, TokenSource};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Attempts before the client is told that there is no token.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// What an error says that passes without anybody's doing.
pub(super) const AGAIN: &str = "it is asked again every ten seconds";
/// Longest answer of an endpoint.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Logins whose tokens are shared: of the worker and of connectors that have one of their own.
const LOGINS_MAX: usize = 256;
/// Life of a token that does not say when it ends.
const LIFE: Duration = Duration::from_secs(300);

/// Where tokens come from; Java's settings and the options of its login module.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Login {
    /// `sasl.oauthbearer.token.endpoint.url`.
    pub(crate) endpoint: String,
    /// Client id and secret; none for a file.
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) scope: Option<String>,
    /// Names and values that brokers are told beside the token.
    pub(crate) extensions: BTreeMap<String, String>,
    /// Claim with the principal's name.
    pub(crate) subject_claim: String,
    /// Whether id and secret are URL-encoded in the header.
    pub(crate) encoded: bool,
    pub(crate) connect_limit: Duration,
    pub(crate) answer_limit: Duration,
    /// Authorities of the endpoint beside the well-known ones, PEM.
    pub(crate) authorities: Option<String>,
}

/// The secret stays out of debug output.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Tokens of one login.
pub(crate) struct Tokens {
    login: Login,
    /// The last token, and until when it is handed out again: a little less than librdkafka keeps one.
    last: Mutex<Option<(Token, u128)>>,
}

/// Why there is no token.
#[derive(Debug)]
enum NoToken {
    /// Asking again may help.
    Passing(String),
    /// A person has to change something.
    Lasting(String),
}

impl Tokens {
    pub(crate) fn new(login: Login) -> Self {
        Self { login, last: Mutex::default() }
    }

    fn fetch(&self) -> Result<Token, NoToken> {
        let text = match self.login.endpoint.strip_prefix("file://") {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| NoToken::Lasting(format!("the token cannot be read from {path}: {error}")))?,
            None => self.ask()?,
        };
        token_of(text.trim(), &self.login)
    }

    /// On a thread that may block, without a runtime of its own.
    fn ask(&self) -> Result<String, NoToken> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| NoToken::Passing(error.to_string()))?;
        runtime.block_on(self.post())
    }

    async fn post(&self) -> Result<String, NoToken> {
        let Login { endpoint, .. } = &self.login;
        // Neither the request nor what an answer holds is ever shown.
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            NoToken::Passing(format!("the token endpoint {} cannot be asked: {}", shown(endpoint), causes(&error)))
        };
        let answer = client(&self.login)?
            .post(endpoint)
            .header("Authorization", format!("Basic {}", self.basic()))
            .header("Accept", "application/json")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(self.form())
            .send()
            .await
            .map_err(failed)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed)?;
        if body.len() > ANSWER_BYTES_MAX {
            return Err(NoToken::Lasting(format!("the token endpoint {} answers too much", shown(endpoint))));
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &answer));
        }
        let token = answer.get("access_token").and_then(Value::as_str).map(str::to_owned);
        token.ok_or_else(|| NoToken::Lasting(format!("the answer of {} has no access_token", shown(endpoint))))
    }

    fn refused(&self, status: u16, answer: &Value) -> NoToken {
        // A word of the protocol such as invalid_client, and nothing longer.
        let word =
            answer.get("error").and_then(Value::as_str).filter(|word| is_word(word)).unwrap_or("no reason given");
        let text = format!("the token endpoint {} answers {status} ({word})", shown(&self.login.endpoint));
        match status {
            429 | 500..=599 => NoToken::Passing(text),
            401 | 403 => NoToken::Lasting(format!("{text}; check the client's id and secret")),
            _ => NoToken::Lasting(format!("{text}; check the endpoint, the client and its scope")),
        }
    }

    fn basic(&self) -> String {
        let (id, secret) = self.login.credentials.clone().unwrap_or_default();
        if self.login.encoded {
            return STANDARD.encode(format!("{}:{}", encoded(&id), encoded(&secret)));
        }
        STANDARD.encode(format!("{id}:{secret}"))
    }

    fn form(&self) -> String {
        let scope = self.login.scope.as_deref().map(|scope| format!("&scope={}", encoded(scope)));
        format!("grant_type=client_credentials{}", scope.unwrap_or_default())
    }
}

impl TokenSource for Tokens {
    fn token(&self) -> Result<Token, String> {
        let mut last = self.last.lock();
        if let Some((token, _)) = last.as_ref().filter(|(_, until)| *until > now_ms()) {
            return Ok(token.clone());
        }
        for attempt in 1.. {
            match self.fetch() {
                Ok(token) => {
                    let now = now_ms();
                    let until = now + token.ends_ms.saturating_sub(now) * 3 / 4;
                    return Ok(last.insert((token, until)).0.clone());
                }
                Err(NoToken::Passing(why)) if attempt >= ATTEMPTS => return Err(format!("{why}; {AGAIN}")),
                Err(NoToken::Passing(_)) => std::thread::sleep(PAUSE * attempt),
                Err(NoToken::Lasting(why)) => return Err(why),
            }
        }
        Err("there is no token".to_owned())
    }
}

fn client(login: &Login) -> Result<reqwest::Client, NoToken> {
    // Whoever was first has chosen the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(login.connect_limit)
        .timeout(login.connect_limit + login.answer_limit)
        .redirect(reqwest::redirect::Policy::none());
    for authority in login.authorities.iter().flat_map(|pem| certificates(pem)) {
        let read = reqwest::Certificate::from_pem(authority.as_bytes());
        let read = read.map_err(|_| NoToken::Lasting("ssl.truststore of the login holds no certificate".to_owned()))?;
        builder = builder.add_root_certificate(read);
    }
    builder.build().map_err(|error| NoToken::Lasting(format!("no HTTP client: {error}")))
}

/// The certificates of a text, each with its frame.
fn certificates(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END).filter(|part| part.contains(END)).map(str::to_owned).collect()
}

/// What the token says of itself; brokers check it, so that its signature is of no interest here.
fn token_of(text: &str, login: &Login) -> Result<Token, NoToken> {
    let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
    let claims: Value = payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or(Value::Null);
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(NoToken::Lasting("what the endpoint gives is no token".to_owned()));
    }
    let ends_ms = match claims.get("exp").and_then(Value::as_f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as it should")]
        Some(seconds) => (seconds * 1_000.0) as u128,
        None => now_ms() + LIFE.as_millis(),
    };
    if ends_ms <= now_ms() {
        return Err(NoToken::Passing(
            "the token has expired; check the clocks of this machine and of the endpoint".to_owned(),
        ));
    }
    let principal = claims.get(&login.subject_claim).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    Ok(Token { value: text.to_owned(), ends_ms, principal, extensions: login.extensions.clone() })
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

fn is_word(text: &str) -> bool {
    text.len() <= 40 && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// An address without what may be secret in it.
fn shown(endpoint: &str) -> &str {
    let address = endpoint.split(['?', '#']).next().unwrap_or_default();
    address.rsplit('@').next().unwrap_or_default()
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = next.to_string();
        cause = next.source();
    }
    text
}

/// As a form has it.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Tokens by login, so that a thousand clients ask once.
#[derive(Default)]
pub(crate) struct Logins(Mutex<BTreeMap<Login, std::sync::Arc<Tokens>>>);

impl Logins {
    pub(crate) fn of(&self, login: Login) -> std::sync::Arc<Tokens> {
        let mut known = self.0.lock();
        if known.len() >= LOGINS_MAX {
            known.clear();
        }
        let tokens = known.entry(login.clone()).or_insert_with(|| std::sync::Arc::new(Tokens::new(login)));
        std::sync::Arc::clone(tokens)
    }
}

//! What a handler answers.
use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

/// A status, headers and a body.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

impl Answer {
    /// JSON, compact.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        // What is answered consists of maps with text keys: it can always be written.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self { status, headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body }
    }

    /// 200 with JSON.
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// A status alone.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Text of a media type.
    pub(crate) fn text(status: StatusCode, media_type: &'static str, body: impl Into<String>) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(media_type))];
        Self { status, headers, body: body.into().into_bytes() }
    }

    /// Answer to OPTIONS.
    pub(crate) fn allow(methods: &[&str]) -> Self {
        let mut answer = Self::text(StatusCode::OK, "text/plain", methods.join(", "));
        if let Ok(value) = HeaderValue::from_str(&methods.join(",")) {
            answer.headers.push((ALLOW, value));
        }
        answer
    }

    /// What another worker has answered.
    pub(crate) fn passed_on(status: StatusCode, media_type: Option<HeaderValue>, body: Vec<u8>) -> Self {
        Self { status, headers: media_type.map(|value| (CONTENT_TYPE, value)).into_iter().collect(), body }
    }

    /// Names what was created.
    pub(crate) fn located(mut self, url: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(url) {
            self.headers.push((LOCATION, value));
        }
        self
    }

    /// With a header more.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The response, without its body for HEAD.
    pub(crate) fn into_response(self, head: bool) -> Response<Body> {
        let mut response = Response::new(if head { Body::empty() } else { Body::from(self.body) });
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}

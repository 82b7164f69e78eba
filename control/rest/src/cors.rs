//! Cross-origin requests of browsers.
use crate::options::RestOptions;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};

/// What a browser asked.
pub(crate) struct Cors {
    origin: Option<HeaderValue>,
    preflight: bool,
}

impl Cors {
    /// Notes what matters before the request is consumed.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let preflight = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Self { origin: headers.get(ORIGIN).cloned(), preflight }
    }

    /// Adds the headers for an allowed origin.
    pub(crate) fn apply(&self, options: &RestOptions, headers: &mut HeaderMap) {
        let allowed = options.allow_origin.as_str();
        let Some(origin) = self.origin.as_ref().filter(|o| !allowed.is_empty() && (allowed == "*" || *o == allowed))
        else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if !self.preflight {
            return;
        }
        let methods = if options.allow_methods.is_empty() { "GET,POST,HEAD" } else { &options.allow_methods };
        if let Ok(methods) = HeaderValue::from_str(methods) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("60"));
    }
}

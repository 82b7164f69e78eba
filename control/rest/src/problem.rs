//! Errors in Connect's form.
use crate::answer::Answer;
use axum::http::StatusCode;
use elasticflow_herder::HerderError;
use serde_json::{Value, json};

/// Why a request is not carried out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    message: String,
    /// Key and message, where single keys of a configuration are wrong.
    errors: Vec<(String, String)>,
    /// Who has to carry it out, if not this worker.
    pub(crate) place: Place,
}

/// Where a request is carried out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this worker.
    #[default]
    Here,
    /// On the worker at this URL.
    At(String),
    /// That is about to be decided.
    Open,
}

impl Problem {
    /// A status and a text.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new(), place: Place::Here }
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// `HTTP 404 Not Found` and its like: what the router itself answers.
    pub(crate) fn plain(status: StatusCode) -> Self {
        let words = status.canonical_reason().unwrap_or("");
        Self::new(status, format!("HTTP {} {words}", status.as_u16()))
    }

    /// The answer; `extended` adds the errors by key under a member of this product.
    pub(crate) fn answer(self, extended: bool) -> Answer {
        let status = self.status;
        Answer::json(status, &self.json(extended))
    }

    /// The body of the answer.
    pub(crate) fn json(self, extended: bool) -> Value {
        let mut body = json!({"error_code": self.status.as_u16(), "message": self.message});
        if extended && !self.errors.is_empty() {
            let errors: Vec<Value> = self.errors.into_iter().map(|(k, m)| json!({"key": k, "message": m})).collect();
            if let Value::Object(members) = &mut body {
                members.insert("elasticflow".to_owned(), json!({ "errors": errors }));
            }
        }
        body
    }
}

impl From<HerderError> for Problem {
    fn from(error: HerderError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = error.to_string();
        let place = match &error {
            HerderError::Elsewhere(url) => Place::At(url.clone()),
            HerderError::Moving => Place::Open,
            _ => Place::Here,
        };
        let errors = match error {
            HerderError::Invalid { errors, .. } => errors,
            _ => Vec::new(),
        };
        Self { status, message, errors, place }
    }
}

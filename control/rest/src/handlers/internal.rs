//! Endpoints with which Java workers talk to each other: never served, answered as Connect refuses them.
use super::Call;
use crate::answer::Answer;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::StatusCode;

pub(super) fn refuse(rest: &Rest, call: &Call) -> Result<Answer, Problem> {
    let header = |name: &str| call.headers.get(name).and_then(|h| h.to_str().ok());
    let signature = header("x-connect-authorization");
    let (Some(_), Some(algorithm)) = (signature, header("x-connect-request-signature-algorithm")) else {
        return Err(Problem::bad_request("Internal request missing required signature"));
    };
    let known = &rest.options.verification_algorithms;
    if !known.iter().any(|k| k == algorithm) {
        return Err(Problem::bad_request(format!(
            "This worker does not support the '{algorithm}' key signing algorithm used by other workers. This worker is currently configured to use: [{}]. Check that all workers' configuration files permit the same set of signature algorithms, and correct any misconfigured worker and restart it.",
            known.join(", ")
        )));
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "Internal request contained invalid signature."))
}

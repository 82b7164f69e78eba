//! What a request must pass before it is carried out, in Connect's order: path, method, media types, credentials.
use crate::access::Grant;
use crate::answer::Answer;
use crate::audit::Audit;
use crate::connections::Peer;
use crate::guard::Denied;
use crate::path::{NoPath, segments};
use crate::problem::Problem;
use crate::resource::Resource;
use crate::serve::{Rest, Surface};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use std::sync::Arc;

/// A request without its body.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) has_body: bool,
    /// Who calls, where that is known.
    pub(crate) peer: Option<&'a Peer>,
}

/// What comes next.
pub(crate) enum Passed {
    /// Carry it out.
    Go(Resource, Arc<Grant>),
    /// This is the answer.
    Answered(Answer),
}

/// Checks everything but the body's content.
pub(crate) fn pass(rest: &Rest, surface: Surface, head: &Head<'_>, audit: &Audit) -> Result<Passed, Problem> {
    let Head { method, path, headers, .. } = *head;
    let segments = segments(path).map_err(|why| match why {
        NoPath::Empty => Problem::plain(StatusCode::NOT_FOUND),
        NoPath::NotUtf8 => Problem::bad_request("the path is not UTF-8 once its %XX are decoded"),
    })?;
    let resource = Resource::of(&segments).filter(|r| surface.serves(r));
    let resource = resource.ok_or_else(|| Problem::plain(StatusCode::NOT_FOUND))?;
    if !resource.methods().contains(&method.as_str()) {
        return Err(Problem::plain(StatusCode::METHOD_NOT_ALLOWED));
    }
    let is_options = method == Method::OPTIONS;
    if !is_options && resource != Resource::Metrics && !accepts_json(headers) {
        return Err(Problem::plain(StatusCode::NOT_ACCEPTABLE));
    }
    let writes = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if writes && head.has_body && !is_json(headers) {
        return Err(Problem::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let caller = match rest.options.guard.admit((&resource, method), headers, head.peer) {
        Ok(caller) => caller,
        Err(Denied::Unknown(answer)) => {
            audit.denied();
            return Ok(Passed::Answered(answer));
        }
        Err(Denied::Forbidden(caller, problem)) => {
            audit.answered(&caller, StatusCode::FORBIDDEN);
            return Err(problem);
        }
    };
    if is_options {
        return Ok(Passed::Answered(Answer::allow(resource.methods())));
    }
    Ok(Passed::Go(resource, caller))
}

/// Whether an Accept header, absent ones included, lets JSON through.
fn accepts_json(headers: &HeaderMap) -> bool {
    let mut ranges =
        headers.get_all(ACCEPT).iter().filter_map(|h| h.to_str().ok()).flat_map(|h| h.split(',')).peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or("").to_ascii_lowercase();
        let refused = parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q == 0.0)));
        !refused && matches!(media.as_str(), "*/*" | "application/*" | "application/json")
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|h| h.to_str().ok()).and_then(|h| h.split(';').next());
    media.is_some_and(|m| m.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accepting(value: &'static str) -> bool {
        accepts_json(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]))
    }

    #[test]
    fn accept_headers_let_json_through_or_not() {
        for fine in [
            "*/*",
            "application/json",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/*;q=0.1",
            "APPLICATION/JSON",
        ] {
            assert!(accepting(fine), "{fine}");
        }
        for not in ["text/plain", "application/xml", "application/json;q=0", "text/*"] {
            assert!(!accepting(not), "{not}");
        }
        assert!(accepts_json(&HeaderMap::new()));
    }
}

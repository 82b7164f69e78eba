//! The audit trail: one log line, target `elasticflow_audit`, for each request that could change something and for each
//! that is denied. Bodies, queries and credentials are in none.
use crate::access::Grant;
use axum::http::{Method, StatusCode};
use std::net::SocketAddr;

/// What is written down of a request.
pub(crate) struct Audit {
    method: Method,
    path: String,
    address: Option<SocketAddr>,
}

impl Audit {
    pub(crate) fn of(method: &Method, path: &str, address: Option<SocketAddr>) -> Self {
        Self { method: method.clone(), path: path.to_owned(), address }
    }

    /// A known caller has its answer.
    pub(crate) fn answered(&self, caller: &Grant, status: StatusCode) {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.method) && status != StatusCode::FORBIDDEN {
            return;
        }
        let (method, path, status) = (self.method.as_str(), &self.path, status.as_u16());
        let address = self.address.map(tracing::field::display);
        tracing::info!(
            target: "elasticflow_audit", caller = caller.name, role = caller.role.name(), address, method, ?path, status,
            "request"
        );
    }

    /// Nobody is known by the credentials of a request.
    pub(crate) fn denied(&self) {
        let (method, path, address) = (self.method.as_str(), &self.path, self.address.map(tracing::field::display));
        tracing::warn!(target: "elasticflow_audit", address, method, ?path, "request without valid credentials");
    }
}

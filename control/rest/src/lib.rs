//! The REST endpoint: Kafka Connect's routes, answers and errors.
//!
//! A request passes [`resource`] (which resource a path names), [`gate`] (method, media types, credentials, in Connect's
//! order; [`guard`] and [`access`] say who may do what, [`audit`] writes it down), one function of [`handlers`] and
//! [`problem`] (errors in Connect's form). [`policy`] decides where the endpoint may listen, [`serve`] binds and routes,
//! [`connections`] serves within limits. The worker itself is behind a [`HerderHandle`](elasticflow_herder::HerderHandle);
//! log levels and metrics are ports.
//!
//! Malformed requests are answered with 400 and a text that says what is wrong and where; values of a body, which may be
//! secrets, are in no answer that did not hold them before.
//!
//! A request that another worker has to carry out is passed on to it ([`forward`]); a request that comes while leadership
//! or a task is on its way from one worker to another waits for that.
//!
//! Absent on purpose: the web page.
mod access;
mod answer;
mod audit;
mod auth;
mod body;
mod common_name;
mod connections;
mod cors;
mod doubt;
mod forward;
mod gate;
mod guard;
mod handlers;
mod headers;
mod loggers;
mod metrics;
#[cfg(test)]
mod openapi_tests;
mod options;
mod path;
mod patience;
mod policy;
mod problem;
mod rate;
mod reloaded;
mod resource;
mod serve;
mod tls;
mod trust;

pub use access::Role;
pub use auth::{LoginError, Users};
pub use connections::{ConnectionLimits, serve};
pub use forward::Forwarder;
pub use guard::{AccessRules, Guard};
pub use headers::{HeaderRule, HeaderRuleError};
pub use loggers::{Directive, Level, Loggers};
pub use options::{RestError, RestOptions};
pub use policy::{RefusedListener, check_listener};
pub use serve::{BindError, Rest, Surface, bind, router};
pub use tls::Tls;

//! Elasticsearch sink: every record becomes at most one write of `_bulk` that a replay cannot change.
//!
//! A write carries the record's own version, `epoch << 48 | offset`, as an external version: an index that has seen this
//! record or a later one of the same `_id` answers "conflict", and that is success. So a batch may be sent any number of
//! times, in any order of its requests, by this task or its successor, and the index ends in the same state. Group offsets
//! move after every item has been answered.
//!
//! Reading order: [`task`] (put, flush) -> [`change`] (what a record does to the index) -> [`placing`] (where, under which
//! `_id` and version) -> [`bulk`] (the body of a request)
//! -> [`sender`] (sends until every item is settled) -> [`answer`] (what an item's answer means) -> [`client`] (HTTP) ->
//! [`index`] (names, creation, mappings).
//!
//! Invariants: no write without a version, except where the configuration asks for it and the guarantee says so; an item is
//! settled by its own answer, never by the request's; what cannot be written is rejected with a reason, never dropped in
//! silence; a request is never sent without the lease.
//!
//! Absent on purpose: scripts, `compatible-with` media types, node sniffing, JKS key stores, Kerberos.
mod answer;
mod batches;
mod bulk;
mod change;
mod client;
mod config;
mod connector;
mod document_id;
mod error;
mod index;
mod index_name;
mod mapping;
mod outage;
mod placing;
mod retention;
mod sender;
mod stream;
mod task;
mod template;
mod timestamp;

pub use config::ElasticsearchConfig;
pub use connector::{ElasticsearchSink, plugins};
pub use error::Error;

//! The adapter against a broker: the one named by `EF_KAFKA=host:port`, else the embedded development broker.
mod support;

mod admin;
mod consume;
mod produce;
mod topic_log;
mod transactions;

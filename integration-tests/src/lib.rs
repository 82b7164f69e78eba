//! Proofs on real servers: a worker as a child process that is killed and started again, clients of the servers, and a
//! ledger that compares what went in with what came out.
//!
//! The servers come from `scripts/services`; their addresses are read from the environment ([`servers`]). Programs in
//! `src/bin` are the long ones: the demo of the main job, chaos, benchmarks.
pub mod asking;
pub mod brokers;
pub mod chaos;
pub mod connect;
pub mod follow;
pub mod hook;
pub mod ledger;
pub mod meter;
pub mod mysql;
pub mod openapi;
pub mod proxy;
pub mod purge;
pub mod rest;
pub mod scenes;
pub mod search;
pub mod servers;
pub mod tables;
pub mod worker;

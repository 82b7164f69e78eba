//! The broker conformance test: what ElasticFlow expects from a Kafka broker, as checks that run against any.
//!
//! `cargo test -p elasticflow-conformance` runs the list against the embedded development broker, and against the Kafka
//! brokers that `EF_KAFKA` and `EF_KAFKA4` name (see `scripts/services`). What Kafka does is right. The checks are in
//! `tests/broker_conformance`.

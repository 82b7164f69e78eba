//! REST endpoint with the answers of Kafka Connect.

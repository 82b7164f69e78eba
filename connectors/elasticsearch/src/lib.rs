//! Elasticsearch sink.

//! Conformance suite and fakes for connectors.

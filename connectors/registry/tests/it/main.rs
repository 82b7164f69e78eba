//! The converters against a registry: recordings of Confluent's converter, the protocol and its failures, round trips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "tests stop at the first surprise, and say what they skip"
)]
mod converting;
mod golden;
mod json_schema;
mod protobuf;
mod protocol;
mod real;
mod round_trip;
mod server;
#[path = "../../../formats/tests/main/typed.rs"]
#[allow(dead_code, reason = "shared with the tests of the other converters")]
mod typed;

//! Replays what a real Kafka Connect wrote and read, and the properties of round trips.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "tests stop at the first surprise, and say what they skip"
)]
mod golden;
mod round_trip;
mod typed;

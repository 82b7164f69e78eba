//! Replays what a real Kafka Connect wrote and read, and the properties of round trips.
mod golden;
mod round_trip;
mod typed;

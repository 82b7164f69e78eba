//! A whole broker, over the network.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod client;
mod kill;
mod limits;
mod start;

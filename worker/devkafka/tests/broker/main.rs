//! A whole broker, over the network.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]
mod client;
mod kill;
mod limits;
mod start;

//! Offsets topics: positions of source connectors.
//!
//! Keys are compared as parsed JSON, member order ignored, and an overwrite reuses the key bytes that are there:
//! compaction compares bytes and would keep two rows.
mod record;
mod topic;

pub use record::{OffsetKey, OffsetTable, StoredPosition, canonical, encode_key};
pub use topic::{OffsetRow, OffsetsTopic, write_offsets};

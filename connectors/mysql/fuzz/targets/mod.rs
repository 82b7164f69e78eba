//! What reads bytes from outside, each with what must hold whatever the bytes are.
//!
//! Run by coverage-guided programs (`make fuzz`) and, with changed bytes of the corpus, by the tests.
mod charsets;
mod gtids;
mod json;
mod reading;
mod rows;
mod stream;

pub use charsets::charset;
pub use gtids::gtid_set;
pub use json::json_binary;
pub use rows::row_image;
pub use stream::binlog_stream;

/// A target by its name, which is that of its folder in the corpus too.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Target; 5] = [
    ("binlog_stream", binlog_stream),
    ("row_image", row_image),
    ("json_binary", json_binary),
    ("gtid_set", gtid_set),
    ("charset", charset),
];

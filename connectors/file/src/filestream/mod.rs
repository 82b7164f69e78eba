//! Apache's demonstration pair, with its keys and its positions, so that a stored offset of either works with the other.
//!
//! The source follows one file: lines end with LF, CR LF or CR, a last line that has not ended waits, a file that is not
//! there is waited for. The sink appends lines; it cannot take back what it has written, so a restart may repeat records.
//! Absent on purpose: standard input and output, which a worker does not share with anybody.
mod sink;
mod source;

pub use sink::{FileStreamSink, FileStreamSinkConfig};
pub use source::{FileStreamSource, FileStreamSourceConfig};

use crate::error::Error;

/// The file of a configuration.
fn file_of(file: Option<&String>) -> Result<String, Error> {
    match file {
        Some(file) if !file.is_empty() => Ok(file.clone()),
        _ => Err(Error::Config("file: is needed; a worker has no standard input or output of its own".to_owned())),
    }
}

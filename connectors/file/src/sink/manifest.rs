//! What a prepared unit consists of, and how it is found again.
use crate::error::Error;
use bytes::Bytes;
use elasticflow_api::sink::Handle;
use serde::{Deserialize, Serialize};

/// Version of both forms.
const VERSION: u32 = 1;

/// Name of the manifest in a unit's directory.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The files of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) files: Vec<Finished>,
}

/// A file whose bytes are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// Name in the unit's directory.
    pub(crate) part: String,
    /// Path below `output.path`.
    #[serde(rename = "final")]
    pub(crate) target: String,
    pub(crate) length: u64,
    pub(crate) crc32c: u32,
    /// First offset in it.
    pub(crate) first: i64,
    /// Last offset in it.
    pub(crate) last: i64,
    pub(crate) records: u64,
}

impl Manifest {
    /// Of these files.
    pub(crate) fn new(files: Vec<Finished>) -> Self {
        Self { version: VERSION, files }
    }

    /// As it is written.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|e| Error::Bug(format!("a manifest cannot be written: {e}")))
    }

    /// As it was written; `crc` is the one of the handle.
    pub(crate) fn from_bytes(bytes: &[u8], crc: u32) -> Result<Self, Error> {
        let text = |why: &str| Error::Definite {
            code: "FILE-0032",
            text: format!("the manifest of a prepared unit {why}; restore the staging directory from a backup"),
        };
        if crc32c::crc32c(bytes) != crc {
            return Err(text("is not the one that was prepared"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|_| text("cannot be read"))?;
        if manifest.version == VERSION { Ok(manifest) } else { Err(text("was written by a later version")) }
    }
}

/// What a handle carries: where the unit is staged, and its manifest's checksum.
///
/// The directory is carried so that a decided unit is finished where it was prepared, also after `output.path` has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    #[serde(rename = "v")]
    version: u32,
    /// `output.path` at the time.
    pub(crate) output: String,
    /// Directory of the task below it.
    pub(crate) task: String,
    /// Checksum of the manifest.
    pub(crate) crc32c: u32,
}

impl Token {
    /// Of a unit staged below a task's directory.
    pub(crate) fn new(output: &str, task: &str, crc32c: u32) -> Self {
        Self { version: VERSION, output: output.to_owned(), task: task.to_owned(), crc32c }
    }

    /// As a handle carries it.
    pub(crate) fn to_bytes(&self) -> Result<Bytes, Error> {
        let bytes = serde_json::to_vec(self).map_err(|e| Error::Bug(format!("a token cannot be written: {e}")))?;
        if bytes.len() > Handle::TOKEN_MAX {
            return Err(Error::Config("output.path is too long".to_owned()));
        }
        Ok(bytes.into())
    }

    /// From a handle.
    pub(crate) fn of(handle: &Handle) -> Result<Self, Error> {
        match serde_json::from_slice::<Self>(&handle.token) {
            Ok(token) if token.version == VERSION => Ok(token),
            _ => Err(Error::Definite {
                code: "FILE-0033",
                text: "the handle of a decided unit cannot be read; run the version that wrote it until its units are committed".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_forms_are_these() {
        let file = Finished {
            part: "0.part".into(),
            target: "topics/t/x".into(),
            length: 5,
            crc32c: 7,
            first: 0,
            last: 1,
            records: 2,
        };
        let bytes = Manifest::new(vec![file]).to_bytes().unwrap();
        let golden = r#"{"version":1,"files":[{"part":"0.part","final":"topics/t/x","length":5,"crc32c":7,"first":0,"last":1,"records":2}]}"#;
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), golden);
        assert!(Manifest::from_bytes(&bytes, crc32c::crc32c(&bytes)).is_ok());
        assert!(Manifest::from_bytes(&bytes, 1).is_err());
        let token = Token::new("/out", ".elasticflow/g/c/0", 9).to_bytes().unwrap();
        assert_eq!(&token[..], br#"{"v":1,"output":"/out","task":".elasticflow/g/c/0","crc32c":9}"#);
    }
}

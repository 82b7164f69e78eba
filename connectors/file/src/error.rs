//! What can go wrong with files, by code and class.
use elasticflow_api::error::Stage;
use elasticflow_api::{ConnectorError, ErrorClass, RecordError};
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// Wait after the disk is full.
const NO_SPACE_WAIT: Duration = Duration::from_secs(30);

/// Errors of this connector; texts name files, lines and columns, never values.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system's answer.
    #[error("{context}")]
    Io {
        /// What was attempted.
        context: String,
        /// The answer.
        #[source]
        source: io::Error,
    },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// A record of a source file is bad.
    #[error("{file} line {line}: {reason}")]
    Record {
        /// Path below `input.path`.
        file: String,
        /// Line at which the record begins, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// A source file is not what was read before.
    #[error("{file} changed after {byte} bytes were read ({how}); restore it or alter its offset")]
    Changed {
        /// Path below `input.path`.
        file: String,
        /// Bytes read.
        byte: u64,
        /// What differs.
        how: &'static str,
    },
    /// Stored state or a file that a human must look at.
    #[error("{text}")]
    Definite {
        /// Documented code.
        code: &'static str,
        /// What and what to do.
        text: String,
    },
    /// A final name of the sink belongs to somebody else.
    #[error("{path} exists and is not what epoch {epoch} wrote (length {found}, expected {expected}); move it away")]
    Taken {
        /// The final path.
        path: String,
        /// Owner and commit epoch.
        epoch: String,
        /// Length found.
        found: u64,
        /// Length written.
        expected: u64,
    },
    /// The error policy stops the task, or the seam's own error.
    #[error(transparent)]
    Seam(#[from] ConnectorError),
    /// An invariant is broken.
    #[error("{0}")]
    Bug(String),
}

impl Error {
    /// For `map_err` on a call of the operating system.
    pub(crate) fn at(context: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let context = context.into();
        move |source| Self::Io { context, source }
    }

    /// For `map_err` where the text is costly.
    pub(crate) fn with<E: Into<io::Error>>(context: impl FnOnce() -> String) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { context: context(), source: source.into() }
    }

    fn class_and_code(&self) -> (ErrorClass, &'static str) {
        match self {
            Self::Io { source, .. } => io_class(source),
            Self::Config(_) => (ErrorClass::Config, "FILE-0001"),
            Self::Record { .. } => (ErrorClass::Record, "FILE-0022"),
            Self::Changed { .. } => (ErrorClass::Definite, "FILE-0021"),
            Self::Definite { code, .. } => (ErrorClass::Definite, code),
            Self::Taken { .. } => (ErrorClass::Definite, "FILE-0031"),
            Self::Seam(error) => (error.class, error.code),
            Self::Bug(_) => (ErrorClass::Bug, "FILE-0099"),
        }
    }
}

impl From<Error> for ConnectorError {
    fn from(error: Error) -> Self {
        let (class, code) = error.class_and_code();
        match error {
            Error::Seam(inner) => inner,
            Error::Io { context, source } => {
                Self { class, code, message: format!("{context}: {source}"), source: Some(Box::new(source)) }
            }
            error => Self { class, code, message: error.to_string(), source: None },
        }
    }
}

/// Class of an answer of the operating system.
fn io_class(error: &io::Error) -> (ErrorClass, &'static str) {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => (ErrorClass::Transient { retry_after: Some(NO_SPACE_WAIT) }, "FILE-0020"),
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::XDEV | Errno::LOOP | Errno::NOTDIR) => {
            (ErrorClass::Config, "FILE-0001")
        }
        Some(Errno::NAMETOOLONG) => (ErrorClass::Config, "FILE-0001"),
        _ => (ErrorClass::Transient { retry_after: None }, "FILE-0002"),
    }
}

/// A bad record of the source: code and text alone, which name file and line.
pub(crate) fn unread(error: Error) -> RecordError {
    let reason = ConnectorError::from(error).to_string();
    RecordError { stage: Stage::TaskPoll, reason, source: None }
}

/// A bad record of the sink.
pub(crate) fn bad(reason: impl Into<String>) -> RecordError {
    RecordError { stage: Stage::TaskPut, reason: reason.into(), source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(errno: Errno) -> ErrorClass {
        ConnectorError::from(Error::Io { context: "x".to_owned(), source: errno.into() }).class
    }

    #[test]
    fn a_full_disk_waits_and_a_refused_path_is_the_users() {
        assert_eq!(class(Errno::NOSPC), ErrorClass::Transient { retry_after: Some(NO_SPACE_WAIT) });
        assert_eq!(class(Errno::NOENT), ErrorClass::Transient { retry_after: None });
        for errno in [Errno::ACCESS, Errno::ROFS, Errno::XDEV, Errno::LOOP] {
            assert_eq!(class(errno), ErrorClass::Config);
        }
    }
}

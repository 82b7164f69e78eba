//! What can go wrong with a SQLite file, by code and class.
use elasticflow_api::{ConnectorError, ErrorClass};
use rusqlite::ErrorCode;
use std::time::Duration;

/// Wait after the disk is full.
const NO_SPACE_WAIT: Duration = Duration::from_secs(30);

/// Errors of this connector; texts name files, tables and columns, never values.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// SQLite's answer.
    #[error("{context}")]
    Sqlite {
        /// What was attempted.
        context: String,
        /// The answer.
        #[source]
        source: rusqlite::Error,
    },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// Stored state that cannot be used.
    #[error("{0}")]
    Definite(String),
    /// The error policy stops the task, or the seam's own error.
    #[error(transparent)]
    Seam(#[from] ConnectorError),
    /// A thread ended without an answer.
    #[error("{0}")]
    Bug(String),
}

impl Error {
    /// For `map_err` on a statement.
    pub(crate) fn at(context: impl Into<String>) -> impl FnOnce(rusqlite::Error) -> Self {
        let context = context.into();
        move |source| Self::Sqlite { context, source }
    }

    pub(crate) fn class_and_code(&self) -> (ErrorClass, &'static str) {
        match self {
            Self::Sqlite { source, .. } => sqlite_class(source),
            Self::Config(_) => (ErrorClass::Config, "SQLITE-0001"),
            Self::Definite(_) => (ErrorClass::Definite, "SQLITE-0030"),
            Self::Seam(error) => (error.class, error.code),
            Self::Bug(_) => (ErrorClass::Bug, "SQLITE-0099"),
        }
    }
}

impl From<Error> for ConnectorError {
    fn from(error: Error) -> Self {
        match error {
            Error::Seam(inner) => inner,
            error => {
                let (class, code) = error.class_and_code();
                let cause = cause_of(&error);
                Self { class, code, message: format!("{error}{cause}"), source: None }
            }
        }
    }
}

/// SQLite's own text names constraints and columns; values never appear in it.
fn cause_of(error: &Error) -> String {
    match error {
        Error::Sqlite { source, .. } => format!(": {source}"),
        _ => String::new(),
    }
}

/// Class of an answer of SQLite (`sqlite.md`, section 7).
fn sqlite_class(error: &rusqlite::Error) -> (ErrorClass, &'static str) {
    let Some(code) = error.sqlite_error_code() else { return (ErrorClass::Definite, "SQLITE-0098") };
    match code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::SchemaChanged
        | ErrorCode::OperationInterrupted => (ErrorClass::Transient { retry_after: None }, "SQLITE-0003"),
        ErrorCode::DiskFull | ErrorCode::OutOfMemory => {
            (ErrorClass::Transient { retry_after: Some(NO_SPACE_WAIT) }, "SQLITE-0021")
        }
        ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::AuthorizationForStatementDenied => (ErrorClass::Config, "SQLITE-0001"),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure => {
            (ErrorClass::Definite, "SQLITE-0031")
        }
        _ => (ErrorClass::Definite, "SQLITE-0098"),
    }
}

/// Whether this row alone is bad: the rest of the batch can go on.
pub(crate) fn is_row_error(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::ParameterOutOfRange
        )
    )
}

//! What can go wrong between a record and a row, by code and class.
use elasticflow_api::error::Stage;
use elasticflow_api::{ConnectorError, ErrorClass, RecordError};
use std::time::Duration;

/// Wait after the disk is full.
const NO_SPACE_WAIT: Duration = Duration::from_secs(30);

/// What an answer of a database means; each dialect sorts its codes into these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is gone: what was asked may have been done or not.
    Lost,
    /// Passes by itself: deadlock, lock wait, fail-over, too many connections.
    Passing,
    /// No space or memory: passes when somebody makes room.
    NoSpace,
    /// Wrong input or missing rights: the user must act.
    Config,
    /// A table or column is not as it was described.
    Structure,
    /// These rows are refused because of what they hold.
    Row,
    /// The statement is longer than the server takes.
    TooLarge,
    /// No rule covers the code.
    Unknown,
}

/// An answer of a database. Its text holds no values of rows.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct SqlError {
    /// What it means.
    pub trouble: Trouble,
    /// The system's own code, such as `1062` or `23505`; empty when there is none.
    pub code: String,
    /// What may be said of it: without values of rows.
    pub text: String,
}

/// Errors of the engine; texts name tables and columns, never values.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each one is")]
pub enum Error {
    #[error("{doing}: {answer}")]
    Database {
        doing: String,
        #[source]
        answer: SqlError,
    },
    #[error("{text}")]
    Config { code: &'static str, text: String },
    #[error("{text}")]
    Definite { code: &'static str, text: String },
    #[error("another owner has taken over a partition")]
    Fenced,
    #[error("{bad} bad rows in one transaction, limit errors.batch.isolate.max={max}")]
    TooManyBadRows { bad: usize, max: usize },
    #[error(transparent)]
    Seam(#[from] ConnectorError),
    #[error("internal error: {0}")]
    Bug(&'static str),
}

impl Error {
    /// For `map_err` on an answer.
    pub fn at(doing: impl Into<String>) -> impl FnOnce(SqlError) -> Self {
        let doing = doing.into();
        move |answer| Self::Database { doing, answer }
    }

    /// What the runtime does about it; exhaustive on purpose.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Database { answer, .. } => match answer.trouble {
                Trouble::Lost | Trouble::Passing => ErrorClass::Transient { retry_after: None },
                Trouble::NoSpace => ErrorClass::Transient { retry_after: Some(NO_SPACE_WAIT) },
                Trouble::Config | Trouble::Structure => ErrorClass::Config,
                Trouble::Row => ErrorClass::Record,
                Trouble::TooLarge | Trouble::Unknown => ErrorClass::Definite,
            },
            Self::Config { .. } => ErrorClass::Config,
            Self::Definite { .. } => ErrorClass::Definite,
            Self::Fenced => ErrorClass::Fenced,
            Self::TooManyBadRows { .. } => ErrorClass::Record,
            Self::Seam(error) => error.class,
            Self::Bug(_) => ErrorClass::Bug,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Database { answer, .. } => match answer.trouble {
                Trouble::Config => "SQL-0001",
                Trouble::Lost | Trouble::Passing => "SQL-0002",
                Trouble::NoSpace => "SQL-0003",
                Trouble::Structure => "SQL-0055",
                Trouble::Row => "SQL-0057",
                Trouble::TooLarge | Trouble::Unknown => "SQL-0098",
            },
            Self::Config { code, .. } | Self::Definite { code, .. } => code,
            Self::Fenced => "SQL-0004",
            Self::TooManyBadRows { .. } => "SQL-0056",
            Self::Seam(error) => error.code,
            Self::Bug(_) => "SQL-0099",
        }
    }

    /// Whether the same transaction may succeed in a fresh session.
    pub fn may_pass(&self) -> bool {
        matches!(self.class(), ErrorClass::Transient { .. })
    }

    /// Whether no rule covers the database's answer: it is tried again a little before it counts.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Database { answer, .. } if answer.trouble == Trouble::Unknown)
    }

    /// Whether a table or column is not as it was described.
    pub fn is_structure(&self) -> bool {
        matches!(self, Self::Database { answer, .. } if answer.trouble == Trouble::Structure)
    }
}

impl From<Error> for ConnectorError {
    fn from(error: Error) -> Self {
        match error {
            Error::Seam(inner) => inner,
            error => {
                let (class, code) = (error.class(), error.code());
                Self { class, code, message: error.to_string(), source: None }
            }
        }
    }
}

/// A bad record of a sink.
pub fn bad(reason: impl Into<String>) -> RecordError {
    RecordError { stage: Stage::TaskPut, reason: reason.into(), source: None }
}

/// A server's text with everything in quotes taken out: it may be a value of a row.
pub fn without_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote: Option<char> = None;
    for c in text.chars().take(600) {
        match quote {
            Some(open) if c == open => {
                out.push('…');
                out.push(c);
                quote = None;
            }
            Some(_) => {}
            None => {
                out.push(c);
                if matches!(c, '\'' | '"' | '`') {
                    quote = Some(c);
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_parts_of_a_servers_text_are_taken_out() {
        let text = without_quoted("Duplicate entry 'secret-7' for key 'people.PRIMARY'");
        assert_eq!(text, "Duplicate entry '…' for key '…'");
        assert_eq!(without_quoted("open 'secret"), "open '");
    }
}

//! What can go wrong between a record and a row, by code and class.
use elasticflow_api::blame::FaultKind;
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

impl SqlError {
    /// What is wrong with a row that was refused: by SQLSTATE, by the numbers of MySQL, by SQLite's names.
    pub fn fault(&self) -> FaultKind {
        match self.code.as_str() {
            "1048" | "1364" | "23502" | "1299" => FaultKind::Null,
            "1062" | "23505" | "1555" | "2067" => FaultKind::Duplicate,
            "1264" | "1406" | "1690" | "22001" | "22003" | "22008" => FaultKind::Size,
            "1265" | "1292" | "1366" | "1367" | "1411" | "1525" | "3140" | "22P02" | "22P03" | "22P05" | "22007"
            | "22021" => FaultKind::Conversion,
            "1216" | "1217" | "1451" | "1452" | "3819" | "4025" | "23503" | "23514" | "23P01" | "275" | "787" => {
                FaultKind::Constraint
            }
            _ => self.fault_by_words(),
        }
    }

    /// SQLite has one code for all of them and tells them apart in words.
    fn fault_by_words(&self) -> FaultKind {
        let words = [
            ("NOT NULL constraint failed", FaultKind::Null),
            ("UNIQUE constraint failed", FaultKind::Duplicate),
            ("constraint failed", FaultKind::Constraint),
            ("cannot store", FaultKind::Conversion),
            ("too big", FaultKind::Size),
        ];
        words.iter().find(|(words, _)| self.text.contains(words)).map_or(FaultKind::Other, |(_, kind)| *kind)
    }

    /// The column that the answer names.
    pub fn column(&self) -> Option<String> {
        let after = [" for column ", " constraint failed: ", " column "];
        let (_, rest) = after.iter().find_map(|words| self.text.split_once(words))?;
        // SQLite writes `table.column`, and several with commas between them.
        let name = rest.split([' ', ',']).next()?;
        let name = name.rsplit('.').next().unwrap_or(name);
        Some(name.to_owned()).filter(|name| !name.is_empty())
    }
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
    fn a_refused_row_names_kind_and_column() {
        for (code, text, kind, column) in [
            ("1406", "rejected by the database (1406) for column name", "size", Some("name")),
            ("23502", "rejected by the database (23502) for column age", "null", Some("age")),
            ("1062", "rejected by the database (1062) for key people.PRIMARY", "duplicate", None),
            ("SQLITE-0098", "NOT NULL constraint failed: t.c (SQLITE-0098)", "null", Some("c")),
            ("SQLITE-0098", "cannot store TEXT value in INTEGER column t.n (SQLITE-0098)", "conversion", Some("n")),
            ("SQLITE-0098", "CHECK constraint failed: positive (SQLITE-0098)", "constraint", Some("positive")),
            ("9999", "rejected by the database (9999)", "other", None),
        ] {
            let answer = SqlError { trouble: Trouble::Row, code: code.to_owned(), text: text.to_owned() };
            assert_eq!((answer.fault().name(), answer.column().as_deref()), (kind, column), "{text}");
        }
    }

    #[test]
    fn quoted_parts_of_a_servers_text_are_taken_out() {
        let text = without_quoted("Duplicate entry 'secret-7' for key 'people.PRIMARY'");
        assert_eq!(text, "Duplicate entry '…' for key '…'");
        assert_eq!(without_quoted("open 'secret"), "open '");
    }
}

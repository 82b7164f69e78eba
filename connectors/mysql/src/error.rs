//! What can go wrong, and what the runtime does about it.
use crate::binlog::DecodeError;
use elasticflow_api::error::{ConnectorError, ErrorClass};

/// A place in the log, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Log file.
    pub file: String,
    /// Position in it.
    pub pos: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.pos)
    }
}

/// Errors of the connector.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each one is")]
pub enum Error {
    #[error("cannot connect to {address}")]
    Connect {
        address: String,
        #[source]
        cause: mysql_async::Error,
    },
    #[error(
        "the server at {address} refuses the user: check database.user and database.password, and that the user may connect from this host"
    )]
    Credentials {
        address: String,
        #[source]
        cause: mysql_async::Error,
    },
    #[error("the connection to the server was lost while {doing}")]
    Lost {
        doing: &'static str,
        #[source]
        cause: mysql_async::Error,
    },
    #[error("the server sent nothing, not even a heartbeat, for {seconds} s; reconnecting")]
    Silent { seconds: u64 },
    #[error("the server closed the stream of its binary log; reconnecting")]
    Closed,
    #[error(
        "the server at this address is another one than before (it was {was}, it is {is}), and without GTIDs the position in one server's log means nothing in another's. Set gtid_mode=ON, point database.hostname at the server {was}, or reset the connector's offsets"
    )]
    ServerChanged { was: String, is: String },
    #[error("the server answered an error while {doing}")]
    Statement {
        doing: &'static str,
        #[source]
        cause: mysql_async::Error,
    },
    #[error("the user lacks a privilege for {doing}: {text}")]
    Privilege { doing: &'static str, text: String },
    #[error("{text}")]
    Preflight { text: String },
    #[error(
        "the stored position {position} is no longer on the server: {text}. Set snapshot.mode=when_needed to take a new snapshot, or reset the connector's offsets"
    )]
    PositionLost { position: String, text: String },
    #[error(
        "the server is behind the stored position: it lacks the transactions {missing}. Wait until it has caught up, point database.hostname at the right server, or reset the connector's offsets"
    )]
    ServerBehind { missing: String },
    #[error("the server refuses the dump: {text}")]
    Dump { text: String },
    #[error(
        "another client reads the log with the server id of this connector: {text}. Set database.server.id to a number that nobody else uses"
    )]
    ServerIdTaken { text: String },
    #[error("table {table} was changed while it was read; reading it again")]
    TableChanged { table: String },
    #[error("a further start of this task reads the log: {text}")]
    Replaced { text: String },
    #[error("another request for the log took the place of this one right after it began: {text}; reconnecting")]
    Crossed { text: String },
    #[error(
        "the stored offset cannot be read: {reason}. Correct it with PATCH /connectors/{{name}}/offsets, or delete it there to begin anew"
    )]
    OffsetUndecodable { reason: String },
    #[error("event of type {kind} at {place} is not known; it cannot be skipped, because it may carry data")]
    UnknownEvent { kind: u8, place: Place },
    #[error("the checksum of the event at {place} is wrong: the log or the connection is damaged")]
    Checksum { place: Place },
    #[error("an event at {place} cannot be decoded")]
    Decode {
        place: Place,
        #[source]
        cause: DecodeError,
    },
    #[error("the log at {place} is out of order: {what}")]
    LogOrder { place: Place, what: &'static str },
    #[error("the server reports that it lost events (incident) at {place}: take a new snapshot")]
    Incident { place: Place },
    #[error(
        "a session logged a statement instead of rows in database {db} at {place}: binlog_format must be ROW in every session that writes. Rows of that statement are missing from the log; take a new snapshot of the table"
    )]
    StatementLogged { db: String, place: Place },
    #[error(
        "the columns of {table} at {place} are not known: the log says {columns} columns and information_schema describes the table otherwise. Run: SET GLOBAL binlog_row_metadata=FULL; and take a new snapshot"
    )]
    SchemaUnknown { table: String, place: Place, columns: usize },
    #[error(
        "a row of {table} at {place} lacks column {column}: binlog_row_image must be FULL in every session. Run: SET GLOBAL binlog_row_image=FULL; and reconnect the writers"
    )]
    PartialImage { table: String, column: String, place: Place },
    #[error("column {column}: character set {charset} is not supported; exclude the column with column.exclude.list")]
    Charset { column: String, charset: String },
    #[error("column {column}: type {kind} is not supported; exclude the column with column.exclude.list")]
    ColumnType { column: String, kind: String },
    #[error("a transaction at {place} was rolled back after its rows were sent")]
    RolledBack { place: Place },
    #[error(
        "the prepared XA transaction {xid} has been open for {bytes} bytes of the log, and what follows cannot be held back any longer; commit it or roll it back (XA RECOVER lists it), then restart the task"
    )]
    XaOpen { xid: String, bytes: usize },
    #[error(
        "{count} prepared XA transactions have no outcome yet: their rows stand in the log before the place where reading would begin. Commit or roll them back; XA RECOVER lists them"
    )]
    XaPrepared { count: usize },
    #[error("table {table} cannot be snapshotted: {reason}")]
    Snapshot { table: String, reason: String },
    #[error("no table matches the filters; check database.include.list and table.include.list")]
    NoTables,
    #[error("internal error: {0}")]
    Bug(&'static str),
}

impl Error {
    /// What the runtime does about it. Exhaustive on purpose: a further variant must choose.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { .. }
            | Self::Lost { .. }
            | Self::Silent { .. }
            | Self::Closed
            | Self::Crossed { .. }
            | Self::TableChanged { .. }
            | Self::XaPrepared { .. } => ErrorClass::Transient { retry_after: None },
            Self::Statement { cause, .. } => statement_class(cause),
            Self::Credentials { .. }
            | Self::Privilege { .. }
            | Self::Preflight { .. }
            | Self::Charset { .. }
            | Self::ColumnType { .. }
            | Self::NoTables => ErrorClass::Config,
            Self::PositionLost { .. }
            | Self::ServerBehind { .. }
            | Self::ServerChanged { .. }
            | Self::Dump { .. }
            | Self::ServerIdTaken { .. }
            | Self::OffsetUndecodable { .. }
            | Self::UnknownEvent { .. }
            | Self::Checksum { .. }
            | Self::Decode { .. }
            | Self::LogOrder { .. }
            | Self::Incident { .. }
            | Self::StatementLogged { .. }
            | Self::SchemaUnknown { .. }
            | Self::PartialImage { .. }
            | Self::RolledBack { .. }
            | Self::XaOpen { .. }
            | Self::Snapshot { .. } => ErrorClass::Definite,
            Self::Replaced { .. } => ErrorClass::Fenced,
            Self::Bug(_) => ErrorClass::Bug,
        }
    }

    /// Whether a connection is what failed, so that another one may go on.
    pub fn is_link(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } | Self::Silent { .. } | Self::Closed | Self::Crossed { .. } => {
                true
            }
            Self::Statement { cause: mysql_async::Error::Server(e), .. } => is_link_code(e.code),
            _ => false,
        }
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "MYSQL-0101",
            Self::Credentials { .. } => "MYSQL-0102",
            Self::Lost { .. } => "MYSQL-0103",
            Self::Silent { .. } => "MYSQL-0104",
            Self::Closed => "MYSQL-0105",
            Self::Statement { .. } => "MYSQL-0106",
            Self::Privilege { .. } => "MYSQL-0107",
            Self::Preflight { .. } => "MYSQL-0108",
            Self::NoTables => "MYSQL-0109",
            Self::PositionLost { .. } => "MYSQL-0110",
            Self::ServerBehind { .. } => "MYSQL-0111",
            Self::Dump { .. } => "MYSQL-0112",
            Self::ServerIdTaken { .. } => "MYSQL-0113",
            Self::OffsetUndecodable { .. } => "MYSQL-0114",
            Self::Replaced { .. } => "MYSQL-0115",
            Self::TableChanged { .. } => "MYSQL-0116",
            Self::ServerChanged { .. } => "MYSQL-0117",
            Self::Crossed { .. } => "MYSQL-0118",
            Self::UnknownEvent { .. } => "MYSQL-0120",
            Self::Checksum { .. } => "MYSQL-0122",
            Self::Decode { .. } => "MYSQL-0123",
            Self::LogOrder { .. } => "MYSQL-0124",
            Self::Incident { .. } => "MYSQL-0125",
            Self::StatementLogged { .. } => "MYSQL-0126",
            Self::SchemaUnknown { .. } => "MYSQL-0127",
            Self::PartialImage { .. } => "MYSQL-0128",
            Self::Charset { .. } => "MYSQL-0129",
            Self::ColumnType { .. } => "MYSQL-0130",
            Self::RolledBack { .. } => "MYSQL-0131",
            Self::Snapshot { .. } => "MYSQL-0132",
            Self::XaOpen { .. } => "MYSQL-0133",
            Self::XaPrepared { .. } => "MYSQL-0134",
            Self::Bug(_) => "MYSQL-0199",
        }
    }
}

/// A statement refused for want of a privilege or by a wrong name needs the user; the rest may work later.
fn statement_class(cause: &mysql_async::Error) -> ErrorClass {
    match cause {
        mysql_async::Error::Server(e) if is_config_code(e.code) => ErrorClass::Config,
        _ => ErrorClass::Transient { retry_after: None },
    }
}

/// Too many connections, shutdown, interrupted, killed.
fn is_link_code(code: u16) -> bool {
    matches!(code, 1040 | 1053 | 1203 | 1226 | 1317 | 1927 | 3169)
}

/// Access denied, unknown database or table, syntax.
fn is_config_code(code: u16) -> bool {
    matches!(code, 1044 | 1045 | 1049 | 1054 | 1064 | 1130 | 1142 | 1143 | 1146 | 1227 | 1370 | 1698 | 1820)
}

impl From<Error> for ConnectorError {
    fn from(error: Error) -> Self {
        let (class, code) = (error.class(), error.code());
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            // Some errors of libraries print their own cause already.
            let text = inner.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self { class, code, message, source: Some(Box::new(error)) }
    }
}

/// Sorts an error of an ordinary statement or of connecting.
pub fn of_client(cause: mysql_async::Error, doing: &'static str) -> Error {
    match &cause {
        mysql_async::Error::Server(e) if matches!(e.code, 1044 | 1142 | 1143 | 1227 | 1370) => {
            Error::Privilege { doing, text: e.message.clone() }
        }
        mysql_async::Error::Server(_) => Error::Statement { doing, cause },
        _ => Error::Lost { doing, cause },
    }
}

/// What is known of a stream that fails.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Whether the server tells tasks apart by a name of our own, so that only another request of the same task can take
    /// its place.
    pub named: bool,
    /// Whether it began so recently that an earlier request of this very task, whose connection is gone, may have come to
    /// the server only now: the last one to come wins, not the last one to be made.
    pub young: bool,
}

/// Sorts an error of the stream of the log.
pub fn of_stream(cause: mysql_async::Error, position: &str, Standing { named, young }: Standing) -> Error {
    let doing = "reading the binary log";
    let mysql_async::Error::Server(e) = &cause else { return Error::Lost { doing, cause } };
    let text = e.message.clone();
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    match e.code {
        1236 | 4052 if has(&["same server_uuid", "same server_id"]) && young => Error::Crossed { text },
        1236 | 4052 if has(&["same server_uuid", "same server_id"]) && named => Error::Replaced { text },
        1236 | 4052 if has(&["same server_uuid", "same server_id"]) => Error::ServerIdTaken { text },
        1236 if has(&["has more GTIDs than", "which is not in the master's binlog"]) => {
            Error::ServerBehind { missing: text }
        }
        1236 if has(&["max_allowed_packet"]) => Error::Dump { text },
        1236 if has(&[
            "Could not find first log file",
            "purged",
            "position > file size",
            "impossible position",
            "Could not find GTID state",
            "truncated in the middle of event",
        ]) =>
        {
            Error::PositionLost { position: position.to_owned(), text }
        }
        1236 => Error::Dump { text },
        1227 | 1045 => Error::Privilege { doing, text },
        _ => Error::Lost { doing, cause },
    }
}

/// Result within the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

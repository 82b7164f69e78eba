//! The language of branches: transactions that a system keeps, prepared, for anybody to commit or to roll back.
use crate::error::SqlError;
use crate::session::TextRow;

/// What a system calls them and how they are spoken of; pure text. A name is 64 hexadecimal digits.
pub trait Branches: Send + Sync {
    /// Begins one; what follows in the session belongs to it.
    fn begin(&self, name: &str) -> String;

    /// Statements that end and prepare it. After the last one it survives this session and the server.
    fn prepare(&self, name: &str) -> Vec<String>;

    /// Commits a prepared one, from any session.
    fn commit(&self, name: &str) -> String;

    /// Rolls a prepared one back, from any session.
    fn roll_back(&self, name: &str) -> String;

    /// Lists those that are prepared, of everybody.
    fn list(&self) -> &'static str;

    /// The name in a row of the list, if it has the form of ours.
    fn name_in(&self, row: &TextRow) -> Option<String>;

    /// Whether an answer to [`Branches::commit`] or [`Branches::roll_back`] says that there is none of this name, or that
    /// another session still holds it.
    fn is_absent(&self, answer: &SqlError) -> bool;

    /// Makes a session that is frozen end soon, so that others may commit what it has prepared.
    fn limit_session(&self) -> &'static str;

    /// Creates the table of units if it is not there. Columns: `unit_name` (key), `connector`, `written_at`.
    fn units_ddl(&self, quoted: &str) -> String;
}

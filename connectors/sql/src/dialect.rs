//! A system's language: pure text, no I/O.
use crate::cell::Cell;
use crate::table::TableName;
use elasticflow_api::RecordError;
use elasticflow_api::data::Schema;

/// What differs between systems. Every name is quoted by [`Dialect::quote`]; every value is written by
/// [`Dialect::write_cell`].
pub trait Dialect: Send + Sync {
    /// For messages.
    fn name(&self) -> &'static str;

    /// The character around names; doubled inside.
    fn quote_mark(&self) -> char;

    /// Bytes of the longest name.
    fn identifier_max(&self) -> usize;

    /// Parts that a table's name may have: 1, or 2 with a schema.
    fn name_parts_max(&self) -> usize {
        2
    }

    /// A column's name as the system compares it.
    fn folded(&self, column: &str) -> String {
        column.to_lowercase()
    }

    /// Writes a value as a literal; what the system cannot hold exactly is a bad record.
    fn write_cell(&self, cell: &Cell<'_>, out: &mut String) -> Result<(), RecordError>;

    /// Type of a column that the sink creates; the error says why there is none.
    fn column_type(&self, schema: &Schema, in_key: bool) -> Result<String, String>;

    /// What follows the columns in `CREATE TABLE (...)`.
    fn table_options(&self) -> &'static str {
        ""
    }

    /// What follows the values of an upsert; names are quoted.
    fn upsert_tail(&self, key: &[String], rest: &[String]) -> String;

    /// Starts a writing transaction.
    fn begin(&self) -> &'static str;

    /// What follows a select that locks its rows.
    fn lock_suffix(&self) -> &'static str;

    /// Whether an error inside a transaction spoils it, so that every statement needs a savepoint.
    fn error_spoils_transaction(&self) -> bool;

    /// Most rows of one statement.
    fn rows_max(&self) -> usize;

    /// What stands before a list of rows after `IN (`.
    fn row_list(&self) -> &'static str {
        ""
    }

    /// Whether rows are always written in the order of the records, deletes between writes.
    fn always_in_order(&self) -> bool {
        false
    }

    /// Asks for the columns of a table: name, whether it may be null (0 or 1), whether equal texts are the same as equal
    /// values (0 or 1), in order. No row: no such table.
    fn describe(&self, table: &TableName) -> String;

    /// Creates the offset table if it is not there. Columns: `slot_id` (key), `group_id`, `connector`, `topic`,
    /// `kafka_partition`, `next_offset`, `epoch`, `owner`, `updated_at`.
    fn offset_table_ddl(&self, quoted: &str) -> String;

    /// Insert that leaves existing keys alone: what stands before and after the rows. `key` is a quoted column.
    fn insert_absent(&self) -> (&'static str, &'static str);

    /// The server's time.
    fn now(&self) -> &'static str;

    /// Words between the table and the declaration in an `ALTER TABLE`.
    fn add_column(&self) -> &'static str {
        "ADD COLUMN "
    }

    /// Creates an empty table like another if it is not there; both are quoted.
    fn create_like(&self, quoted: &str, like: &str) -> String {
        format!("CREATE TABLE IF NOT EXISTS {quoted} (LIKE {like} INCLUDING ALL)")
    }

    /// Asks for the statement that a table was created with, where the system cannot copy one.
    fn body_query(&self, _table: &TableName) -> Option<String> {
        None
    }

    /// Whether a batch takes the place of a table by `RENAME TABLE`, all tables in one statement, instead of rows that are
    /// copied in a transaction.
    fn swaps_by_rename(&self) -> bool {
        false
    }

    /// Appends what stands in a `DEFAULT` clause; false where the system has no way to write it.
    fn write_default(&self, cell: &Cell<'_>, out: &mut String) -> bool {
        self.write_cell(cell, out).is_ok()
    }
}

impl dyn Dialect + '_ {
    /// Appends a quoted name. A NUL has no place in a name and is left out; the name then matches nothing.
    pub fn quote_into(&self, name: &str, out: &mut String) {
        let mark = self.quote_mark();
        out.push(mark);
        for c in name.chars().filter(|c| *c != '\0') {
            out.push(c);
            if c == mark {
                out.push(mark);
            }
        }
        out.push(mark);
    }

    /// A quoted name.
    pub fn quoted(&self, name: &str) -> String {
        let mut out = String::with_capacity(name.len() + 2);
        self.quote_into(name, &mut out);
        out
    }

    /// A text as a literal; for names in queries of the catalogue.
    pub fn text_literal(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 2);
        // A text that cannot be written, such as one with a NUL, is the name of nothing.
        if self.write_cell(&Cell::Text(text), &mut out).is_err() {
            return "''".to_owned();
        }
        out
    }
}

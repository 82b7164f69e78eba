//! Statements from rendered rows.
use super::rows::{Row, Rows};
use super::shape::Shape;
use crate::config::InsertMode;
use crate::dialect::Dialect;

/// What a shape's statements begin and end with.
pub(crate) struct Frame {
    dialect: &'static dyn Dialect,
    head: String,
    tail: String,
    kind: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `head (row),(row) tail`.
    Values,
    /// `head (key),(key) tail`.
    Keys,
    /// One statement a row.
    Update,
}

impl Frame {
    /// Of a shape.
    pub(crate) fn new(dialect: &'static dyn Dialect, mode: InsertMode, shape: &Shape) -> Self {
        if shape.is_delete {
            return Self::delete(dialect, shape);
        }
        match mode {
            InsertMode::Insert => Self::insert(dialect, shape, String::new()),
            InsertMode::Upsert => {
                let (key, rest) = names(dialect, shape);
                Self::insert(dialect, shape, dialect.upsert_tail(&key, &rest))
            }
            InsertMode::Update => {
                let head = format!("UPDATE {} SET ", shape.table.quoted(dialect));
                Self { dialect, head, tail: String::new(), kind: Form::Update }
            }
        }
    }

    fn insert(dialect: &'static dyn Dialect, shape: &Shape, tail: String) -> Self {
        let (key, rest) = names(dialect, shape);
        let all = [key, rest].concat().join(",");
        Self {
            dialect,
            head: format!("INSERT INTO {} ({all}) VALUES ", shape.table.quoted(dialect)),
            tail,
            kind: Form::Values,
        }
    }

    fn delete(dialect: &'static dyn Dialect, shape: &Shape) -> Self {
        let (key, _) = names(dialect, shape);
        let (key, list) =
            if key.len() == 1 { (key.concat(), "") } else { (format!("({})", key.join(",")), dialect.row_list()) };
        let head = format!("DELETE FROM {} WHERE {key} IN ({list}", shape.table.quoted(dialect));
        Self { dialect, head, tail: ")".to_owned(), kind: Form::Keys }
    }

    /// Bytes beside the rows.
    pub(crate) fn overhead(&self) -> usize {
        self.head.len() + self.tail.len() + 64
    }

    /// Most rows of a statement, by its form.
    pub(crate) fn rows_max(&self, most: usize) -> usize {
        /// Keys of one DELETE: an `IN` of pairs becomes a tree of comparisons in some systems.
        const KEYS_MAX: usize = 500;
        match self.kind {
            Form::Values => most,
            Form::Keys => most.min(KEYS_MAX),
            Form::Update => 1,
        }
    }

    /// Writes the statement of some rows.
    pub(crate) fn write(&self, rows: &Rows, shape: &Shape, of: &[Row], sql: &mut String) {
        sql.push_str(&self.head);
        if self.kind == Form::Update {
            if let [row] = of {
                update(self.dialect, rows, shape, *row, sql);
            }
            return;
        }
        let bare = self.kind == Form::Keys && shape.columns.len() == 1;
        for (at, row) in of.iter().enumerate() {
            if at > 0 {
                sql.push(',');
            }
            if bare {
                sql.push_str(rows.whole(shape, *row));
            } else {
                sql.push('(');
                sql.push_str(rows.whole(shape, *row));
                sql.push(')');
            }
        }
        sql.push_str(&self.tail);
    }
}

fn names(dialect: &dyn Dialect, shape: &Shape) -> (Vec<String>, Vec<String>) {
    let quoted = |in_key: bool| {
        shape.columns.iter().filter(|c| c.in_key == in_key).map(|c| dialect.quoted(&c.name)).collect::<Vec<_>>()
    };
    (quoted(true), quoted(false))
}

/// What follows `UPDATE t SET`.
fn update(dialect: &dyn Dialect, rows: &Rows, shape: &Shape, row: Row, sql: &mut String) {
    // A table of key columns alone has nothing to change; the statement still must be valid.
    let only_key = shape.key_columns == shape.columns.len();
    assignments(dialect, (rows, shape, row), only_key, ",", sql);
    sql.push_str(" WHERE ");
    assignments(dialect, (rows, shape, row), true, " AND ", sql);
}

/// `name=value` of the columns inside or outside the key.
fn assignments(dialect: &dyn Dialect, of: (&Rows, &Shape, Row), in_key: bool, between: &str, sql: &mut String) {
    let (rows, shape, row) = of;
    let columns = shape.columns.iter().enumerate().filter(|(_, c)| c.in_key == in_key);
    for (n, (at, column)) in columns.enumerate() {
        if n > 0 {
            sql.push_str(between);
        }
        dialect.quote_into(&column.name, sql);
        sql.push('=');
        sql.push_str(rows.cell(row, at));
    }
}

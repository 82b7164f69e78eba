//! The queries of a table, and the keys of their rows.
use super::Ask;
use super::cells::{literal, raw_of};
use crate::binlog::DecodeError;
use crate::column::Ty;
use crate::error::{Error, Result};
use crate::table::Table;
use elasticflow_api::data::Value;
use mysql_async::Value as Sql;

/// Whether a table can be read in chunks: by a key whose order and equality a literal keeps.
pub fn is_chunkable(table: &Table) -> bool {
    let ordered = |i: &usize| table.slots.get(*i).is_some_and(|s| keeps_order(&s.column.ty));
    !table.identity.is_empty() && table.identity.iter().all(ordered)
}

fn keeps_order(ty: &Ty) -> bool {
    match ty {
        Ty::Int { .. }
        | Ty::Decimal { .. }
        | Ty::Text { .. }
        | Ty::Binary { .. }
        | Ty::Blob { .. }
        | Ty::Date
        | Ty::Time { .. }
        | Ty::DateTime { .. }
        | Ty::Timestamp { .. }
        | Ty::Year => true,
        Ty::Float { .. }
        | Ty::Double
        | Ty::Bit { .. }
        | Ty::Enum { .. }
        | Ty::Set { .. }
        | Ty::Json
        | Ty::Point
        | Ty::Geometry
        | Ty::Vector
        | Ty::Uuid
        | Ty::Inet4
        | Ty::Inet6
        | Ty::Unknown => false,
    }
}

/// A name as an identifier.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The queries of a table and the reading of their rows.
pub(super) struct Select<'a> {
    pub(super) table: &'a Table,
    /// Columns that are read: captured ones and those of the key.
    pub(super) columns: Vec<usize>,
    /// Places of the key's columns among them.
    pub(super) key: Vec<usize>,
}

impl<'a> Select<'a> {
    pub(super) fn new(table: &'a Table) -> Self {
        let needed = |(i, slot): (usize, &crate::table::Slot)| {
            (slot.converter.is_some() || table.identity.contains(&i)).then_some(i)
        };
        let columns: Vec<usize> = table.slots.iter().enumerate().filter_map(needed).collect();
        let place = |i: &usize| columns.iter().position(|c| c == i);
        let key = table.identity.iter().filter_map(place).collect();
        Self { table, columns, key }
    }

    fn name(&self, column: usize) -> String {
        self.table.slots.get(column).map(|s| quoted(&s.name)).unwrap_or_default()
    }

    pub(super) fn all(&self) -> String {
        let list: Vec<String> = self.columns.iter().map(|i| self.name(*i)).collect();
        format!("SELECT {} FROM {}.{}", list.join(", "), quoted(&self.table.db), quoted(&self.table.name))
    }

    fn keys(&self) -> Vec<String> {
        self.table.identity.iter().map(|i| self.name(*i)).collect()
    }

    /// The next rows of the table.
    pub(super) fn chunk(&self, ask: &Ask, limit: usize) -> String {
        let keys = self.keys();
        let after = ask.after.as_ref().map(|literals| beyond(&keys, literals));
        let end = ask.end.as_ref().map(|literals| up_to(&keys, literals));
        let wanted: Vec<String> =
            after.iter().chain(&end).chain(&ask.filter).map(|condition| format!("({condition})")).collect();
        let wanted = if wanted.is_empty() { String::new() } else { format!(" WHERE {}", wanted.join(" AND ")) };
        format!("{}{wanted} ORDER BY {} LIMIT {limit}", self.all(), keys.join(", "))
    }

    /// The row with the greatest key.
    pub(super) fn greatest(&self) -> String {
        format!("{} ORDER BY {} DESC LIMIT 1", self.all(), self.keys().join(" DESC, "))
    }

    /// The key of a row as SQL literals.
    pub(super) fn literals(&self, cells: &[Sql]) -> Result<Vec<String>> {
        let one = |(place, column): (&usize, &usize)| {
            let column = &self.table.slots.get(*column)?.column;
            literal(cells.get(*place)?, column)
        };
        let all: Option<Vec<String>> = self.key.iter().zip(&self.table.identity).map(one).collect();
        all.ok_or_else(|| Error::Snapshot {
            table: self.table.id.to_string(),
            reason: "a key cannot be written as a literal".to_owned(),
        })
    }

    /// The columns that identify the row, without loss.
    pub(super) fn identity(&self, cells: &[Sql]) -> Result<Vec<Value>, DecodeError> {
        let one = |place: &usize| {
            let slot = self.columns.get(*place).and_then(|column| self.table.slots.get(*column));
            let (Some(slot), Some(cell)) = (slot, cells.get(*place)) else { return Ok(Value::Null) };
            match (&slot.exact, raw_of(cell, &slot.column.ty)?) {
                (Some(exact), Some(raw)) => exact.convert(raw),
                _ => Ok(Value::Null),
            }
        };
        self.key.iter().map(one).collect()
    }
}

/// `(a > x) OR (a = x AND b > y)`.
fn beyond(keys: &[String], literals: &[String]) -> String {
    compared(keys, literals, [">", ">"])
}

/// `(a < x) OR (a = x AND b <= y)`.
fn up_to(keys: &[String], literals: &[String]) -> String {
    compared(keys, literals, ["<", "<="])
}

/// By all columns but the last one, and by that.
fn compared(keys: &[String], literals: &[String], [sign, sign_of_last]: [&str; 2]) -> String {
    let pairs: Vec<(&String, &String)> = keys.iter().zip(literals).collect();
    let mut parts = Vec::with_capacity(pairs.len());
    for (n, (key, value)) in pairs.iter().enumerate() {
        let equal: String = pairs.iter().take(n).map(|(k, v)| format!("{k} = {v} AND ")).collect();
        let sign = if n + 1 == pairs.len() { sign_of_last } else { sign };
        parts.push(format!("({equal}{key} {sign} {value})"));
    }
    parts.join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_keys_are_written_out() {
        let keys = ["`a`".to_owned(), "`b`".to_owned(), "`c`".to_owned()];
        let literals = ["1".to_owned(), "2".to_owned(), "3".to_owned()];
        assert_eq!(beyond(&keys, &literals), "(`a` > 1) OR (`a` = 1 AND `b` > 2) OR (`a` = 1 AND `b` = 2 AND `c` > 3)");
        assert_eq!(up_to(&keys, &literals), "(`a` < 1) OR (`a` = 1 AND `b` < 2) OR (`a` = 1 AND `b` = 2 AND `c` <= 3)");
        assert_eq!(up_to(&keys[..1], &literals[..1]), "(`a` <= 1)");
        assert_eq!(quoted("a`b"), "`a``b`");
    }
}

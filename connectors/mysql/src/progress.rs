//! What is stored of a snapshot that runs.
use crate::schema_snapshot::Step;
use serde::{Deserialize, Serialize};

/// What is stored: tables up to `done` in the order of their names, and the current one up to a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) v: u32,
    /// Last table that is complete, as database and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<(String, String)>,
    /// Table that is being read: its changes go out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<(String, String)>,
    /// Columns of the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) columns: Vec<String>,
    /// Key of the last row sent, as SQL literals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Vec<String>>,
    /// Key of the last row of the table that is to be read, as SQL literals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<Vec<String>>,
    /// How far the tables themselves have been told; none when that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Step>,
    /// The snapshot that a signal has asked for, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) adhoc: Option<Adhoc>,
    /// Tables that came to be since the snapshot began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) outside: Vec<(String, String)>,
    /// Rows of the current table that have been read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) rows: u64,
    /// Further ones that wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) queue: Vec<Adhoc>,
}

impl Progress {
    /// Whether rows of the snapshot have gone out.
    pub(crate) fn has_rows(&self) -> bool {
        self.done.is_some() || self.key.is_some()
    }

    /// The table that was being read comes first, whether it is still there or not: where it ended is no place in another
    /// one. Tables that stand before it are newer than the snapshot, and come by the log.
    pub(crate) fn go_on(&mut self, tables: &mut Vec<(String, String)>, wanted: impl Fn(&(String, String)) -> bool) {
        let Some(begun) = self.table.clone() else { return };
        tables.retain(|table| *table > begun);
        if wanted(&begun) {
            tables.insert(0, begun);
            return;
        }
        (self.table, self.key, self.end) = (None, None, None);
        (self.columns, self.rows) = (Vec::new(), 0);
        self.done = Some(begun);
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A snapshot that a signal asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Adhoc {
    /// Tables still to be read; the first one is being read.
    pub(crate) tables: Vec<(String, String)>,
    /// Whether its records are marked as those of a first snapshot.
    #[serde(default)]
    pub(crate) blocking: bool,
    /// Conditions of tables, in SQL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) filters: Vec<(String, String)>,
    /// Whether it waits to be resumed.
    #[serde(default)]
    pub(crate) paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> (String, String) {
        ("db".to_owned(), name.to_owned())
    }

    /// The tables that are read when the second of three was being read, and those are there now.
    fn goes_on(now: &[&str], wanted: bool) -> (Progress, Vec<(String, String)>) {
        let mut progress = Progress {
            table: Some(name("m")),
            key: Some(vec!["7".to_owned()]),
            done: Some(name("a")),
            ..Progress::default()
        };
        let mut tables = now.iter().map(|table| name(table)).collect();
        progress.go_on(&mut tables, |_| wanted);
        (progress, tables)
    }

    #[test]
    fn a_table_that_is_gone_still_comes_first_and_one_that_is_new_before_it_does_not_come() {
        let read_on = vec![name("m"), name("z")];
        assert_eq!(goes_on(&["m", "z"], true).1, read_on);
        assert_eq!(goes_on(&["z"], true).1, read_on);
        assert_eq!(goes_on(&["b", "m", "z"], true).1, read_on);
        let (progress, tables) = goes_on(&["m", "z"], false);
        assert_eq!((progress.done, progress.key, tables), (Some(name("m")), None, vec![name("z")]));
    }
}

//! What is captured, and in which guise.
use crate::booleans::Booleans;
use crate::column::Column;
use crate::config::CdcConfig;
use crate::error::{Error, Result};
use elasticflow_cdc::filter::{Filter, Patterns};
use elasticflow_cdc::mask::{Mask, Masks};
use elasticflow_config::ValidationReport;

/// Filters, masks and keys of a configuration.
#[derive(Debug, Default)]
pub struct Filters {
    databases: Filter,
    tables: Filter,
    columns: Filter,
    snapshot: Patterns,
    masks: Masks,
    truncations: Masks,
    propagate_columns: Patterns,
    propagate_types: Patterns,
    keys: Vec<Patterns>,
    booleans: Booleans,
}

impl Filters {
    /// Reads them; every problem is reported by key.
    ///
    /// # Errors
    /// The report.
    pub fn parse(config: &CdcConfig) -> std::result::Result<Self, ValidationReport> {
        let mut report = ValidationReport::default();
        let both = |report: &mut ValidationReport, key: &str, a: &Option<String>, b: &Option<String>| {
            Filter::parse(a.as_deref(), b.as_deref()).unwrap_or_else(|reason| {
                report.error(key, reason);
                Filter::default()
            })
        };
        let list = |text: &Option<String>| Patterns::parse(text.as_deref().unwrap_or_default()).unwrap_or_default();
        let masks = |report: &mut ValidationReport, prefix: &str, keys: &elasticflow_config::Prefixed| {
            let full = keys.0.iter().map(|(k, v)| (format!("{prefix}.{k}"), v.clone())).collect();
            Masks::parse(&full).unwrap_or_else(|(key, reason)| {
                report.error(&format!("column.{key}"), reason);
                Masks::default()
            })
        };
        let filters = Self {
            databases: both(&mut report, "database.include.list", &config.database_include, &config.database_exclude),
            tables: both(&mut report, "table.include.list", &config.table_include, &config.table_exclude),
            columns: both(&mut report, "column.include.list", &config.column_include, &config.column_exclude),
            snapshot: list(&config.snapshot_include),
            masks: masks(&mut report, "mask", &config.column_mask),
            truncations: masks(&mut report, "truncate", &config.column_truncate),
            propagate_columns: list(&config.propagate_columns),
            propagate_types: list(&config.propagate_types),
            keys: key_columns(config.key_columns.as_deref().unwrap_or_default()).unwrap_or_else(|reason| {
                report.error("message.key.columns", reason);
                Vec::new()
            }),
            // What is wrong with them is reported by itself: the filters are right all the same.
            booleans: Booleans::parse(config).unwrap_or_default(),
        };
        if report.is_ok() { Ok(filters) } else { Err(report) }
    }

    /// For a task, whose configuration was validated.
    pub fn of_task(config: &CdcConfig) -> Result<Self> {
        Booleans::parse(config).map_err(|wrong| {
            let all: Vec<String> = wrong.into_iter().map(|(key, reason)| format!("{key}: {reason}")).collect();
            Error::Preflight { text: all.join("; ") }
        })?;
        Self::parse(config).map_err(|report| Error::Preflight { text: report.to_string() })
    }

    /// Whether a table is captured.
    pub fn table(&self, db: &str, name: &str) -> bool {
        !crate::information::is_system(db) && self.databases.allows(db) && self.tables.allows(&format!("{db}.{name}"))
    }

    /// Whether tables of a database may be captured.
    pub fn database(&self, db: &str) -> bool {
        !db.is_empty() && !crate::information::is_system(db) && self.databases.allows(db)
    }

    /// Whether a captured table is part of the snapshot.
    pub fn snapshots(&self, db: &str, name: &str) -> bool {
        self.snapshot.is_empty() || self.snapshot.matches(&format!("{db}.{name}"))
    }

    /// Whether a column is captured.
    pub fn column(&self, name: &str) -> bool {
        self.columns.allows(name)
    }

    /// The mask of a column.
    pub fn mask(&self, name: &str) -> Option<&Mask> {
        self.masks.of(name).or_else(|| self.truncations.of(name))
    }

    /// Whether a column is written as a boolean.
    pub fn is_boolean(&self, column: &Column, name: &str) -> bool {
        self.booleans.take(column, name)
    }

    /// Whether a column's schema tells its source type.
    pub fn propagates(&self, column: &str, typed: &str) -> bool {
        self.propagate_columns.matches(column) || self.propagate_types.matches(typed)
    }

    /// Places of the columns that make the key of a table's records by configuration, in its order; empty where it names
    /// none of them.
    pub fn key_columns<'a>(&self, table: &str, columns: impl Iterator<Item = &'a str> + Clone) -> Vec<usize> {
        let mut places = Vec::new();
        for pattern in &self.keys {
            for (place, column) in columns.clone().enumerate() {
                if !places.contains(&place) && pattern.matches(&format!("{table}.{column}")) {
                    places.push(place);
                }
            }
        }
        places
    }
}

/// One pattern of `database.table.column` for each column that is named.
fn key_columns(text: &str) -> std::result::Result<Vec<Patterns>, String> {
    let mut found = Vec::new();
    for entry in text.split(';').map(str::trim).filter(|e| !e.is_empty()) {
        let (table, columns) =
            entry.rsplit_once(':').ok_or_else(|| format!("`{entry}` must be table:column,column"))?;
        let before = found.len();
        for column in columns.split(',').map(str::trim).filter(|c| !c.is_empty()) {
            found.push(Patterns::one(&format!("(?:{})\\.(?:{column})", table.trim()))?);
        }
        if found.len() == before {
            return Err(format!("`{entry}` names no column"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_keys_keep_their_order_and_match_tables_and_columns_by_pattern() {
        let keys = key_columns("d\\.(a|b):y,x ; d\\.c:id.*;").unwrap();
        let filters = Filters { keys, ..Filters::default() };
        let of = |table: &str, columns: &[&'static str]| filters.key_columns(table, columns.iter().copied());
        assert_eq!(of("d.a", &["x", "y", "z"]), [1, 0]);
        assert_eq!(of("D.B", &["X", "z"]), [0]);
        assert_eq!(of("d.c", &["v", "id2", "id"]), [1, 2]);
        assert_eq!(of("d.e", &["x", "y"]), [0_usize; 0]);
        assert!(key_columns("d.a").is_err() && key_columns("d.a:").is_err() && key_columns("(:x").is_err());
    }
}

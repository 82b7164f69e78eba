//! Records of schema changes: what statements in the log did to tables.
//!
//! The columns in a record are those that `information_schema` has when the statement is read, which may be those of a later
//! statement. The first row that shows others has the table told once more, as it was. Rows do not depend on any of it: each is
//! read with the table map of its own place in the log.
use crate::assemble::{Assembler, Origin, package};
use crate::batch::Batch;
use crate::capture::Capture;
use crate::column::{Column, Ty};
use crate::config::CdcConfig;
use crate::ddl::{Ddl, Name, ddl, text_of};
use crate::describe::{self, quoted};
use crate::error::Result;
use crate::information::is_system;
use crate::log::Event;
use crate::table::{Slot, Table};
use crate::tables::{Known, Tables};
use crate::wire::Flavour;
use elasticflow_api::data::{Text, Value};
use elasticflow_api::source::SourceRecord;
use elasticflow_cdc::naming::topic;
use elasticflow_cdc::table_change::{
    ChangeKind, ColumnDescription, SchemaChange, SchemaChanges, TableChange, TableDescription,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Place of `table` in the source block.
const TABLE_OF_SOURCE: usize = 9;

/// Makes the records.
pub struct SchemaLog {
    maker: SchemaChanges,
    topic: Arc<str>,
    /// Tables that are known to be there: to create one of them if it is not there changes nothing.
    pub(crate) known: HashSet<String>,
    captured_tables_only: bool,
    captured_databases_only: bool,
    pub(crate) comments: bool,
    /// What was told last of each table whose statements were read.
    told: HashMap<String, Last>,
}

/// The last record of a table.
struct Last {
    database: String,
    name: String,
    ddl: String,
    description: TableDescription,
}

/// Tables of which the last record is remembered.
const TOLD_MAX: usize = 10_000;

/// Whether a column was told as it is, as far as the log says what it is.
fn is_told(told: &ColumnDescription, column: &Column) -> bool {
    let is_exact = matches!(
        column.ty,
        Ty::Int { .. }
            | Ty::Decimal { .. }
            | Ty::Double
            | Ty::Bit { .. }
            | Ty::Date
            | Ty::Time { .. }
            | Ty::DateTime { .. }
            | Ty::Timestamp { .. }
            | Ty::Year
    );
    let name = told.type_name.trim_end_matches(" ZEROFILL");
    told.name == column.name && (!is_exact || name == describe::mapped(column).type_name)
}

/// What one record tells, before the table is described.
struct Told {
    db: String,
    /// `source.table`.
    tables: Option<String>,
    ddl: String,
    change: Option<(ChangeKind, String)>,
}

impl SchemaLog {
    /// If such records are asked for.
    pub fn new(config: &CdcConfig, flavour: Flavour, assembler: &Assembler) -> Option<Self> {
        let flag = |key: &str| config.history.0.get(key).is_some_and(|v| v.trim().eq_ignore_ascii_case("true"));
        config.schema_changes.then(|| Self {
            maker: SchemaChanges::new(package(flavour), assembler.source_schema()),
            topic: Arc::from(topic(&[&config.topic_prefix], &config.topic_delimiter)),
            known: HashSet::new(),
            captured_tables_only: flag("store.only.captured.tables.ddl"),
            captured_databases_only: flag("store.only.captured.databases.ddl"),
            comments: config.schema_comments,
            told: HashMap::new(),
        })
    }

    /// Whether changes of a database, or of a table of it, are told.
    pub(crate) fn tells(&self, tables: &Tables, db: &str, table: Option<&str>) -> bool {
        !is_system(db)
            && (!self.captured_databases_only || db.is_empty() || tables.captures_database(db))
            && (!self.captured_tables_only || table.is_none_or(|name| tables.captures(db, name)))
    }

    /// The record of a change.
    pub(crate) fn record(
        &self,
        assembler: &Assembler,
        change: &SchemaChange,
        tables: Option<&str>,
        origin: &Origin,
    ) -> SourceRecord {
        let mut source = assembler.source(&Text::from(change.database.as_str()), &Text::default(), origin, 0);
        if let Value::Struct(block) = &mut source
            && let Some(slot) = block.values.get_mut(TABLE_OF_SOURCE)
        {
            *slot = tables.map_or(Value::Null, |t| Value::String(Text::from(t)));
        }
        let (key, value) = self.maker.record(change, source, assembler.now_ms);
        let mut record = assembler.bare(Arc::clone(&self.topic), key, value);
        record.record.partition = Some(0);
        record
    }

    /// Remembers what a record tells of a table.
    fn remember(&mut self, change: &SchemaChange) {
        for TableChange { table: (database, name), description, .. } in &change.changes {
            let id = format!("{database}.{name}");
            match description {
                None => drop(self.told.remove(&id)),
                Some(description) if self.told.len() < TOLD_MAX || self.told.contains_key(&id) => {
                    let (database, name, ddl) = (database.clone(), name.clone(), change.ddl.clone());
                    self.told.insert(id, Last { database, name, ddl, description: description.clone() });
                }
                Some(_) => {}
            }
        }
    }

    /// The change that a table map shows to have been told wrong: the table had been altered again by then.
    fn corrected(&mut self, table: &Table) -> Option<SchemaChange> {
        let last = self.told.get_mut(table.id.as_ref())?;
        let told = &last.description.columns;
        if told.len() == table.slots.len() && told.iter().zip(table.slots.iter()).all(|(t, s)| is_told(t, &s.column)) {
            return None;
        }
        let column = |slot: &Slot| {
            let same = told.iter().find(|t| is_told(t, &slot.column));
            same.cloned().unwrap_or_else(|| describe::mapped(&slot.column))
        };
        let columns = table.slots.iter().map(column).collect();
        let key = table.identity.iter().filter_map(|place| table.slots.get(*place));
        last.description.key = key.map(|slot| slot.column.name.clone()).collect();
        last.description.columns = columns;
        let (kind, description) = (ChangeKind::Alter, Some(last.description.clone()));
        let change = TableChange { kind, table: (last.database.clone(), last.name.clone()), description };
        Some(SchemaChange { database: last.database.clone(), ddl: last.ddl.clone(), changes: vec![change] })
    }

    /// Reads a statement; notes which tables are there after it.
    fn read(&mut self, statement: &str, default: &str) -> Vec<Told> {
        let text = text_of(statement);
        let full = |(db, name): Name| (db.unwrap_or_else(|| default.to_owned()), name);
        let of_table = |kind, (db, name): (String, String), ddl: String| Told {
            db,
            tables: Some(name.clone()),
            ddl,
            change: Some((kind, name)),
        };
        let bare = |db: String, tables| vec![Told { db, tables, ddl: text.to_owned(), change: None }];
        match ddl(statement) {
            Ddl::Create(name, maybe) => {
                let (db, name) = full(name);
                if !self.known.insert(format!("{db}.{name}")) && maybe {
                    return bare(db, Some(String::new()));
                }
                vec![of_table(ChangeKind::Create, (db, name), text.to_owned())]
            }
            Ddl::Alter(name, renamed) => {
                let table = full(renamed.unwrap_or(name));
                self.known.insert(format!("{}.{}", table.0, table.1));
                vec![of_table(ChangeKind::Alter, table, text.to_owned())]
            }
            Ddl::Drop(names) => {
                let all = names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(",");
                let of_each = |name| {
                    let (db, name) = full(name);
                    self.known.remove(&format!("{db}.{name}"));
                    let ddl = format!("DROP TABLE {}.{}", quoted(&db), quoted(&name));
                    Told { tables: Some(all.clone()), ..of_table(ChangeKind::Drop, (db, name), ddl) }
                };
                names.into_iter().map(of_each).collect()
            }
            Ddl::Rename(pairs) => {
                let all = pairs.iter().map(|((_, name), _)| name.as_str()).collect::<Vec<_>>().join(",");
                let of_each = |(to, text): (Name, String)| Told {
                    tables: Some(all.clone()),
                    ..of_table(ChangeKind::Alter, full(to), format!("RENAME TABLE {text}"))
                };
                pairs.into_iter().map(of_each).collect()
            }
            Ddl::Index => bare(default.to_owned(), Some(String::new())),
            Ddl::Database(name, altered) => {
                let db = name.unwrap_or_else(|| default.to_owned());
                let of_it = format!("{db}.");
                if !altered {
                    self.known.retain(|table| !table.starts_with(&of_it));
                }
                bare(db, altered.then(String::new))
            }
            Ddl::Other => Vec::new(),
        }
    }
}

impl Capture {
    /// Tells what a statement of the log does to tables.
    pub(crate) async fn schema_changed(&mut self, text: &str, db: &str, event: &Event, out: &mut Batch) -> Result<()> {
        let done = self.tx.as_ref().zip(self.skip.as_ref());
        let done = done.is_some_and(|(tx, part)| tx.resumed && tx.events < part.events);
        let Some(log) = self.schema_log.as_mut().filter(|_| !done) else { return Ok(()) };
        let all = log.read(text, db);
        let mut origin = self.origin(event);
        if self.tx.is_none() {
            origin.gtid = self.announced.as_ref().and_then(|a| a.gtid.as_ref()).map(|g| Text::from(g.to_string()));
        }
        for told in all {
            let Some(log) = &self.schema_log else { return Ok(()) };
            let table = told.change.as_ref().map(|(_, name)| name.as_str());
            if !log.tells(&self.tables, &told.db, table) {
                continue;
            }
            let mut change = SchemaChange { database: told.db, ddl: told.ddl, changes: Vec::new() };
            if let Some((kind, name)) = told.change {
                let description = match kind {
                    ChangeKind::Drop => None,
                    _ => self.control.description(&change.database, &name, log.comments).await?,
                };
                // A table that is gone by now cannot be described.
                if kind == ChangeKind::Drop || description.is_some() {
                    change.changes.push(TableChange { kind, table: (change.database.clone(), name), description });
                }
            }
            out.records.push(log.record(&self.assembler, &change, told.tables.as_deref(), &origin));
            if let Some(log) = &mut self.schema_log {
                log.remember(&change);
            }
            out.count(1, change.ddl.len());
            if let Some(tx) = &mut self.tx {
                tx.emitted = true;
            }
        }
        Ok(())
    }

    /// A version of a table was learned: tells it once more if the record of the statement that made it has other columns.
    pub(crate) fn schema_seen(&mut self, id: u64, event: &Event, out: &mut Batch) {
        let Some(Known::Captured(table)) = self.tables.by_id(id) else { return };
        let table = Arc::clone(table);
        let done = self.tx.as_ref().zip(self.skip.as_ref());
        let done = done.is_some_and(|(tx, part)| tx.resumed && tx.events < part.events);
        let Some(change) = self.schema_log.as_mut().filter(|_| !done).and_then(|log| log.corrected(&table)) else {
            return;
        };
        let origin = self.origin(event);
        let Some(log) = &self.schema_log else { return };
        if !log.tells(&self.tables, &change.database, Some(&table.name)) {
            return;
        }
        out.records.push(log.record(&self.assembler, &change, Some(&table.name), &origin));
        out.count(1, change.ddl.len());
        if let Some(tx) = &mut self.tx {
            tx.emitted = true;
        }
    }
}

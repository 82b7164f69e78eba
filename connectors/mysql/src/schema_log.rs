//! Records of schema changes: what statements in the log did to tables.
//!
//! The columns in a record are those that `information_schema` has when the statement is read. Rows do not depend on them:
//! each is read with the table map of its own place in the log.
use crate::assemble::{Assembler, Origin, package};
use crate::batch::Batch;
use crate::capture::Capture;
use crate::config::CdcConfig;
use crate::ddl::{Ddl, Name, ddl, text_of};
use crate::describe::quoted;
use crate::error::Result;
use crate::information::is_system;
use crate::log::Event;
use crate::tables::Tables;
use crate::wire::Flavour;
use elasticflow_api::data::{Text, Value};
use elasticflow_api::source::SourceRecord;
use elasticflow_cdc::naming::topic;
use elasticflow_cdc::table_change::{ChangeKind, SchemaChange, SchemaChanges, TableChange};
use std::collections::HashSet;
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
            out.count(1, change.ddl.len());
            if let Some(tx) = &mut self.tx {
                tx.emitted = true;
            }
        }
        Ok(())
    }
}

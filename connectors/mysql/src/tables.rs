//! Versions of tables as the log and `information_schema` describe them.
use crate::binlog::table_map::{MapColumn, TableMap, table_id, table_name};
use crate::column::{Collations, Column, Ty};
use crate::config::CdcConfig;
use crate::describe;
use crate::error::{Error, Place, Result};
use crate::filters::Filters;
use crate::information::{self, TableFacts};
use crate::table::{Maker, Table, TableShape};
use crate::wire::{self, Flavour, Session};
use bytes::Bytes;
use elasticflow_cdc::table_change::TableDescription;
use std::collections::HashMap;
use std::sync::Arc;

/// Most versions kept; the rest is learned again.
const VERSIONS_MAX: usize = 10_000;

/// A connection for questions, made when one is asked.
pub struct Control {
    config: Arc<CdcConfig>,
    session: Option<Session>,
}

impl Control {
    /// With a connection that is there already.
    pub fn new(config: Arc<CdcConfig>, session: Option<Session>) -> Self {
        Self { config, session }
    }

    /// The connection.
    pub async fn session(&mut self) -> Result<&mut Session> {
        let session = match self.session.take() {
            Some(session) => session,
            None => wire::connect(&self.config).await?,
        };
        Ok(self.session.insert(session))
    }

    /// Facts of a table; a connection that has died meanwhile is made anew once.
    pub async fn facts(&mut self, db: &str, name: &str) -> Result<Option<TableFacts>> {
        let first = information::table(self.session().await?, db, name).await;
        match first {
            Err(Error::Lost { .. }) => {
                self.session = None;
                information::table(self.session().await?, db, name).await
            }
            other => other,
        }
    }

    /// What records of schema changes tell of a table; as [`Self::facts`].
    pub(crate) async fn description(
        &mut self,
        db: &str,
        name: &str,
        comments: bool,
    ) -> Result<Option<TableDescription>> {
        let first = describe::table(self.session().await?, (db, name), comments).await;
        match first {
            Err(Error::Lost { .. }) => {
                self.session = None;
                describe::table(self.session().await?, (db, name), comments).await
            }
            other => other,
        }
    }

    /// The connection is in doubt: the next question makes another.
    pub fn forget(&mut self) {
        self.session = None;
    }

    /// Ends the connection.
    pub async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            // The server notices either way.
            let _ = session.conn.disconnect().await;
        }
    }
}

/// What a table id stands for.
#[derive(Debug, Clone)]
pub enum Known {
    /// A captured table.
    Captured(Arc<Table>),
    /// A table that is not captured.
    Ignored,
}

/// The versions in use.
pub struct Tables {
    maker: Maker,
    filters: Arc<Filters>,
    collations: Collations,
    maria: bool,
    ids: HashMap<u64, (Bytes, Known)>,
    versions: HashMap<Bytes, Known>,
    facts: HashMap<String, Option<Arc<TableFacts>>>,
    latest: HashMap<Arc<str>, Arc<Table>>,
}

impl Tables {
    /// Without any version yet.
    pub fn new(maker: Maker, filters: Arc<Filters>, collations: Collations, flavour: Flavour) -> Self {
        Self {
            maker,
            filters,
            collations,
            maria: flavour == Flavour::MariaDb,
            ids: HashMap::new(),
            versions: HashMap::new(),
            facts: HashMap::new(),
            latest: HashMap::new(),
        }
    }

    /// What an id stands for since its last map.
    pub fn by_id(&self, id: u64) -> Option<&Known> {
        self.ids.get(&id).map(|(_, known)| known)
    }

    /// Ids are numbered anew with every file and connection.
    pub fn forget_ids(&mut self) {
        self.ids.clear();
    }

    /// A statement may have changed any table: everything is learned again.
    pub fn forget_all(&mut self) {
        self.ids.clear();
        self.versions.clear();
        self.facts.clear();
    }

    /// Whether a table is captured.
    pub fn captures(&self, db: &str, name: &str) -> bool {
        self.filters.table(db, name)
    }

    /// Whether snapshots read a table.
    pub(crate) fn snapshots(&self, db: &str, name: &str) -> bool {
        self.filters.snapshots(db, name)
    }

    /// Whether tables of a database may be captured.
    pub fn captures_database(&self, db: &str) -> bool {
        self.filters.database(db)
    }

    /// The version of a table that a snapshot reads.
    pub async fn for_snapshot(&mut self, control: &mut Control, db: &str, name: &str) -> Result<Option<Arc<Table>>> {
        let Some(facts) = control.facts(db, name).await? else { return Ok(None) };
        let shape = TableShape { db, name, columns: &facts.columns, key: &facts.key, map: None };
        let table = self.maker.table(&shape)?;
        self.facts.insert(format!("{db}.{name}"), Some(Arc::new(facts)));
        Ok(Some(self.stable(table)))
    }

    /// The last version of a table that was seen, or one without columns: enough for a record without images.
    pub(crate) fn last_known(&self, db: &str, name: &str) -> Result<Arc<Table>> {
        match self.latest.get(format!("{db}.{name}").as_str()) {
            Some(table) => Ok(Arc::clone(table)),
            None => self.maker.table(&TableShape { db, name, columns: &[], key: &[], map: None }).map(Arc::new),
        }
    }

    /// Takes a TABLE_MAP whose bytes are known; false if they have to be learned.
    pub fn take(&mut self, body: &Bytes) -> Result<bool, crate::binlog::DecodeError> {
        let id = table_id(body)?;
        if self.ids.get(&id).is_some_and(|(bytes, _)| bytes == body) {
            return Ok(true);
        }
        let Some(known) = self.versions.get(body.get(6..).unwrap_or_default()).cloned() else { return Ok(false) };
        self.remember(id, body, known);
        Ok(true)
    }

    fn remember(&mut self, id: u64, body: &Bytes, known: Known) {
        if self.ids.len() >= VERSIONS_MAX || self.versions.len() >= VERSIONS_MAX {
            self.ids.clear();
            self.versions.clear();
        }
        // A copy of its own, so that the rest of the event's memory goes.
        let body = Bytes::copy_from_slice(body);
        self.versions.insert(body.slice(6..), known.clone());
        self.ids.insert(id, (body, known));
    }

    /// Learns the version that a TABLE_MAP describes.
    pub async fn learn(&mut self, control: &mut Control, body: &Bytes, place: &Place) -> Result<()> {
        let broken = |cause| Error::Decode { place: place.clone(), cause };
        let id = table_id(body).map_err(broken)?;
        let (db, name) = table_name(body).map_err(broken)?;
        let known = if self.filters.table(&db, &name) {
            let map = TableMap::parse(body, self.maria).map_err(broken)?;
            Known::Captured(self.version(control, &map, place).await?)
        } else {
            Known::Ignored
        };
        self.remember(id, body, known);
        Ok(())
    }

    async fn version(&mut self, control: &mut Control, map: &TableMap, place: &Place) -> Result<Arc<Table>> {
        let id = format!("{}.{}", map.db, map.table);
        let mut fresh = false;
        let newer = loop {
            let facts = match self.facts.get(&id) {
                Some(facts) => facts.clone(),
                None => {
                    fresh = true;
                    let facts = control.facts(&map.db, &map.table).await?.map(Arc::new);
                    self.facts.insert(id.clone(), facts.clone());
                    facts
                }
            };
            if let Some(facts) = facts.as_ref().filter(|f| agrees(f, map)) {
                return self.make(map, &facts.columns, &facts.key);
            }
            if fresh {
                break facts;
            }
            // What is remembered may be older than the map: asked once more.
            self.facts.remove(&id);
        };
        if !map.full {
            return Err(Error::SchemaUnknown { table: id, place: place.clone(), columns: map.columns.len() });
        }
        let newer = newer.as_ref().map(|f| f.columns.as_slice()).unwrap_or_default();
        let column = |c: &MapColumn| {
            let mut column = Column::mapped(c, &self.collations);
            // Types that the log does not tell from BINARY: the column of that name knows, if it can be the same.
            let same = newer.iter().find(|n| n.name == column.name && n.agrees(c, map.signed));
            if let Some(Ty::Uuid | Ty::Inet4 | Ty::Inet6) = same.map(|n| &n.ty) {
                column.ty = same.map_or(Ty::Unknown, |n| n.ty.clone());
            }
            Arc::new(column)
        };
        let columns: Vec<Arc<Column>> = map.columns.iter().map(column).collect();
        let key = map.primary_key.as_deref().unwrap_or_default();
        let key: Vec<String> = key.iter().filter_map(|i| columns.get(*i)).map(|c| c.name.clone()).collect();
        self.make(map, &columns, &key)
    }

    fn make(&mut self, map: &TableMap, columns: &[Arc<Column>], key: &[String]) -> Result<Arc<Table>> {
        let shape = TableShape { db: &map.db, name: &map.table, columns, key, map: Some(map) };
        let table = self.maker.table(&shape)?;
        Ok(self.stable(table))
    }

    /// Equal schemas stay the same objects, so that converters keep what they have prepared.
    fn stable(&mut self, mut table: Table) -> Arc<Table> {
        if let Some(last) = self.latest.get(&table.id) {
            if last.envelope == table.envelope {
                table.envelope = Arc::clone(&last.envelope);
                table.value = Arc::clone(&last.value);
                table.topic = Arc::clone(&last.topic);
            }
            if let (Some(key), Some(old)) = (&mut table.key, &last.key)
                && key.schema == old.schema
            {
                key.schema = Arc::clone(&old.schema);
            }
        }
        let table = Arc::new(table);
        self.latest.insert(Arc::clone(&table.id), Arc::clone(&table));
        table
    }
}

fn agrees(facts: &TableFacts, map: &TableMap) -> bool {
    let columns = facts.columns.len() == map.columns.len()
        && facts.columns.iter().zip(&map.columns).all(|(c, m)| c.agrees(m, map.signed));
    let key = match &map.primary_key {
        None => !map.full || !facts.key_is_primary,
        Some(places) => {
            let names = places.iter().filter_map(|i| map.columns.get(*i)).filter_map(|c| c.name.as_deref());
            facts.key_is_primary && names.eq(facts.key.iter().map(String::as_str))
        }
    };
    columns && key
}

//! Rows read in both ways: to values and by a JSON converter, and to JSON directly.
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Datum, Record, Text, Value};
use elasticflow_api::written::{JsonForm, Written};
use elasticflow_cdc::envelope::Op;
use elasticflow_config::{Properties, parse};
use elasticflow_formats::json::JsonConverter;
use elasticflow_mysql::assemble::{Assembler, Change, Origin};
use elasticflow_mysql::binlog::Reader;
use elasticflow_mysql::binlog::rows::{Present, RowsHead, RowsKind};
use elasticflow_mysql::binlog::table_map::TableMap;
use elasticflow_mysql::column::{Collations, Column};
use elasticflow_mysql::config::CdcConfig;
use elasticflow_mysql::direct::{Direct, Forms, Images};
use elasticflow_mysql::filters::Filters;
use elasticflow_mysql::table::{Maker, Table, TableShape};
use elasticflow_mysql::wire::Flavour;
use std::sync::Arc;

const FORM: JsonForm = JsonForm { schemas: false, decimals_as_base64: true, nulls_take_defaults: true };
const FORMS: Forms = Forms { key: FORM, value: FORM };
/// Rows of one event that are looked at: enough to find something, few enough to be quick.
const ROWS_MAX: usize = 64;

/// All that reading rows takes.
pub(super) struct Reading {
    maker: Maker,
    collations: Collations,
    assembler: Assembler,
    origin: Origin,
    converters: (JsonConverter, JsonConverter),
}

fn converter(is_key: bool) -> JsonConverter {
    let side = if is_key { "key" } else { "value" };
    let properties = Properties::from_iter([("converter.type", side), ("schemas.enable", "false")]);
    JsonConverter::new(&parse(&properties).unwrap(), is_key).unwrap()
}

impl Reading {
    pub(super) fn new() -> Self {
        let properties = Properties::from_iter([
            ("database.hostname", "localhost"),
            ("database.user", "u"),
            ("database.password", "p"),
            ("topic.prefix", "srv"),
        ]);
        let config: Arc<CdcConfig> = Arc::new(parse(&properties).unwrap());
        let mut assembler = Assembler::new(&config, Flavour::MySql, 0, "fuzz");
        assembler.now_ms = 1_700_000_000_000;
        let maker = Maker {
            filters: Arc::new(Filters::of_task(&config).unwrap()),
            source: Arc::clone(assembler.source_schema()),
            transaction: Arc::clone(assembler.transaction_schema()),
            forms: Some(FORMS),
            config,
        };
        let names = [(8, "latin1"), (45, "utf8mb4"), (255, "utf8mb4"), (63, "binary"), (28, "gbk"), (54, "utf16")];
        let collations = names.into_iter().map(|(id, name)| (id, name.to_owned())).collect();
        let origin = Origin {
            ts_us: 1_700_000_000_000_000,
            snapshot: Value::Null,
            server_id: 1,
            gtid: None,
            file: Text::from_static("binlog.000001"),
            pos: 4,
            thread: None,
            query: None,
        };
        Self { maker, collations, assembler, origin, converters: (converter(true), converter(false)) }
    }

    /// The version of a table that a map describes, if it can be captured.
    pub(super) fn table(&self, map: &TableMap) -> Option<Table> {
        if !map.full {
            return None;
        }
        let mapped = |c| Arc::new(Column::mapped(c, &self.collations));
        let columns: Vec<Arc<Column>> = map.columns.iter().map(mapped).collect();
        let key = map.primary_key.as_deref().unwrap_or_default();
        let key: Vec<String> = key.iter().filter_map(|i| columns.get(*i)).map(|c| c.name.clone()).collect();
        let shape = TableShape { db: &map.db, name: &map.table, columns: &columns, key: &key, map: Some(map) };
        self.maker.table(&shape).ok()
    }

    /// Reads the rows of an event in both ways.
    ///
    /// # Panics
    /// A row that was written directly cannot be read by values, or its bytes are others.
    pub(super) fn rows(&self, table: &Table, (kind, v2): (RowsKind, bool), body: &Bytes) {
        let Ok(head) = RowsHead::parse(kind, v2, body, table.slots.len()) else { return };
        let mut direct = Direct::new(FORMS, &self.assembler);
        let op = match kind {
            RowsKind::Write => Op::Create,
            RowsKind::Update => Op::Update,
            RowsKind::Delete => Op::Delete,
        };
        if !direct.begin(table, (op, &self.origin), &self.assembler) {
            return;
        }
        let mut r = Reader::new(body.get(head.rows_at..).unwrap_or_default());
        for row in 0..ROWS_MAX {
            if r.is_empty() {
                return;
            }
            let before_row = r;
            let images = Images { before: head.before.as_ref(), after: head.after.as_ref(), body, row: row as u64 };
            let mut out = Written::default();
            let written = direct.row(table, &mut r, &images, (&mut out, 0));
            let mut again = before_row;
            let valued = self.valued(table, (op, row), (&mut again, &head), body);
            let Some(count) = written else {
                if valued.is_none() {
                    return;
                }
                r = again;
                continue;
            };
            assert_eq!(count, out.len());
            let valued = valued.expect("a row that is written directly can be read");
            assert_eq!(r.len(), again.len(), "both ways end at the same place");
            let written: Vec<_> =
                out.iter().map(|w| (w.key.map(<[u8]>::to_vec), w.value.map(<[u8]>::to_vec))).collect();
            assert_eq!(written, valued);
            if r.len() == before_row.len() {
                return;
            }
        }
    }

    fn valued(
        &self,
        table: &Table,
        (op, row): (Op, usize),
        (r, head): (&mut Reader<'_>, &RowsHead),
        body: &Bytes,
    ) -> Option<Vec<Sent>> {
        let mut image = |present: &Option<Present>| present.as_ref().map(|p| table.image(r, p, body)).transpose().ok();
        let (before, after) = (image(&head.before)?, image(&head.after)?);
        let mut out = Vec::new();
        let row = i32::try_from(row).unwrap_or_default();
        self.assembler.change(table, Change { op, before, after, row }, &self.origin, &mut out);
        let sent =
            |record: &Record| Some((of(&self.converters.0, &record.key)?, of(&self.converters.1, &record.value)?));
        out.iter().map(|made| sent(&made.record)).collect()
    }
}

/// Key and value in bytes.
type Sent = (Option<Vec<u8>>, Option<Vec<u8>>);

/// None: the converter refuses it.
fn of(converter: &JsonConverter, datum: &Datum) -> Option<Option<Vec<u8>>> {
    let mut out = BytesMut::new();
    let is_some = converter.write(datum, &mut out).ok()?;
    Some(is_some.then(|| out.to_vec()))
}

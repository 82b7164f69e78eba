//! Rows of known tables.
use super::reading::Reading;
use super::stream::frames;
use bytes::Bytes;
use elasticflow_mysql::binlog::rows::RowsKind;
use elasticflow_mysql::binlog::table_map::TableMap;
use elasticflow_mysql::table::Table;

const PLAIN: &[u8] = include_bytes!("../../tests/corpus/plain.events");
const EVERY: &[u8] = include_bytes!("../../tests/corpus/every_type.events");
const TABLE_MAP: u8 = 19;

thread_local! {
    static TABLES: (Reading, Vec<Table>) = {
        let reading = Reading::new();
        let maps = [PLAIN, EVERY].map(|recorded| {
            let (_, body) = frames(recorded).find(|(kind, _)| *kind == TABLE_MAP).unwrap();
            TableMap::parse(body, false).unwrap()
        });
        let tables = maps.iter().map(|map| reading.table(map).unwrap()).collect();
        (reading, tables)
    };
}

/// The first byte chooses a recorded table, the second the kind of event, the rest is its body.
///
/// # Panics
/// The two ways to read rows do not agree.
pub fn row_image(data: &[u8]) {
    let [table, kind, body @ ..] = data else { return };
    let kinds = [23, 24, 25, 30, 31, 32].map(|kind| RowsKind::of(kind).unwrap());
    TABLES.with(|(reading, tables)| {
        let table = &tables[usize::from(*table) % tables.len()];
        reading.rows(table, kinds[usize::from(*kind) % kinds.len()], &Bytes::copy_from_slice(body));
    });
}

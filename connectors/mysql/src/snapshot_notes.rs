//! What is told of a snapshot while it runs: notifications of its beginning, of each table and of its end.
use crate::capture::Capture;
use crate::describe::quoted;
use crate::error::Result;
use crate::information;
use crate::snapshot::Snapshot;
use crate::table::Table;
use elasticflow_api::data::Value;
use elasticflow_cdc::notify::{Aggregate, Stage};
use mysql_async::prelude::Queryable;
use mysql_async::{Row, from_value_opt};

impl Snapshot {
    fn aggregate(&self) -> Aggregate {
        if self.is_incremental() { Aggregate::Incremental } else { Aggregate::Initial }
    }

    /// Tells of the snapshot as a whole.
    pub(crate) fn tell(&self, capture: &mut Capture, stage: Stage) {
        if !capture.notes.is_on() {
            return;
        }
        let all = [("data_collections", self.names.join(","))];
        let bare = stage == Stage::Completed || stage == Stage::Started && !self.is_incremental();
        tell(capture, (self.aggregate(), stage), if bare { &[] } else { &all });
    }

    /// Tells that the rows of the current table follow, once.
    pub(crate) fn tell_table(&mut self, capture: &mut Capture) {
        let Some(table) = self.current.clone().filter(|_| capture.notes.is_on()) else { return };
        if self.is_incremental() || self.is_signal_table(&table.id) || std::mem::replace(&mut self.told_table, true) {
            return;
        }
        let others = self.names.iter().filter(|name| !self.is_signal_table(name)).cloned().collect::<Vec<_>>();
        let data = [("current_collection_in_progress", table.id.to_string()), ("data_collections", others.join(","))];
        tell(capture, (Aggregate::Initial, Stage::InProgress), &data);
    }

    /// Tells how far a chunk of a snapshot beside the stream has come.
    pub(crate) fn tell_chunk(&mut self, capture: &mut Capture) {
        let (Some(table), Some(last)) = (self.current.clone(), self.last_key.take()) else { return };
        if self.is_incremental() && capture.notes.is_on() {
            let data = [
                ("current_collection_in_progress", table.id.to_string()),
                ("maximum_key", self.maximum.clone().unwrap_or_default()),
                ("last_processed_key", last),
                ("data_collections", self.names.join(",")),
            ];
            tell(capture, (Aggregate::Incremental, Stage::InProgress), &data);
        }
    }

    /// Tells that every row of a table has been read.
    pub(crate) fn tell_table_done(&self, capture: &mut Capture, table: &str) {
        if !capture.notes.is_on() || !self.is_incremental() && self.is_signal_table(table) {
            return;
        }
        let data = [
            ("scanned_collection", table.to_owned()),
            ("total_rows_scanned", self.rows_of_table().to_string()),
            ("status", "SUCCEEDED".to_owned()),
            ("data_collections", self.names.join(",")),
        ];
        tell(capture, (self.aggregate(), Stage::TableScanCompleted), &data);
    }

    /// Logs how far the snapshot has come, from time to time.
    pub(crate) fn log_advance(&mut self, capture: &Capture) {
        let (Some(table), done) = (&self.current, self.rows_of_table()) else { return };
        let Some(report) = self.advance.report(capture.clock.monotonic(), done, self.about) else { return };
        tracing::info!(
            table = &*table.id,
            rows_of_table = done,
            about_rows = self.about,
            tables_left = self.tables_left(),
            rows_per_second = report.rows_per_second,
            bytes_per_second = report.bytes_per_second,
            table_seconds_left = report.table_seconds_left,
            "the snapshot goes on"
        );
    }

    /// Learns about how many rows a table has: for people, who are told how long the rest takes.
    pub(crate) async fn learn_about(&mut self, capture: &mut Capture, table: &Table) -> Result<()> {
        if self.about.is_some() {
            return Ok(());
        }
        if self.estimates.is_none() {
            let session = capture.control.session().await?;
            // What cannot be told is left out: the snapshot does not depend on it.
            self.estimates = Some(information::estimates(session, &self.tables).await.unwrap_or_default());
        }
        let name = (table.db.to_string(), table.name.to_string());
        self.about = self.estimates.as_ref().map(|all| all.get(&name).copied().unwrap_or(0));
        Ok(())
    }

    /// Asks for the greatest key of a table that is read beside the stream.
    pub(crate) async fn learn_maximum(&mut self, capture: &mut Capture, table: &Table) -> Result<()> {
        if !capture.notes.is_on() || !self.is_incremental() || self.maximum.is_some() {
            return Ok(());
        }
        let columns: Vec<String> =
            table.identity.iter().filter_map(|i| table.slots.get(*i)).map(|s| quoted(&s.name)).collect();
        let order = columns.iter().map(|c| format!("{c} DESC")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {} FROM {}.{} ORDER BY {order} LIMIT 1",
            columns.join(", "),
            quoted(&table.db),
            quoted(&table.name)
        );
        let row: Result<Option<Row>, _> = capture.control.session().await?.conn.query_first(sql).await;
        // What cannot be told is left out: the snapshot does not depend on it.
        let cells = row.ok().flatten().map(Row::unwrap).unwrap_or_default();
        let texts = cells.into_iter().map(|c| from_value_opt::<String>(c).unwrap_or_default());
        self.maximum = Some(texts.collect::<Vec<_>>().join(","));
        Ok(())
    }
}

fn tell(capture: &mut Capture, what: (Aggregate, Stage), data: &[(&str, String)]) {
    let id = uuid::Uuid::new_v4().to_string();
    capture.notes.tell(what, data, (&id, capture.clock.wall_ms()));
}

/// The key of a row in words.
pub(crate) fn key_text(table: &Table, image: &[Value]) -> Option<String> {
    let key = table.key_of(image)?;
    let text = |v: &Value| match v {
        Value::String(text) => text.to_string(),
        Value::Int16(n) => n.to_string(),
        Value::Int32(n) => n.to_string(),
        Value::Int64(n) => n.to_string(),
        _ => "?".to_owned(),
    };
    Some(key.values.iter().map(text).collect::<Vec<_>>().join(","))
}

//! What each event of the log means for the transaction being read.
use crate::assemble::Change;
use crate::batch::Batch;
use crate::binlog::event::{self, FLAG_IGNORABLE, kind};
use crate::binlog::rows::RowsKind;
use crate::capture::{Announced, Capture, Form, Tx};
use crate::error::{Error, Place, Result};
use crate::gtid::{Gtid, MariaGtid, MariaGtids};
use crate::log::Event;
use crate::position::LogPosition;
use crate::statement::{Meaning, meaning};
use elasticflow_api::data::Text;
use elasticflow_cdc::envelope::Op;
use std::sync::Arc;

impl Capture {
    /// Takes one event.
    pub(crate) async fn event(&mut self, event: Event, out: &mut Batch) -> Result<()> {
        self.last = (event.header.timestamp, event.header.server_id);
        if self.log.take_committed() {
            self.watch.overtake();
        }
        if event.rolled_back && is_of_rows(event.header.kind) {
            return self.count_event();
        }
        if let Some(rows) = RowsKind::of(event.header.kind) {
            return self.begin_rows(rows, &event, Form::Plain);
        }
        if let Some(rows) = RowsKind::of_compressed(event.header.kind) {
            return self.begin_rows(rows, &event, Form::Packed);
        }
        match event.header.kind {
            kind::TABLE_MAP => self.table_map(&event, out).await,
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED => self.announce(&event),
            kind::MARIADB_GTID => self.maria_gtid(&event, out),
            kind::PARTIAL_UPDATE_ROWS => self.begin_rows((RowsKind::Update, true), &event, Form::Partial),
            kind::QUERY | kind::QUERY_COMPRESSED => self.query(&event, out).await,
            kind::XA_PREPARE if event.rolled_back => self.roll_back(&event, out),
            kind::XID | kind::XA_PREPARE => self.end_of_transaction(&event, out),
            kind::ROWS_QUERY => self.statement(event.body.get(1..).unwrap_or_default()),
            kind::ANNOTATE_ROWS => self.statement(&event.body),
            kind::ROTATE | kind::FORMAT_DESCRIPTION => self.rotated(&event),
            kind::HEARTBEAT => {
                if self.is_between() {
                    self.passed();
                }
                Ok(())
            }
            kind::STOP
            | kind::PREVIOUS_GTIDS
            | kind::IGNORABLE
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE
            | kind::TRANSACTION_PAYLOAD
            | kind::BINLOG_CHECKPOINT
            | kind::MARIADB_GTID_LIST
            | kind::START_ENCRYPTION => {
                if self.is_between() {
                    self.passed();
                }
                Ok(())
            }
            // Variables of a statement: the statement itself follows as a QUERY.
            5 | 13 | 14 => Ok(()),
            other => refusal(other, event.header.flags, self.place(&event)).map_or(Ok(()), Err),
        }
    }

    async fn table_map(&mut self, event: &Event, out: &mut Batch) -> Result<()> {
        if self.tx.is_none() {
            return Err(Error::LogOrder { place: self.place(event), what: "a table map outside a transaction" });
        }
        let known = self.tables.take(&event.body);
        if !known.map_err(|cause| Error::Decode { place: self.place(event), cause })? {
            let place = self.place(event);
            self.tables.learn(&mut self.control, &event.body, &place).await?;
            if self.schema_log.is_some() {
                let id = crate::binlog::table_map::table_id(&event.body);
                self.schema_seen(id.map_err(|cause| Error::Decode { place, cause })?, event, out);
            }
        }
        self.count_event()
    }

    fn announce(&mut self, event: &Event) -> Result<()> {
        let broken = |cause| Error::Decode { place: self.place(event), cause };
        self.only_between(event)?;
        let (gtid, committed_us) = match event.header.kind {
            kind::GTID_TAGGED => event::gtid_tagged(&event.body).map_err(broken)?,
            _ => event::gtid(&event.body).map_err(broken)?,
        };
        let gtid = (event.header.kind != kind::ANONYMOUS_GTID).then_some(Gtid::MySql(gtid));
        self.announced = Some(Announced { gtid, committed_us: committed_us.filter(|us| *us > 0) });
        Ok(())
    }

    fn maria_gtid(&mut self, event: &Event, out: &mut Batch) -> Result<()> {
        self.only_between(event)?;
        let begin = event::maria_gtid(&event.body, event.header.server_id)
            .map_err(|cause| Error::Decode { place: self.place(event), cause })?;
        self.only_open_in_domain(begin.gtid)?;
        let announced = Announced { gtid: Some(Gtid::Maria(begin.gtid)), committed_us: None };
        self.announced = Some(announced);
        // A completed XA transaction has its rows in an earlier one; a QUERY follows.
        if !begin.standalone && begin.xa != Some(event::MariaXa::Completed) {
            self.begin(event, begin.thread.map(i64::from), out);
        }
        Ok(())
    }

    /// Within a domain MariaDB keeps the order: what comes in the place of the transaction that was sent in part is another.
    fn only_open_in_domain(&self, gtid: MariaGtid) -> Result<()> {
        let open = self.skip.as_ref().and_then(|part| part.gtid.as_deref());
        let open = open.and_then(|text| MariaGtids::list(text).ok()?.first().copied());
        match open.filter(|open| open.domain == gtid.domain && *open != gtid) {
            Some(open) => Err(Error::ServerBehind { missing: open.to_string() }),
            None => Ok(()),
        }
    }

    fn only_between(&self, event: &Event) -> Result<()> {
        if self.tx.is_some() {
            return Err(Error::LogOrder { place: self.place(event), what: "a transaction begins inside another" });
        }
        Ok(())
    }

    fn begin(&mut self, event: &Event, thread: Option<i64>, out: &mut Batch) {
        out.transaction_begins();
        let announced = self.announced.take().unwrap_or_default();
        let gtid_text = announced.gtid.as_ref().map(|g| Text::from(g.text()));
        let resumed = self.skip.as_ref().is_some_and(|part| part.is_of(gtid_text.as_deref()));
        let foreign = announced.gtid.as_ref().is_some_and(|gtid| self.is_foreign(gtid));
        self.tx = Some(Tx {
            gtid_text,
            gtid: announced.gtid,
            committed_us: announced.committed_us,
            thread,
            query: None,
            begin: LogPosition { file: Arc::clone(&self.log.at().file), pos: event.start },
            events: 1,
            emitted: resumed,
            resumed,
            foreign,
        });
        if !foreign {
            self.begin_metadata(event, out);
        }
    }

    /// Whether a transaction comes from a source that is not captured.
    fn is_foreign(&self, gtid: &Gtid) -> bool {
        self.sources.as_ref().is_some_and(|sources| sources.drops(gtid))
    }

    fn begin_metadata(&mut self, event: &Event, out: &mut Batch) {
        let (Some(meta), Some(tx)) = (&mut self.meta, &mut self.tx) else { return };
        let unnumbered = || Text::from(format!("file={},pos={}", tx.begin.file, tx.begin.pos));
        let id = tx.gtid_text.clone().unwrap_or_else(unnumbered);
        let logged_ms = i64::from(event.header.timestamp) * 1000;
        let ts_ms = tx.committed_us.map_or(logged_ms, |us| us / 1000);
        if let Some(begin) = meta.begin(id, ts_ms) {
            out.records.push(begin);
            out.count(1, 0);
            tx.emitted = true;
        }
    }

    fn statement(&mut self, text: &[u8]) -> Result<()> {
        if self.include_query
            && let Some(tx) = &mut self.tx
        {
            let text = String::from_utf8_lossy(text);
            tx.query = (!text.is_empty()).then(|| Text::from(text.into_owned()));
        }
        self.count_event()
    }

    fn end_of_transaction(&mut self, event: &Event, out: &mut Batch) -> Result<()> {
        if self.tx.is_none() {
            return Err(Error::LogOrder { place: self.place(event), what: "a commit outside a transaction" });
        }
        self.commit(out);
        Ok(())
    }

    fn rotated(&mut self, event: &Event) -> Result<()> {
        if self.tx.is_some() {
            return Err(Error::LogOrder { place: self.place(event), what: "a file ends inside a transaction" });
        }
        self.tables.forget_ids();
        if self.announced.is_none() {
            self.passed();
        }
        Ok(())
    }

    async fn query(&mut self, event: &Event, out: &mut Batch) -> Result<()> {
        let packed = event.header.kind == kind::QUERY_COMPRESSED;
        let query =
            event::query(&event.body, packed).map_err(|cause| Error::Decode { place: self.place(event), cause })?;
        let meaning = meaning(&query.statement);
        if meaning == Meaning::Begin {
            self.only_between(event)?;
            self.begin(event, Some(i64::from(query.thread)), out);
            return Ok(());
        }
        if meaning == Meaning::Rows && self.tables.captures_database(&query.db) {
            return Err(Error::StatementLogged { db: query.db.into_owned(), place: self.place(event) });
        }
        if meaning == Meaning::XaCommit {
            // It stands in the log before it can be seen.
            self.watch.overtake();
        }
        if matches!(meaning, Meaning::Ddl | Meaning::Truncate(..)) {
            self.tables.forget_all();
            if let Some(window) = &mut self.watch.window {
                window.broken = true;
            }
        }
        if matches!(meaning, Meaning::Ddl | Meaning::Flush) && self.schema_log.is_some() {
            self.schema_changed(&query.statement, &query.db, event, out).await?;
        }
        if self.tx.is_some() {
            return match meaning {
                Meaning::Commit => self.end_of_transaction(event, out),
                Meaning::Rollback => self.roll_back(event, out),
                _ => self.count_event(),
            };
        }
        if let Meaning::Truncate(db, name) = meaning {
            let db = db.unwrap_or(query.db.into_owned());
            self.truncated(&db, &name, event, out).await?;
        }
        self.commit_statement();
        Ok(())
    }

    /// Drops the records of the open transaction; those of an earlier batch cannot be taken back.
    fn roll_back(&mut self, event: &Event, out: &mut Batch) -> Result<()> {
        if self.is_inside() {
            if out.began_inside && out.transaction_is_first {
                return Err(Error::RolledBack { place: self.place(event) });
            }
            out.roll_back();
        }
        if let Some(meta) = &mut self.meta {
            meta.forget();
        }
        self.commit(out);
        Ok(())
    }

    async fn truncated(&mut self, db: &str, name: &str, event: &Event, out: &mut Batch) -> Result<()> {
        let gtid = self.announced.as_ref().and_then(|a| a.gtid.as_ref());
        let foreign = gtid.is_some_and(|gtid| self.is_foreign(gtid));
        if foreign || !self.assembler.emits_truncate() || !self.tables.captures(db, name) {
            return Ok(());
        }
        let present = self.tables.for_snapshot(&mut self.control, db, name).await?;
        // A table that has another name by now, or is gone, was emptied all the same.
        let table = present.map_or_else(|| self.tables.last_known(db, name), Ok)?;
        let mut origin = self.origin(event);
        origin.gtid = self.announced.as_ref().and_then(|a| a.gtid.as_ref()).map(|g| Text::from(g.to_string()));
        let change = Change { op: Op::Truncate, before: None, after: None, row: 0 };
        let made = self.assembler.change(&table, change, &origin, &mut out.records);
        out.count(made, 0);
        Ok(())
    }
}

fn is_of_rows(kind: u8) -> bool {
    RowsKind::of(kind).or(RowsKind::of_compressed(kind)).is_some() || kind == kind::PARTIAL_UPDATE_ROWS
}

/// Why an event cannot be passed over; none if it may be.
fn refusal(kind: u8, flags: u16, place: Place) -> Option<Error> {
    match kind {
        kind::INCIDENT => Some(Error::Incident { place }),
        17 | 18 => Some(Error::StatementLogged { db: "of a LOAD DATA statement".to_owned(), place }),
        _ if flags & FLAG_IGNORABLE != 0 => None,
        kind => Some(Error::UnknownEvent { kind, place }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::ErrorClass;

    #[test]
    fn an_unknown_event_stops_the_task_unless_the_server_marks_it_as_ignorable() {
        let place = Place { file: "binlog.000007".to_owned(), pos: 4711 };
        let error = refusal(99, 0, place.clone()).unwrap();
        assert_eq!(error.class(), ErrorClass::Definite);
        assert_eq!(
            error.to_string(),
            "event of type 99 at binlog.000007:4711 is not known; it cannot be skipped, because it may carry data"
        );
        assert!(refusal(99, FLAG_IGNORABLE, place.clone()).is_none());
        for kind in [kind::INCIDENT, 18] {
            assert!(refusal(kind, FLAG_IGNORABLE, place.clone()).is_some(), "{kind}");
        }
    }
}

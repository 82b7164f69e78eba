//! The tables as they are when a connector begins: records of schema changes that would make them.
use crate::batch::Batch;
use crate::capture::Capture;
use crate::describe::{self, quoted};
use crate::error::Result;
use crate::information;
use crate::snapshot::read_origin;
use crate::wire::Session;
use elasticflow_api::data::{Text, Value};
use elasticflow_cdc::table_change::{ChangeKind, SchemaChange, TableChange};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// One record to be written; the order of the fields is the order of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Step {
    phase: u8,
    db: String,
    part: u8,
    table: String,
}

const SETTINGS: u8 = 0;
const DROPS: u8 = 1;
const CREATES: u8 = 2;
const DROP_DATABASE: u8 = 0;
const CREATE_DATABASE: u8 = 1;
const USE_DATABASE: u8 = 2;
const CREATE_TABLE: u8 = 3;

/// What is left to be written.
pub(crate) struct SchemaSnapshot {
    steps: VecDeque<Step>,
    /// Whether no rows follow, so that the last record ends the snapshot.
    ends_all: bool,
}

fn step(phase: u8, db: &str, part: u8, table: &str) -> Step {
    Step { phase, db: db.to_owned(), part, table: table.to_owned() }
}

impl SchemaSnapshot {
    /// Lists what there is; `after` is the last step that is done, `rows` the tables whose rows follow.
    pub(crate) async fn plan(session: &mut Session, after: Option<&Step>, rows: &[(String, String)]) -> Result<Self> {
        let mut steps = vec![Step::default()];
        for (db, ..) in describe::databases(session).await? {
            steps.extend([DROP_DATABASE, CREATE_DATABASE, USE_DATABASE].map(|part| step(CREATES, &db, part, "")));
        }
        for (db, table) in information::tables(session).await? {
            steps.push(step(DROPS, &db, 0, &table));
            steps.push(step(CREATES, &db, CREATE_TABLE, &table));
        }
        steps.sort();
        steps.retain(|s| after.is_none_or(|after| s > after));
        let mut ends_all = true;
        for (db, table) in rows {
            if describe::has_rows(session, db, table).await? {
                ends_all = false;
                break;
            }
        }
        Ok(Self { steps: steps.into(), ends_all })
    }

    /// Writes records until the batch is full or the time is over; tells the last step done, none if nothing is left.
    pub(crate) async fn fill(
        &mut self,
        capture: &mut Capture,
        out: &mut Batch,
        wait: Duration,
    ) -> Result<Option<Step>> {
        if let Some(log) = &capture.schema_log {
            self.steps.retain(|s| log.tells(&capture.tables, &s.db, (!s.table.is_empty()).then_some(s.table.as_str())));
        }
        let deadline = capture.clock.monotonic() + wait;
        let mut done = None;
        while let Some(step) = self.steps.front() {
            if out.is_full() || done.is_some() && capture.clock.monotonic() >= deadline {
                break;
            }
            let ends = self.ends_all && self.steps.len() == 1;
            write(step, ends, capture, out).await?;
            done = self.steps.pop_front();
        }
        Ok(done)
    }
}

async fn write(step: &Step, ends: bool, capture: &mut Capture, out: &mut Batch) -> Result<()> {
    let table = (!step.table.is_empty()).then_some(step.table.as_str());
    let Some(log) = capture.schema_log.as_mut() else { return Ok(()) };
    if let Some(table) = table {
        log.known.insert(format!("{}.{table}", step.db));
    }
    let comments = log.comments;
    let Some(change) = change(step, capture.control.session().await?, comments).await? else { return Ok(()) };
    let mut origin = read_origin(capture, true);
    origin.snapshot = Value::String(Text::from_static(if ends { "last" } else { "true" }));
    let Some(log) = &capture.schema_log else { return Ok(()) };
    out.records.push(log.record(&capture.assembler, &change, table, &origin));
    out.count(1, change.ddl.len());
    Ok(())
}

/// What a step tells; none if its table or database is gone.
async fn change(step: &Step, session: &mut Session, comments: bool) -> Result<Option<SchemaChange>> {
    let (db, table) = (&step.db, &step.table);
    let of_table = |kind, description| TableChange { kind, table: (db.clone(), table.clone()), description };
    let (ddl, changes) = match (step.phase, step.part) {
        (SETTINGS, _) => (describe::server_settings(session).await?, Vec::new()),
        (DROPS, _) => {
            let ddl = format!("DROP TABLE IF EXISTS {}.{}", quoted(db), quoted(table));
            (ddl, vec![of_table(ChangeKind::Drop, None)])
        }
        (_, DROP_DATABASE) => (format!("DROP DATABASE IF EXISTS {}", quoted(db)), Vec::new()),
        (_, CREATE_DATABASE) => {
            let all = describe::databases(session).await?;
            let Some((_, charset, collation)) = all.into_iter().find(|(name, ..)| name == db) else { return Ok(None) };
            (format!("CREATE DATABASE {} CHARSET {charset} COLLATE {collation}", quoted(db)), Vec::new())
        }
        (_, USE_DATABASE) => (format!("USE {}", quoted(db)), Vec::new()),
        _ => {
            let Some(ddl) = describe::create_statement(session, db, table).await? else { return Ok(None) };
            let description = describe::table(session, (db, table), comments).await?;
            (ddl, vec![of_table(ChangeKind::Create, description)])
        }
    };
    Ok(Some(SchemaChange { database: db.clone(), ddl, changes }))
}

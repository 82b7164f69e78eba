//! Where a task begins: stored offset, server and snapshot mode together.
use crate::config::{CdcConfig, SnapshotMode};
use crate::error::{Error, Result, of_client};
use crate::gtid::{GtidSet, Gtids, MariaGtids};
use crate::position::{LogPosition, Part, Resume};
use crate::preflight::{end_of_log, files, gtid_mode, reads_rows};
use crate::sources::Sources;
use crate::txmeta::Stored;
use crate::wire::{DumpFrom, Flavour, Session};
use mysql_async::prelude::Queryable;
use std::collections::BTreeSet;
use std::time::Duration;

/// Looks at prepared XA transactions, and the time between them, before the start is tried again later.
const XA_LOOKS: usize = 50;
const XA_PAUSE: Duration = Duration::from_millis(200);

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Where the dump starts.
    pub from: DumpFrom,
    /// The same as a place, as far as it is known.
    pub at: LogPosition,
    /// Transactions executed before.
    pub gtids: Gtids,
    /// What to pass over.
    pub skip: Part,
    /// Whether rows are read, and the progress of a snapshot that goes on.
    pub snapshot: Option<Option<String>>,
    /// Whether there is nothing to do any more.
    pub finished: bool,
    /// The transaction that an earlier start left open.
    pub transaction: Stored,
}

/// Decides.
///
/// # Errors
/// The stored position is lost, the server is behind it, or a question failed.
pub async fn beginning(session: &mut Session, config: &CdcConfig, stored: Option<Resume>) -> Result<Beginning> {
    let Some(resume) = stored.filter(|_| config.snapshot_mode != SnapshotMode::Always) else {
        return fresh(session, config).await;
    };
    let unfinished = resume.snapshot.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("INITIAL"));
    if unfinished && resume.own.is_none() {
        tracing::info!("the stored offset is of a snapshot that another program began: the snapshot starts again");
        return fresh(session, config).await;
    }
    let resume = match Sources::of_task(config)? {
        Some(sources) => sources.known(session, resume).await?,
        None => resume,
    };
    match on_server(session, &resume).await {
        Err(Error::PositionLost { position, .. }) if config.snapshot_mode == SnapshotMode::WhenNeeded => {
            tracing::warn!(position, "the stored position is no longer on the server: taking a new snapshot");
            return fresh(session, config).await;
        }
        other => other?,
    }
    Ok(Beginning {
        from: dump_from(session, &resume).await?,
        at: resume.at,
        gtids: resume.gtids,
        skip: resume.part,
        transaction: resume.transaction,
        finished: config.snapshot_mode == SnapshotMode::InitialOnly && !unfinished,
        // Own progress is stored while a snapshot runs, the first one or one that a signal has asked for.
        snapshot: resume.own.map(Some),
    })
}

/// The first value of a query, on one line.
pub(crate) async fn text(session: &mut Session, sql: &str) -> Result<Option<String>> {
    let row: Option<Option<String>> =
        session.conn.query_first(sql).await.map_err(|e| of_client(e, "reading the position of the server"))?;
    Ok(row.flatten().map(|t| t.replace('\n', "")))
}

/// How the log is asked for after a position.
pub async fn dump_from(session: &mut Session, resume: &Resume) -> Result<DumpFrom> {
    let by_gtids = resume.gtids != Gtids::Off && gtid_mode(session).await?;
    Ok(if by_gtids { DumpFrom::Gtids(resume.gtids.clone()) } else { DumpFrom::Position(resume.at.clone()) })
}

/// Whether what follows the position is still there.
pub async fn on_server(session: &mut Session, resume: &Resume) -> Result<()> {
    match (&resume.gtids, gtid_mode(session).await?) {
        (Gtids::MySql(ours), true) => mysql_on_server(session, ours, &resume.part).await,
        (Gtids::Maria(ours), _) => maria_on_server(session, ours).await,
        _ => {
            let names = files(session).await?;
            if names.iter().any(|name| *name == *resume.at.file) {
                return Ok(());
            }
            let oldest = names.first().map_or("none", String::as_str);
            let text = format!("the oldest log file there is {oldest}");
            Err(Error::PositionLost { position: resume.at.to_string(), text })
        }
    }
}

async fn mysql_on_server(session: &mut Session, ours: &GtidSet, part: &Part) -> Result<()> {
    let unreadable = |reason| Error::OffsetUndecodable { reason };
    let purged = text(session, "SELECT @@GLOBAL.gtid_purged").await?.unwrap_or_default();
    let lost = GtidSet::parse(&purged).map_err(unreadable)?.subtract(ours);
    if !lost.is_empty() {
        let text = format!("the server has purged the transactions {lost}");
        return Err(Error::PositionLost { position: ours.to_string(), text });
    }
    let executed = executed(session).await?;
    // Of the open transaction a part was sent: a server without it would never send the rest.
    let open = GtidSet::parse(part.gtid.as_deref().unwrap_or_default()).map_err(unreadable)?;
    let ahead = ours.clone().union(&open).subtract(&executed);
    if ahead.is_empty() { Ok(()) } else { Err(Error::ServerBehind { missing: ahead.to_string() }) }
}

/// MariaDB starts a domain that it does not know at its beginning, without a word.
async fn maria_on_server(session: &mut Session, ours: &MariaGtids) -> Result<()> {
    let state = text(session, "SELECT @@GLOBAL.gtid_binlog_state").await?.unwrap_or_default();
    let state = MariaGtids::parse(&state).map_err(|reason| Error::OffsetUndecodable { reason })?;
    let unknown = ours.without_domains_of(&state);
    if unknown.is_empty() { Ok(()) } else { Err(Error::ServerBehind { missing: unknown.to_string() }) }
}

/// Transactions that are committed and visible on a MySQL server.
pub async fn executed(session: &mut Session) -> Result<GtidSet> {
    let executed = text(session, "SELECT @@GLOBAL.gtid_executed").await?.unwrap_or_default();
    GtidSet::parse(&executed).map_err(|reason| Error::OffsetUndecodable { reason })
}

/// Without a stored position.
pub async fn fresh(session: &mut Session, config: &CdcConfig) -> Result<Beginning> {
    if config.snapshot_mode == SnapshotMode::Never {
        return oldest(session).await;
    }
    let numbered = gtid_mode(session).await?;
    // Without rows too, there are tables to tell of.
    let snapshot = (reads_rows(config.snapshot_mode) || config.schema_changes).then_some(None);
    let (from, at, gtids) = match (session.flavour, numbered) {
        (Flavour::MySql, true) => {
            // The set, not the place: only what is in the set is visible to every later query.
            let executed = Gtids::MySql(executed(session).await?);
            (DumpFrom::Gtids(executed.clone()), end_of_log(session).await?, executed)
        }
        (Flavour::MySql, false) => {
            let at = end_of_log(session).await?;
            (DumpFrom::Position(at.clone()), at, Gtids::Off)
        }
        (Flavour::MariaDb, _) => {
            let at = maria_snapshot_position(session).await?;
            session.conn.query_drop("ROLLBACK").await.map_err(|e| of_client(e, "ending a snapshot"))?;
            let gtids = maria_gtids(session, &at).await?;
            (DumpFrom::Position(at.clone()), at, gtids)
        }
    };
    decided(session).await?;
    Ok(Beginning { from, at, gtids, skip: Part::default(), snapshot, finished: false, transaction: Stored::default() })
}

/// Waits until no XA transaction is left that was prepared at first: the rows of one stand in the log before the place that was
/// just taken, and a query does not see them before its commit. Those that are prepared later stand behind that place.
async fn decided(session: &mut Session) -> Result<()> {
    let mut open: Option<BTreeSet<Vec<u8>>> = None;
    for _ in 0..=XA_LOOKS {
        let listed: Vec<(u64, u64, u64, Vec<u8>)> = match session.conn.query("XA RECOVER").await {
            Ok(listed) => listed,
            Err(mysql_async::Error::Server(refused)) => {
                tracing::warn!(
                    refused.code,
                    "XA RECOVER is refused: rows of a transaction that is prepared now would be missed. If there may be any, GRANT XA_RECOVER_ADMIN"
                );
                return Ok(());
            }
            Err(cause) => return Err(of_client(cause, "looking for prepared XA transactions")),
        };
        let listed: BTreeSet<Vec<u8>> = listed.into_iter().map(|(.., id)| id).collect();
        let left = open.map_or_else(|| listed.clone(), |open| open.intersection(&listed).cloned().collect());
        if left.is_empty() {
            return Ok(());
        }
        open = Some(left);
        tokio::time::sleep(XA_PAUSE).await;
    }
    Err(Error::XaPrepared { count: open.map_or(0, |open| open.len()) })
}

async fn oldest(session: &mut Session) -> Result<Beginning> {
    let names = files(session).await?;
    let first = names.first().ok_or(Error::Bug("the server has no log file"))?;
    let at = LogPosition::new(first, 4);
    let gtids = match (session.flavour, gtid_mode(session).await?) {
        (Flavour::MySql, true) => {
            let purged = text(session, "SELECT @@GLOBAL.gtid_purged").await?.unwrap_or_default();
            Gtids::MySql(GtidSet::parse(&purged).map_err(|reason| Error::OffsetUndecodable { reason })?)
        }
        _ => Gtids::Off,
    };
    let from = DumpFrom::Position(at.clone());
    Ok(Beginning {
        from,
        at,
        gtids,
        skip: Part::default(),
        snapshot: None,
        finished: false,
        transaction: Stored::default(),
    })
}

/// Opens a snapshot on MariaDB and says exactly what it sees.
pub async fn maria_snapshot_position(session: &mut Session) -> Result<LogPosition> {
    let doing = "opening a snapshot";
    for sql in [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ] {
        session.conn.query_drop(sql).await.map_err(|e| of_client(e, doing))?;
    }
    let rows: Vec<(String, String)> =
        session.conn.query("SHOW STATUS LIKE 'Binlog_snapshot_%'").await.map_err(|e| of_client(e, doing))?;
    let of = |name: &str| rows.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
    let pos = of("Binlog_snapshot_position").and_then(|p| p.parse().ok());
    of("Binlog_snapshot_file")
        .filter(|f| !f.is_empty())
        .zip(pos)
        .map(|(file, pos)| LogPosition::new(file, pos))
        .ok_or_else(|| Error::Preflight {
            text: "the server does not tell the log position of a snapshot (Binlog_snapshot_position); is log_bin on?"
                .to_owned(),
        })
}

/// MariaDB's transaction ids at a place.
pub async fn maria_gtids(session: &mut Session, at: &LogPosition) -> Result<Gtids> {
    let found = text(session, &format!("SELECT BINLOG_GTID_POS('{}', {})", at.file, at.pos)).await?;
    let all = MariaGtids::parse(found.as_deref().unwrap_or_default())
        .map_err(|reason| Error::OffsetUndecodable { reason })?;
    Ok(if all.is_empty() { Gtids::Off } else { Gtids::Maria(all) })
}

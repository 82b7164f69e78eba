//! The connection that reads the log: how it is opened, and opened again where it was lost.
use crate::config::CdcConfig;
use crate::error::{Error, Result};
use crate::log::{Log, Reading};
use crate::position::{LogPosition, Resume};
use crate::preflight;
use crate::start::{dump_from, on_server};
use crate::tables::Control;
use crate::task::Running;
use crate::wire::{self, DumpFrom, Flavour, Reader, Session};
use elasticflow_api::context::SourceContext;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may lag behind the position, after a failover or a crash.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// Asks for the log and waits for its first event, so that a refusal is an error of the start.
pub(crate) async fn open_log(
    config: &Arc<CdcConfig>,
    cx: &SourceContext,
    session: &Session,
    (from, at): (&DumpFrom, &LogPosition),
    snapshot: bool,
) -> Result<Log> {
    // While a snapshot runs, an idle server must say soon where its log ends.
    let heartbeat = match snapshot {
        true => config.server_heartbeat.duration().min(Duration::from_secs(1)),
        false => config.server_heartbeat.duration(),
    };
    let name = format!("{}/{}/{}", cx.task.group, cx.task.connector, cx.task.task.0);
    let reader = Reader::new(config, &name, heartbeat);
    let stream = wire::dump(config, session.flavour, &reader, from).await?;
    let named = session.flavour == Flavour::MySql;
    let how = Reading { verify: config.verify_checksum, named, heartbeat };
    let mut log = Log::new(stream, Arc::clone(&cx.clock), at.clone(), how);
    log.first(config.connect_timeout.duration()).await?;
    Ok(log)
}

/// Opens the log again where it was lost; false while that has to wait.
pub(crate) async fn reopen(config: &Arc<CdcConfig>, cx: &SourceContext, running: &mut Running) -> Result<bool> {
    let left = running.reopen.left(cx.clock.monotonic());
    if !left.is_zero() {
        cx.clock.sleep(left.min(cx.poll_max)).await;
        if left > cx.poll_max {
            return Ok(false);
        }
    }
    match reopened(config, cx, running).await {
        Ok(()) => {
            running.reopen.opened(cx.clock.monotonic());
            tracing::info!(connector = %cx.task.connector, position = %running.capture.boundary, "reading the binary log on");
            Ok(true)
        }
        Err(error) if error.is_link() || matches!(error, Error::ServerBehind { .. }) => {
            let behind = matches!(error, Error::ServerBehind { .. });
            let most = if behind { BEHIND_MAX } else { config.retry_max.duration() };
            tracing::warn!(connector = %cx.task.connector, %error, "the log cannot be read yet: trying again");
            running.reopen.failed(cx.clock.monotonic(), most, error)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn reopened(config: &Arc<CdcConfig>, cx: &SourceContext, running: &mut Running) -> Result<()> {
    let mut session = wire::connect(config).await?;
    preflight::require(&mut session).await?;
    let (at, part) = running.capture.resume();
    let resume = Resume { part, ..Resume::new(at.clone(), running.capture.gtids.clone()) };
    let resume = match &running.capture.sources {
        Some(sources) => sources.known(&mut session, resume).await?,
        None => resume,
    };
    on_server(&mut session, &resume).await?;
    let from = dump_from(&mut session, &resume).await?;
    if session.server != running.server {
        if matches!(from, DumpFrom::Position(_)) {
            return Err(Error::ServerChanged { was: running.server.clone(), is: session.server.clone() });
        }
        tracing::warn!(was = %running.server, is = %session.server, "another server answers: going on there by GTID");
    }
    let log = open_log(config, cx, &session, (&from, &resume.at), running.snapshot.is_some()).await?;
    running.server.clone_from(&session.server);
    if let Some(snapshot) = &mut running.snapshot {
        snapshot.interrupted();
    }
    let control = Control::new(Arc::clone(config), Some(session));
    // Of sources that are not captured, this server may have others.
    running.capture.gtids = resume.gtids;
    running.capture.reopened(log, control);
    Ok(())
}

//! Connections: options, TLS, the start of the dump.
use crate::config::{CdcConfig, SslMode};
use crate::dump::{self, BinlogRequest, Dump};
use crate::error::{Error, Result, of_client};
use crate::gtid::{GtidSet, Gtids};
use crate::position::LogPosition;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, GnoInterval, Opts, OptsBuilder, Sid, SslOpts};
use std::path::PathBuf;
use std::time::Duration;

/// Largest packet that is taken: rows above it cannot be sent by the server either.
const PACKET_MAX: usize = 1 << 30;

/// What kind of server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// MySQL, Percona Server and what claims to be it.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A connection for statements.
pub struct Session {
    /// The connection.
    pub conn: Conn,
    /// What the server is.
    pub flavour: Flavour,
    /// Which one it is: MySQL's UUID, MariaDB's number.
    pub server: String,
}

fn options(config: &CdcConfig, ssl: Option<SslOpts>) -> Opts {
    OptsBuilder::default()
        .ip_or_hostname(config.hostname.clone())
        .tcp_port(config.port)
        .user(Some(config.user.clone()))
        .pass(config.password.as_ref().map(|p| p.expose().to_owned()))
        .prefer_socket(false)
        .max_allowed_packet(Some(PACKET_MAX))
        .wait_timeout(Some(86_400))
        .tcp_keepalive(Some(Duration::from_secs(30)))
        .tcp_nodelay(true)
        .stmt_cache_size(Some(0))
        .ssl_opts(ssl)
        .into()
}

fn tls(config: &CdcConfig) -> Option<SslOpts> {
    let base = SslOpts::default();
    let base = match &config.ssl_ca {
        Some(ca) => base.with_root_certs(vec![PathBuf::from(ca).into()]),
        None => base,
    };
    let identity = config.ssl_cert.as_ref().zip(config.ssl_key.as_ref());
    let base = base.with_client_identity(
        identity.map(|(c, k)| mysql_async::ClientIdentity::new(PathBuf::from(c).into(), PathBuf::from(k).into())),
    );
    match config.ssl_mode {
        SslMode::Disabled | SslMode::Disable => None,
        SslMode::Preferred | SslMode::Required | SslMode::Trust => {
            Some(base.with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true))
        }
        SslMode::VerifyCa | SslMode::VerifyCaMaria => Some(base.with_danger_skip_domain_validation(true)),
        SslMode::VerifyIdentity | SslMode::VerifyFull => Some(base),
    }
}

async fn dial(config: &CdcConfig, ssl: Option<SslOpts>) -> Result<Conn> {
    within(config, Conn::new(options(config, ssl))).await
}

async fn within<T>(config: &CdcConfig, connecting: impl Future<Output = mysql_async::Result<T>>) -> Result<T> {
    let address = config.address();
    let Ok(outcome) = tokio::time::timeout(config.connect_timeout.duration(), connecting).await else {
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "connect.timeout.ms is over");
        return Err(Error::Connect { address, cause: late.into() });
    };
    outcome.map_err(|cause| match &cause {
        mysql_async::Error::Server(e) if matches!(e.code, 1044 | 1045 | 1130 | 1251 | 1698 | 1862) => {
            Error::Credentials { address, cause }
        }
        _ => Error::Connect { address, cause },
    })
}

async fn connect_raw(config: &CdcConfig) -> Result<Conn> {
    let first = dial(config, tls(config)).await;
    match first {
        Err(Error::Connect { ref cause, .. }) if config.ssl_mode == SslMode::Preferred && no_tls_on_server(cause) => {
            dial(config, None).await
        }
        other => other,
    }
}

/// Connects for the log.
async fn link(config: &CdcConfig) -> Result<dump::Link> {
    let encrypted = !matches!(config.ssl_mode, SslMode::Disabled | SslMode::Disable);
    match within(config, dump::open(config, encrypted)).await {
        Err(Error::Connect { ref cause, .. }) if config.ssl_mode == SslMode::Preferred && no_tls_on_server(cause) => {
            within(config, dump::open(config, false)).await
        }
        other => other,
    }
}

fn no_tls_on_server(cause: &mysql_async::Error) -> bool {
    matches!(cause, mysql_async::Error::Driver(mysql_async::DriverError::NoClientSslFlagFromServer))
}

/// Connects for statements: text in UTF-8, times in UTC.
pub async fn connect(config: &CdcConfig) -> Result<Session> {
    let mut conn = connect_raw(config).await?;
    let doing = "preparing a connection";
    let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(|e| of_client(e, doing))?;
    let flavour = match version {
        Some(version) if version.contains("MariaDB") => Flavour::MariaDb,
        _ => Flavour::MySql,
    };
    conn.query_drop("SET NAMES utf8mb4, time_zone = '+00:00'").await.map_err(|e| of_client(e, doing))?;
    let statements = config.initial_statements.as_deref().unwrap_or_default();
    for statement in statements.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        conn.query_drop(statement).await.map_err(|e| of_client(e, "running database.initial.statements"))?;
    }
    let identity = match flavour {
        Flavour::MySql => "SELECT @@GLOBAL.server_uuid",
        Flavour::MariaDb => "SELECT CAST(@@GLOBAL.server_id AS CHAR)",
    };
    let server: Option<String> = conn.query_first(identity).await.map_err(|e| of_client(e, doing))?;
    Ok(Session { conn, flavour, server: server.unwrap_or_default() })
}

/// Who reads the log.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Number among the replicas.
    pub server_id: u32,
    /// The same for every start of a task: a further dump with it ends the one before, so a zombie stops reading.
    pub uuid: uuid::Uuid,
    /// How often an idle server says so.
    pub heartbeat: Duration,
}

impl Reader {
    /// For a task; `name` is the same at every start.
    pub fn new(config: &CdcConfig, name: &str, heartbeat: Duration) -> Self {
        let (low, high) = (fnv(name, 0), fnv(name, 1));
        let derived = 5400 + u32::try_from(low % 100_000).unwrap_or(0);
        let uuid =
            uuid::Builder::from_custom_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes()).into_uuid();
        Self { server_id: config.server_id.unwrap_or(derived), uuid, heartbeat }
    }
}

/// FNV-1a, 64 bits.
fn fnv(text: &str, seed: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    text.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// Where a dump starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpFrom {
    /// After a place in the log of this server.
    Position(LogPosition),
    /// With every transaction that is not in the set.
    Gtids(Gtids),
}

/// Starts a dump of the log on a connection of its own.
pub async fn dump(config: &CdcConfig, flavour: Flavour, reader: &Reader, from: &DumpFrom) -> Result<Dump> {
    let mut link = link(config).await?;
    let doing = "preparing to read the binary log";
    // Not allowed everywhere, and not needed for anything but patience.
    let _ = link.run("SET SESSION net_write_timeout = 600").await;
    let nanos = reader.heartbeat.as_nanos();
    let mut statements = vec![
        format!("SET @master_heartbeat_period = {nanos}, @source_heartbeat_period = {nanos}"),
        // The server's own form of it: events come as they were written.
        "SET @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum"
            .to_owned(),
    ];
    match flavour {
        Flavour::MySql => statements.push(format!("SET @replica_uuid = '{0}', @slave_uuid = '{0}'", reader.uuid)),
        Flavour::MariaDb => statements.push("SET @mariadb_slave_capability = 4".to_owned()),
    }
    let request = BinlogRequest::new(reader.server_id);
    let request = match from {
        DumpFrom::Position(at) => request.with_filename(at.file.as_bytes().to_vec()).with_pos(at.pos),
        DumpFrom::Gtids(Gtids::MySql(set)) => request.with_use_gtid(true).with_sids(sids(set)?).with_pos(4u64),
        DumpFrom::Gtids(Gtids::Maria(all)) => {
            statements.push(format!("SET @slave_connect_state = '{all}'"));
            statements.push("SET @slave_gtid_strict_mode = 0, @slave_gtid_ignore_duplicates = 0".to_owned());
            request.with_pos(4u64)
        }
        DumpFrom::Gtids(Gtids::Off) => return Err(Error::Bug("a dump by GTIDs without any")),
    };
    for statement in &statements {
        link.run(statement).await.map_err(|e| of_client(e, doing))?;
    }
    link.dump(&request).await.map_err(|e| of_client(e, doing))
}

fn sids(set: &GtidSet) -> Result<Vec<Sid<'static>>> {
    let of_source = |(source, intervals): (&crate::gtid::GtidSource, &[(u64, u64)])| {
        if source.tag.is_empty() {
            let all = intervals.iter().map(|(first, last)| GnoInterval::new(*first, last + 1)).collect();
            return Ok(Sid::new(source.uuid.into_bytes()).with_intervals(all));
        }
        let listed: Vec<String> = intervals.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let text = format!("{source}:{}", listed.join(":"));
        text.parse::<Sid<'_>>().map_err(|_| Error::OffsetUndecodable { reason: format!("tag {}", source.tag) })
    };
    set.intervals().map(of_source).collect()
}

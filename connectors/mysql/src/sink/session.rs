//! Connections of the sink and what their answers mean.
use super::access::Access;
use super::dialect::MYSQL;
use crate::config::SslMode;
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_config::Millis;
use elasticflow_sql::error::without_quoted;
use elasticflow_sql::session::{TextRow, number, text};
use elasticflow_sql::table::TableName;
use elasticflow_sql::url::Url;
use elasticflow_sql::{Database, Dialect, Error, Session, SqlError, Trouble};
use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, DriverError, Opts, OptsBuilder, Row, SslOpts, Value};
use std::path::PathBuf;
use std::time::Duration;

/// Left of `max_allowed_packet` for what the protocol adds.
const PACKET_MARGIN: usize = 64 * 1024;
const DEFAULT_PORT: u16 = 3306;
/// Engines whose tables take part in a transaction.
const TRANSACTIONAL: [&str; 4] = ["innodb", "ndbcluster", "rocksdb", "tokudb"];

/// Where and how to connect.
pub(crate) struct MysqlDatabase {
    access: Access,
    url: Url,
}

impl MysqlDatabase {
    /// From settings; connects later.
    ///
    /// # Errors
    /// What is wrong with `connection.url`.
    pub(crate) fn new(access: Access) -> Result<Self, String> {
        let url = Url::parse(&access.url)?;
        if !matches!(url.scheme.as_str(), "mysql" | "mariadb") {
            return Err("is not of MySQL; it begins with jdbc:mysql:// or jdbc:mariadb://".to_owned());
        }
        ssl_mode(&access, &url)?;
        Ok(Self { access, url })
    }

    fn options(&self, ssl: Option<SslOpts>) -> Opts {
        let (host, port) = self.url.first_host(DEFAULT_PORT);
        let keys = &self.access;
        let password = keys.password.as_ref().map(|p| p.expose().to_owned()).or_else(|| self.url.password.clone());
        OptsBuilder::default()
            .ip_or_hostname(host.to_owned())
            .tcp_port(port)
            .user(keys.user.clone().or_else(|| self.url.user.clone()))
            .pass(password)
            .db_name(self.url.database.clone())
            .prefer_socket(false)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            .tcp_nodelay(true)
            .stmt_cache_size(Some(0))
            .client_found_rows(true)
            .ssl_opts(ssl)
            .into()
    }

    fn tls(&self, mode: SslMode) -> Option<SslOpts> {
        let own = &self.access.own;
        let base = match &own.ssl_ca {
            Some(ca) => SslOpts::default().with_root_certs(vec![PathBuf::from(ca).into()]),
            None => SslOpts::default(),
        };
        let identity = own.ssl_cert.as_ref().zip(own.ssl_key.as_ref());
        let base = base.with_client_identity(
            identity.map(|(c, k)| ClientIdentity::new(PathBuf::from(c).into(), PathBuf::from(k).into())),
        );
        match mode {
            SslMode::Disabled | SslMode::Disable => None,
            SslMode::Preferred | SslMode::Required | SslMode::Trust => {
                Some(base.with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true))
            }
            SslMode::VerifyCa | SslMode::VerifyCaMaria => Some(base.with_danger_skip_domain_validation(true)),
            SslMode::VerifyIdentity | SslMode::VerifyFull => Some(base),
        }
    }

    async fn dial(&self, ssl: Option<SslOpts>) -> Result<Conn, SqlError> {
        let within = limit(self.access.connect_timeout);
        match tokio::time::timeout(within, Conn::new(self.options(ssl))).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(self.refused(&error)),
            Err(_) => Err(lost(format!("{} does not answer within connection.timeout.ms", self.address()))),
        }
    }

    fn refused(&self, error: &mysql_async::Error) -> SqlError {
        let inner = answer_of(error);
        SqlError { text: format!("cannot connect to {}: {}", self.address(), inner.text), ..inner }
    }

    fn address(&self) -> String {
        let (host, port) = self.url.first_host(DEFAULT_PORT);
        format!("{host}:{port}")
    }

    async fn prepared(&self, mut conn: Conn) -> Result<MysqlSession, SqlError> {
        let mut setup = vec![
            "SET NAMES utf8mb4".to_owned(),
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', \
             innodb_lock_wait_timeout = 20, autocommit = 1"
                .to_owned(),
            format!("SET SESSION TRANSACTION ISOLATION LEVEL {}", self.access.isolation),
        ];
        setup.extend(self.access.own.session_variables.iter().map(|v| format!("SET SESSION {v}")));
        for statement in setup {
            conn.query_drop(statement).await.map_err(|e| self.refused(&e))?;
        }
        let packet: Option<u64> =
            conn.query_first("SELECT @@max_allowed_packet").await.map_err(|e| self.refused(&e))?;
        let packet = packet.and_then(|p| usize::try_from(p).ok()).unwrap_or(1 << 20);
        Ok(MysqlSession {
            conn,
            statement_bytes_max: packet.saturating_sub(PACKET_MARGIN).max(1024),
            within: limit(self.access.statement_timeout),
        })
    }
}

/// The mode of the settings, else that of the URL.
fn ssl_mode(access: &Access, url: &Url) -> Result<SslMode, String> {
    if let Some(mode) = access.own.ssl_mode {
        return Ok(mode);
    }
    if let Some(word) = url.parameter("sslMode") {
        let word = word.to_ascii_lowercase();
        return <SslMode as elasticflow_config::ConfigValue>::read(&word)
            .map_err(|e| format!("has a parameter sslMode: {e}"));
    }
    Ok(match (url.parameter("useSSL"), url.parameter("requireSSL")) {
        (Some("false"), _) => SslMode::Disabled,
        (_, Some("true")) => SslMode::Required,
        _ => SslMode::Preferred,
    })
}

#[async_trait]
impl Database for MysqlDatabase {
    fn dialect(&self) -> &'static dyn Dialect {
        &MYSQL
    }

    async fn connect(&self) -> Result<Box<dyn Session>, SqlError> {
        let mode = ssl_mode(&self.access, &self.url).map_err(|text| SqlError {
            trouble: Trouble::Config,
            code: String::new(),
            text: format!("connection.url {text}"),
        })?;
        let first =
            match tokio::time::timeout(limit(self.access.connect_timeout), Conn::new(self.options(self.tls(mode))))
                .await
            {
                Ok(Err(mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)))
                    if mode == SslMode::Preferred =>
                {
                    self.dial(None).await
                }
                Ok(Ok(conn)) => Ok(conn),
                Ok(Err(error)) => Err(self.refused(&error)),
                Err(_) => Err(lost(format!("{} does not answer within connection.timeout.ms", self.address()))),
            };
        Ok(Box::new(self.prepared(first?).await?))
    }

    async fn check_branches(&self, session: &mut dyn Session) -> Result<(), Error> {
        super::branches::check(session).await
    }

    async fn check_table(&self, session: &mut dyn Session, table: &TableName) -> Result<(), Error> {
        let this: &dyn Dialect = &MYSQL;
        let schema = table.schema.as_ref().map_or_else(|| "DATABASE()".to_owned(), |s| this.text_literal(s));
        let table_name = this.text_literal(&table.table);
        let engine = format!(
            "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {table_name}"
        );
        let rows = session.rows(&engine).await.map_err(Error::at(format!("reading the engine of table {table}")))?;
        let engine = rows.first().and_then(|row| text(row, 0)).unwrap_or_default().to_ascii_lowercase();
        let is_safe = engine.is_empty() || TRANSACTIONAL.contains(&engine.as_str());
        if !is_safe && self.access.needs_transactions {
            let text = format!(
                "table {table} uses engine {engine}; exactly-once needs InnoDB. Convert it or set delivery.guarantee=at-least-once"
            );
            return Err(Error::Config { code: "MYSQL-0011", text });
        }
        let unique = format!(
            "SELECT COUNT(DISTINCT INDEX_NAME) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {schema} \
             AND TABLE_NAME = {table_name} AND NON_UNIQUE = 0 AND INDEX_NAME <> 'PRIMARY'"
        );
        let rows = session.rows(&unique).await.map_err(Error::at(format!("reading the keys of table {table}")))?;
        if rows.first().and_then(|row| number(row, 0)).is_some_and(|n| n > 0) {
            tracing::warn!(%table, code = "MYSQL-0012", "unique keys besides the primary key: an upsert merges rows on any of them");
        }
        Ok(())
    }
}

/// A zero is no limit.
fn limit(of: Millis) -> Duration {
    const NO_LIMIT: Duration = Duration::from_secs(86_400 * 365);
    if of.0 == 0 { NO_LIMIT } else { of.duration() }
}

/// A connection.
struct MysqlSession {
    conn: Conn,
    statement_bytes_max: usize,
    within: Duration,
}

#[async_trait]
impl Session for MysqlSession {
    async fn execute(&mut self, sql: &str) -> Result<u64, SqlError> {
        let run = async {
            let result = self.conn.query_iter(sql.as_bytes()).await?;
            let affected = result.affected_rows();
            result.drop_result().await?;
            Ok(affected)
        };
        within(self.within, run).await
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<TextRow>, SqlError> {
        let rows: Vec<Row> = within(self.within, self.conn.query(sql.as_bytes())).await?;
        let cell = |value: Value| match value {
            Value::Bytes(bytes) => Some(Bytes::from(bytes)),
            Value::NULL => None,
            other => Some(Bytes::from(other.as_sql(false))),
        };
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(cell).collect()).collect())
    }

    fn statement_bytes_max(&self) -> usize {
        self.statement_bytes_max
    }

    async fn close(self: Box<Self>) {
        // What was committed is committed whatever the server answers.
        let _ = self.conn.disconnect().await;
    }
}

async fn within<T>(limit: Duration, run: impl Future<Output = Result<T, mysql_async::Error>>) -> Result<T, SqlError> {
    match tokio::time::timeout(limit, run).await {
        Ok(outcome) => outcome.map_err(|e| answer_of(&e)),
        Err(_) => Err(lost("no answer within socket.timeout.ms".to_owned())),
    }
}

fn lost(text: String) -> SqlError {
    SqlError { trouble: Trouble::Lost, code: String::new(), text }
}

/// An error of the client as an answer.
fn answer_of(error: &mysql_async::Error) -> SqlError {
    match error {
        mysql_async::Error::Server(e) => {
            let trouble = super::answer::trouble_of(e.code);
            SqlError { trouble, code: e.code.to_string(), text: super::answer::text_of(e.code, trouble, &e.message) }
        }
        mysql_async::Error::Driver(DriverError::PacketTooLarge) => {
            SqlError { trouble: Trouble::TooLarge, code: "1153".to_owned(), text: "the packet is too large".to_owned() }
        }
        other => lost(format!("the connection failed: {}", without_quoted(&other.to_string()))),
    }
}

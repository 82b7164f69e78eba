//! Connections and their answers.
use crate::answer::answer_of;
use crate::config::{PostgresKeys, PostgresSinkConfig, SslMode};
use crate::dialect::POSTGRES;
use crate::tls::client_config;
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_config::{ConfigValue, Millis, Secret};
use elasticflow_sql::session::TextRow;
use elasticflow_sql::source::config::SourceKeys;
use elasticflow_sql::url::Url;
use elasticflow_sql::{Database, Dialect, Session, SqlError, Trouble};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode as Wire;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

const DEFAULT_PORT: u16 = 5432;
/// Longest message that the engine is told it may send; the server's own limit is 1 GiB.
const STATEMENT_BYTES_MAX: usize = 512 << 20;
/// How long a transaction waits for a lock, and how long a stopped owner may keep its own, in milliseconds.
const LOCK_WAIT_MS: u32 = 20_000;
const IDLE_IN_TRANSACTION_MS: u32 = 60_000;

/// What a connection needs of a connector's settings.
pub(crate) struct Access {
    url: String,
    user: Option<String>,
    password: Option<Secret>,
    connect_timeout: Millis,
    statement_timeout: Millis,
    own: PostgresKeys,
}

impl Access {
    pub(crate) fn of_sink(config: &PostgresSinkConfig) -> Self {
        let keys = &config.keys;
        Self {
            url: keys.url.clone(),
            user: keys.user.clone(),
            password: keys.password.clone(),
            connect_timeout: keys.connect_timeout,
            statement_timeout: keys.statement_timeout,
            own: config.own.clone(),
        }
    }

    pub(crate) fn of_source(keys: &SourceKeys, own: &PostgresKeys) -> Self {
        Self {
            url: keys.url.clone(),
            user: keys.user.clone(),
            password: keys.password.clone(),
            connect_timeout: keys.connect_timeout,
            statement_timeout: keys.statement_timeout,
            own: own.clone(),
        }
    }
}

/// Where and how to connect.
pub(crate) struct PostgresDatabase {
    access: Access,
    url: Url,
    mode: SslMode,
}

impl PostgresDatabase {
    /// From settings; connects later. The error says what is wrong with `connection.url`.
    pub(crate) fn new(access: Access) -> Result<Self, String> {
        let url = Url::parse(&access.url)?;
        if !matches!(url.scheme.as_str(), "postgresql" | "postgres") {
            return Err("is not of PostgreSQL; it begins with jdbc:postgresql://".to_owned());
        }
        let mode = match (access.own.ssl_mode, url.parameter("sslmode")) {
            (Some(mode), _) => mode,
            (None, Some(word)) => SslMode::read(word).map_err(|e| format!("has a parameter sslmode: {e}"))?,
            (None, None) => SslMode::Prefer,
        };
        Ok(Self { access, url, mode })
    }

    fn options(&self) -> Config {
        let keys = &self.access;
        let mut options = Config::new();
        for (host, port) in &self.url.hosts {
            options.host(host).port(port.unwrap_or(DEFAULT_PORT));
        }
        let from_url = |name| self.url.parameter(name).map(str::to_owned);
        if let Some(user) = keys.user.clone().or_else(|| self.url.user.clone()).or_else(|| from_url("user")) {
            options.user(user);
        }
        let password = keys.password.as_ref().map(|p| p.expose().to_owned());
        if let Some(password) = password.or_else(|| self.url.password.clone()).or_else(|| from_url("password")) {
            options.password(password);
        }
        if let Some(database) = &self.url.database {
            options.dbname(database);
        }
        options.application_name("elasticflow").keepalives_idle(Duration::from_secs(30));
        options.connect_timeout(limit(keys.connect_timeout));
        options.ssl_mode(match self.mode {
            SslMode::Disable => Wire::Disable,
            SslMode::Prefer => Wire::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Wire::Require,
        });
        options
    }

    fn address(&self) -> String {
        let (host, port) = self.url.first_host(DEFAULT_PORT);
        format!("{host}:{port}")
    }

    async fn dial(&self) -> Result<PostgresSession, SqlError> {
        let tls = client_config(&self.access.own, self.mode).map_err(|text| SqlError {
            trouble: Trouble::Config,
            code: String::new(),
            text,
        })?;
        let options = self.options();
        let connecting = options.connect(MakeRustlsConnect::new(tls));
        let (client, connection) = tokio::time::timeout(limit(self.access.connect_timeout), connecting)
            .await
            .map_err(|_| lost("no answer within connection.timeout.ms".to_owned()))?
            .map_err(|e| answer(&e))?;
        // Ends with the client: its errors reach whoever waits for an answer.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(PostgresSession { client, driver, within: limit(self.access.statement_timeout) })
    }

    fn setup(&self) -> String {
        let mut setup = format!(
            "SET standard_conforming_strings = on; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
             SET bytea_output = 'hex'; SET lock_timeout = {LOCK_WAIT_MS}; \
             SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}; \
             SET client_min_messages = warning; SET statement_timeout = {}",
            self.access.statement_timeout.0
        );
        if let Some(schema) = self.url.parameter("currentSchema") {
            let this: &dyn Dialect = &POSTGRES;
            let path: Vec<String> = schema.split(',').map(|s| this.quoted(s.trim())).collect();
            setup.push_str(&format!("; SET search_path = {}", path.join(", ")));
        }
        setup
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    fn dialect(&self) -> &'static dyn Dialect {
        &POSTGRES
    }

    async fn connect(&self) -> Result<Box<dyn Session>, SqlError> {
        let connected = async {
            let mut session = self.dial().await?;
            session.execute(&self.setup()).await?;
            Ok(session)
        };
        let refused = |e: SqlError| SqlError { text: format!("cannot connect to {}: {}", self.address(), e.text), ..e };
        Ok(Box::new(connected.await.map_err(refused)?))
    }
}

/// A zero is no limit.
fn limit(of: Millis) -> Duration {
    const NO_LIMIT: Duration = Duration::from_secs(86_400 * 365);
    if of.0 == 0 { NO_LIMIT } else { of.duration() }
}

/// A connection.
struct PostgresSession {
    client: Client,
    driver: JoinHandle<()>,
    within: Duration,
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl PostgresSession {
    async fn simple(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, SqlError> {
        match tokio::time::timeout(self.within, self.client.simple_query(sql)).await {
            Ok(outcome) => outcome.map_err(|e| answer(&e)),
            Err(_) => Err(lost("no answer within socket.timeout.ms".to_owned())),
        }
    }
}

#[async_trait]
impl Session for PostgresSession {
    async fn execute(&mut self, sql: &str) -> Result<u64, SqlError> {
        let messages = self.simple(sql).await?;
        let count = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::CommandComplete(count) => *count,
            _ => 0,
        };
        Ok(messages.iter().map(count).sum())
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<TextRow>, SqlError> {
        let messages = self.simple(sql).await?;
        let row = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(|t| Bytes::copy_from_slice(t.as_bytes()))).collect())
            }
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    fn statement_bytes_max(&self) -> usize {
        STATEMENT_BYTES_MAX
    }

    async fn close(self: Box<Self>) {}
}

fn lost(text: String) -> SqlError {
    SqlError { trouble: Trouble::Lost, code: String::new(), text }
}

/// An error of the client as an answer.
fn answer(error: &tokio_postgres::Error) -> SqlError {
    match error.as_db_error() {
        Some(error) => answer_of(error),
        None => {
            let cause = std::error::Error::source(error).map(|s| format!(": {s}")).unwrap_or_default();
            lost(format!("the connection failed: {error}{cause}"))
        }
    }
}

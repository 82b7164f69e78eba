//! A schema of its own in a test database, for sinks.
use crate::mysql::Database;
use crate::servers::setting;
use anyhow::{Context, Result};
use mysql_async::prelude::Queryable;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// MySQL.
    Mysql,
    /// PostgreSQL.
    Postgresql,
}

impl System {
    /// Variable that holds its address.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Mysql => "EF_MYSQL",
            Self::Postgresql => "EF_POSTGRESQL",
        }
    }
}

/// A schema that is created and dropped by a proof.
#[derive(Debug, Clone)]
pub struct Tables {
    system: System,
    account: Database,
    schema: String,
}

impl Tables {
    /// Creates the schema.
    ///
    /// # Errors
    /// The server is missing or refuses.
    pub async fn create(system: System, schema: &str) -> Result<Self> {
        let tables = Self { system, account: Database::of(system.variable())?, schema: schema.to_owned() };
        match system {
            System::Mysql => tables.account.run(&[&format!("CREATE DATABASE {schema}")]).await?,
            System::Postgresql => drop(tables.simple("public", &format!("CREATE SCHEMA {schema}")).await?),
        }
        Ok(tables)
    }

    /// Drops it.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn drop_all(&self) -> Result<()> {
        match self.system {
            System::Mysql => self.account.run(&[&format!("DROP DATABASE {}", self.schema)]).await,
            System::Postgresql => {
                self.simple("public", &format!("DROP SCHEMA {} CASCADE", self.schema)).await.map(drop)
            }
        }
    }

    /// `connection.url` of a sink.
    pub fn url(&self) -> String {
        let Database { host, port, .. } = &self.account;
        match self.system {
            System::Mysql => format!("jdbc:mysql://{host}:{port}/{}", self.schema),
            System::Postgresql => format!("jdbc:postgresql://{host}:{port}/postgres?currentSchema={}", self.schema),
        }
    }

    /// User and password of the test account.
    pub fn account(&self) -> (&str, &str) {
        (&self.account.user, &self.account.password)
    }

    /// Runs a query of numbers; the first row, nothing when a table is not there yet.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn numbers(&self, sql: &str) -> Result<Option<Vec<i64>>> {
        Ok(self.all_numbers(sql).await?.into_iter().next())
    }

    /// Runs a query of numbers; no rows when a table is not there yet.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn all_numbers(&self, sql: &str) -> Result<Vec<Vec<i64>>> {
        let number = |text: &str| text.parse::<i64>().context("a number was expected");
        match self.system {
            System::Mysql => {
                let mut conn = self.account.connect().await?;
                conn.query_drop(format!("USE {}", self.schema)).await?;
                let rows: Vec<mysql_async::Row> = match conn.query(sql).await {
                    Err(mysql_async::Error::Server(e)) if e.code == 1146 => Vec::new(),
                    other => other?,
                };
                let value = |value| number(&mysql_async::from_value::<String>(value));
                rows.into_iter().map(|row| row.unwrap().into_iter().map(value).collect()).collect()
            }
            System::Postgresql => {
                let messages = self.simple(&self.schema, sql).await;
                let messages = match messages {
                    Err(error) if is_no_table(&error) => return Ok(Vec::new()),
                    other => other?,
                };
                let rows =
                    messages.iter().filter_map(|m| if let SimpleQueryMessage::Row(row) = m { Some(row) } else { None });
                let cells = |row: &tokio_postgres::SimpleQueryRow| {
                    (0..row.len()).map(|at| number(row.get(at).unwrap_or_default())).collect()
                };
                rows.map(cells).collect()
            }
        }
    }

    /// Names of the tables that are like a pattern.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn names(&self, like: &str) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '{}' AND table_name LIKE '{like}' ORDER BY 1",
            self.schema
        );
        match self.system {
            System::Mysql => Ok(self.account.connect().await?.query(sql).await?),
            System::Postgresql => {
                let messages = self.simple(&self.schema, &sql).await?;
                let name = |message: &SimpleQueryMessage| match message {
                    SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                    _ => None,
                };
                Ok(messages.iter().filter_map(name).collect())
            }
        }
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn run(&self, sql: &str) -> Result<()> {
        match self.system {
            System::Mysql => self.account.run(&[&format!("USE {}", self.schema), sql]).await,
            System::Postgresql => self.simple(&self.schema, sql).await.map(drop),
        }
    }

    /// Runs a statement of PostgreSQL in a transaction that lasts as long as what is answered.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn hold(&self, sql: &str) -> Result<Held> {
        let (client, connection) = self.config().connect(NoTls).await.context("cannot connect to the test database")?;
        let driver = tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path = {}; BEGIN; {sql}", self.schema)).await?;
        Ok(Held { _client: client, driver })
    }

    fn config(&self) -> Config {
        let Database { host, port, user, password } = &self.account;
        let mut config = Config::new();
        config.host(host).port(*port).user(user).password(password).dbname("postgres");
        config
    }

    async fn simple(&self, schema: &str, sql: &str) -> Result<Vec<SimpleQueryMessage>> {
        let (client, connection) = self.config().connect(NoTls).await.context("cannot connect to the test database")?;
        let driver = tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path = {schema}")).await?;
        let answer = client.simple_query(sql).await;
        driver.abort();
        Ok(answer?)
    }
}

/// An open transaction; ended with the value.
pub struct Held {
    _client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Whether the server of a system runs.
pub fn runs(system: System) -> bool {
    setting(system.variable()).is_ok()
}

/// Whether PostgreSQL has no table of the name.
fn is_no_table(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<tokio_postgres::Error>();
    cause.is_some_and(|cause| cause.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE))
}

//! A client of the test databases.
use crate::servers::setting;
use anyhow::{Context, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

/// An account of a test database.
#[derive(Debug, Clone)]
pub struct Database {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password of the test account.
    pub password: String,
}

impl Database {
    /// The database of `EF_MYSQL` or `EF_MARIADB`.
    ///
    /// # Errors
    /// It does not run.
    pub fn of(variable: &str) -> Result<Self> {
        Self::account(variable, variable)
    }

    /// The same server with the account that may grant and revoke rights.
    ///
    /// # Errors
    /// It does not run.
    pub fn root_of(variable: &str) -> Result<Self> {
        Self::account(variable, &format!("{variable}_ROOT"))
    }

    fn account(variable: &str, account: &str) -> Result<Self> {
        let address = setting(variable)?;
        let (host, port) = address.split_once(':').with_context(|| format!("{variable} is not host:port"))?;
        Ok(Self {
            host: host.to_owned(),
            port: port.parse()?,
            user: setting(&format!("{account}_USER"))?,
            password: setting(&format!("{account}_PASSWORD"))?,
        })
    }

    /// Connects.
    ///
    /// # Errors
    /// The server refuses or does not answer.
    pub async fn connect(&self) -> Result<Conn> {
        let opts = OptsBuilder::default()
            .ip_or_hostname(self.host.clone())
            .tcp_port(self.port)
            .user(Some(self.user.clone()))
            .pass(Some(self.password.clone()))
            .prefer_socket(false);
        Conn::new(Opts::from(opts)).await.context("cannot connect to the test database")
    }

    /// Runs statements one after the other.
    ///
    /// # Errors
    /// The first one that fails.
    pub async fn run(&self, statements: &[&str]) -> Result<()> {
        let mut connection = self.connect().await?;
        for statement in statements {
            connection.query_drop(*statement).await.with_context(|| (*statement).to_owned())?;
        }
        connection.disconnect().await?;
        Ok(())
    }
}

//! Branches at the server: sessions for them, their list, and how they end.
use super::name::name_of;
use super::units::Units;
use crate::branches::Branches;
use crate::error::{Error, SqlError, Trouble};
use crate::session::{Database, Session};
use elasticflow_api::position::UnitId;
use elasticflow_api::sink::Committed;
use std::sync::Arc;

/// A server that keeps branches.
pub(super) struct Server {
    pub(super) database: Arc<dyn Database>,
    pub(super) branches: &'static dyn Branches,
    pub(super) units: Units,
}

/// How a try to end a branch went.
enum Ending {
    Done,
    /// There is none, or another session has it.
    Absent(Box<dyn Session>),
}

impl Server {
    pub(super) fn new(database: Arc<dyn Database>, branches: &'static dyn Branches, offset_table: &str) -> Self {
        let units = Units::new(database.dialect(), branches, offset_table);
        Self { database, branches, units }
    }

    /// A session that ends soon when this process is frozen.
    pub(super) async fn session(&self) -> Result<Box<dyn Session>, Error> {
        let mut session = self.database.connect().await.map_err(Error::at("connecting"))?;
        session.execute(self.branches.limit_session()).await.map_err(Error::at("limiting a session"))?;
        Ok(session)
    }

    /// Names of prepared branches that may be of this product.
    pub(super) async fn listed(&self, session: &mut dyn Session) -> Result<Vec<String>, Error> {
        let rows = session.rows(self.branches.list()).await.map_err(Error::at("listing prepared branches"))?;
        Ok(rows.iter().filter_map(|row| self.branches.name_in(row)).collect())
    }

    /// Commits a unit, in the session that holds it where there is one. `None`: it is neither prepared nor committed.
    pub(super) async fn committed(
        &self,
        held: Option<Box<dyn Session>>,
        unit: &UnitId,
    ) -> Result<Option<Committed>, Error> {
        let name = name_of(unit);
        let doing = "committing a branch";
        let mut session = match self.end(held, &self.branches.commit(&name), doing).await? {
            Ending::Done => return Ok(Some(Committed::Now)),
            Ending::Absent(session) => session,
        };
        // In this order: what is committed in between is not listed, and then found.
        let is_held = self.is_listed(session.as_mut(), &name).await?;
        let was_committed = self.units.holds(session.as_mut(), &name).await?;
        session.close().await;
        match (was_committed, is_held) {
            (true, _) => Ok(Some(Committed::Before)),
            (false, true) => Err(held_elsewhere(doing)),
            (false, false) => Ok(None),
        }
    }

    /// Rolls a unit back, in the session that holds it where there is one.
    pub(super) async fn rolled_back(&self, held: Option<Box<dyn Session>>, unit: &UnitId) -> Result<(), Error> {
        let name = name_of(unit);
        let doing = "rolling a branch back";
        match self.end(held, &self.branches.roll_back(&name), doing).await? {
            Ending::Done => Ok(()),
            Ending::Absent(mut session) => match self.is_listed(session.as_mut(), &name).await? {
                true => Err(held_elsewhere(doing)),
                false => Ok(()),
            },
        }
    }

    async fn end(&self, held: Option<Box<dyn Session>>, statement: &str, doing: &'static str) -> Result<Ending, Error> {
        let mut session = match held {
            Some(session) => session,
            None => self.session().await?,
        };
        match session.execute(statement).await {
            Ok(_) => {
                session.close().await;
                Ok(Ending::Done)
            }
            Err(answer) if self.branches.is_absent(&answer) => Ok(Ending::Absent(session)),
            Err(answer) => Err(Error::at(doing)(answer)),
        }
    }

    async fn is_listed(&self, session: &mut dyn Session, name: &str) -> Result<bool, Error> {
        Ok(self.listed(session).await?.iter().any(|listed| listed == name))
    }
}

fn held_elsewhere(doing: &'static str) -> Error {
    let text = "another session still holds the branch; the server ends that one when it has been silent for a while";
    Error::at(doing)(SqlError { trouble: Trouble::Passing, code: String::new(), text: text.to_owned() })
}

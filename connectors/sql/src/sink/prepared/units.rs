//! The table of units: a row with its name is written in each branch, and is there once the branch is committed.
use super::name::name_of;
use crate::branches::Branches;
use crate::dialect::Dialect;
use crate::error::{Error, Trouble};
use crate::session::Session;
use crate::table::TableName;
use elasticflow_api::position::{CommitEpoch, OwnerEpoch, UnitId};

/// The table; it stands in the schema of the offset table.
const TABLE: &str = "elasticflow_units";

/// Names of so many units of an owner stay: all before them are forgotten in Kafka for long, and nobody asks for them.
const KEPT: u64 = 100;

/// Access to the table.
pub(super) struct Units {
    dialect: &'static dyn Dialect,
    branches: &'static dyn Branches,
    quoted: String,
}

impl Units {
    pub(super) fn new(dialect: &'static dyn Dialect, branches: &'static dyn Branches, offset_table: &str) -> Self {
        let schema = TableName::parse(offset_table).schema;
        let quoted = TableName { schema, table: TABLE.to_owned() }.quoted(dialect);
        Self { dialect, branches, quoted }
    }

    /// Creates the table where it is missing.
    pub(super) async fn create(&self, session: &mut dyn Session) -> Result<(), Error> {
        let there = session.rows(&format!("SELECT COUNT(*) FROM {} WHERE unit_name = ''", self.quoted)).await;
        if there.is_ok() {
            return Ok(());
        }
        let ddl = self.branches.units_ddl(&self.quoted);
        let Err(answer) = session.execute(&ddl).await else { return Ok(()) };
        Err(match answer.trouble {
            Trouble::Config | Trouble::Structure => Error::Config {
                code: "SQL-0050",
                text: format!(
                    "table {} does not exist and cannot be created ({}); create it with: {ddl}",
                    self.quoted, answer.text
                ),
            },
            _ => Error::Database { doing: format!("creating table {}", self.quoted), answer },
        })
    }

    /// Writes the name of a unit, inside its branch, and from time to time removes names that nobody asks for any more.
    pub(super) async fn note(&self, session: &mut dyn Session, unit: &UnitId) -> Result<(), Error> {
        let literal = |text: &str| self.dialect.text_literal(text);
        let insert = format!(
            "INSERT INTO {} (unit_name, connector, written_at) VALUES ({}, {}, {})",
            self.quoted,
            literal(&name_of(unit)),
            literal(&unit.connector),
            self.dialect.now()
        );
        session.execute(&insert).await.map_err(Error::at("writing the name of a unit"))?;
        if !unit.commit.0.is_multiple_of(KEPT) {
            return Ok(());
        }
        let from = name_of(&UnitId { owner: OwnerEpoch(0), commit: CommitEpoch(0), ..unit.clone() });
        let below = name_of(&UnitId { commit: CommitEpoch(unit.commit.0 - KEPT), ..unit.clone() });
        let delete = format!(
            "DELETE FROM {} WHERE unit_name >= {} AND unit_name < {}",
            self.quoted,
            literal(&from),
            literal(&below)
        );
        session.execute(&delete).await.map(drop).map_err(Error::at("removing names of old units"))
    }

    /// Whether a unit was committed.
    pub(super) async fn holds(&self, session: &mut dyn Session, name: &str) -> Result<bool, Error> {
        let select = format!("SELECT 1 FROM {} WHERE unit_name = {}", self.quoted, self.dialect.text_literal(name));
        let rows = session.rows(&select).await.map_err(Error::at("looking for the name of a unit"))?;
        Ok(!rows.is_empty())
    }
}

//! The changes: single-row transactions of inserts, updates and deletes, each with a number of its own.
use crate::Scene;
use anyhow::Result;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Pause after a transaction: some hundred transactions a second.
const PAUSE: Duration = Duration::from_millis(2);
/// Rows of one INSERT of the first filling.
const ROWS_A_STATEMENT: u64 = 1000;
/// Seed of the choice between inserts, updates and deletes.
const SEED: u64 = 42;

/// What was committed, and when.
#[derive(Default)]
pub(crate) struct Commits {
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
    /// Time of the commit by the change's number; deletes leave no document and are not in it.
    pub(crate) at: HashMap<u64, Instant>,
}

/// A running load.
pub(crate) struct Load {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<Commits>>,
}

/// Creates and fills the table.
pub(crate) async fn create(scene: &Scene, rows: u64) -> Result<()> {
    let schema = &scene.schema;
    let table = format!(
        "CREATE TABLE {schema}.customers (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, city VARCHAR(40), \
         balance DECIMAL(12,2) NOT NULL, change_no BIGINT NOT NULL) CHARACTER SET utf8mb4"
    );
    scene.database.run(&[&format!("CREATE DATABASE {schema}"), &table]).await?;
    let mut connection = scene.database.connect().await?;
    for first in (1..=rows).step_by(usize::try_from(ROWS_A_STATEMENT)?) {
        let last = (first + ROWS_A_STATEMENT - 1).min(rows);
        let values: Vec<String> = (first..=last).map(|id| row(id, 0)).collect();
        connection.query_drop(format!("INSERT INTO {schema}.customers VALUES {}", values.join(","))).await?;
    }
    connection.disconnect().await?;
    Ok(())
}

fn row(id: u64, change: u64) -> String {
    let city = if id.is_multiple_of(7) { "NULL".to_owned() } else { format!("'Zürich {}'", id % 100) };
    format!("({id}, 'customer \"{id}\"', {city}, {}.{:02}, {change})", id % 10_000, id % 100)
}

impl Load {
    /// Begins to change rows.
    pub(crate) async fn start(scene: &Scene, rows: u64) -> Result<Self> {
        let mut connection = scene.database.connect().await?;
        let schema = scene.schema.clone();
        let ids: Vec<u64> = connection.query(format!("SELECT id FROM {schema}.customers")).await?;
        let first_change: Option<u64> =
            connection.query_first(format!("SELECT MAX(change_no) FROM {schema}.customers")).await?.flatten();
        let mut state = State {
            schema,
            ids: ids.into_iter().collect(),
            next_change: first_change.unwrap_or(0) + 1,
            random: SmallRng::seed_from_u64(SEED),
            commits: Commits::default(),
        };
        state.ids.insert(rows);
        let (stop, mut stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            while stopped.try_recv().is_err() {
                state.change(&mut connection).await?;
                tokio::time::sleep(PAUSE).await;
            }
            connection.disconnect().await?;
            Ok(state.commits)
        });
        Ok(Self { stop, running })
    }

    /// Ends it; what it committed.
    pub(crate) async fn stop(self) -> Result<Commits> {
        let _ = self.stop.send(());
        self.running.await?
    }
}

struct State {
    schema: String,
    ids: BTreeSet<u64>,
    next_change: u64,
    random: SmallRng,
    commits: Commits,
}

impl State {
    async fn change(&mut self, connection: &mut Conn) -> Result<()> {
        let change = self.next_change;
        self.next_change += 1;
        let schema = self.schema.clone();
        match self.random.random_range(0..10) {
            0..3 => {
                let id = self.ids.last().copied().unwrap_or(0) + 1;
                connection.query_drop(format!("INSERT INTO {schema}.customers VALUES {}", row(id, change))).await?;
                self.ids.insert(id);
                self.commits.inserts += 1;
            }
            3..8 => {
                let Some(id) = self.some_id() else { return Ok(()) };
                let update = format!(
                    "UPDATE {schema}.customers SET balance = balance + 1.25, change_no = {change} WHERE id = {id}"
                );
                connection.query_drop(update).await?;
                self.commits.updates += 1;
            }
            _ => {
                let Some(id) = self.some_id() else { return Ok(()) };
                connection.query_drop(format!("DELETE FROM {schema}.customers WHERE id = {id}")).await?;
                self.ids.remove(&id);
                self.commits.deletes += 1;
                return Ok(());
            }
        }
        self.commits.at.insert(change, Instant::now());
        Ok(())
    }

    fn some_id(&mut self) -> Option<u64> {
        let last = self.ids.last().copied()?;
        let from = self.random.random_range(0..=last);
        self.ids.range(from..).next().copied()
    }
}

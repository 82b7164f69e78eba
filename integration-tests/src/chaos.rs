//! Kills of a worker: at random moments, and at named points of its code.
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Context, Result, bail};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// A task that does not run again by then never will.
pub const RUNNING_AGAIN_MAX: Duration = Duration::from_secs(60);
/// A point that is not reached by then lies on no path of the load.
const POINT_MAX: Duration = Duration::from_secs(90);
/// One kill in so many does not wait for the connector to run: it hits the start.
const KILL_AT_START: u32 = 5;
/// Environment variable that arms points.
const FAILPOINTS: &str = "ELASTICFLOW_FAILPOINTS";

/// A series of kills.
#[derive(Debug, Clone)]
pub struct Kills {
    /// How many.
    pub count: u32,
    /// Longest time from RUNNING to a kill, in milliseconds.
    pub within_ms: u64,
    /// Start of the random numbers; printed by who uses it.
    pub seed: u64,
}

/// How a series went.
#[derive(Debug, Default)]
pub struct Toll {
    /// From the start of the process to RUNNING, of every start that was let run.
    pub running_again: Vec<Duration>,
    /// Kills of a process that was still starting.
    pub at_start: u32,
}

impl Toll {
    /// The value below which a share of the starts lie.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.running_again.clone();
        times.sort();
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl Kills {
    /// Kills the worker with -9 again and again; it runs at the end.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn run(&self, mut worker: Worker, connector: &str, mut each: impl FnMut(u32)) -> Result<(Worker, Toll)> {
        let (mut random, mut toll) = (SmallRng::seed_from_u64(self.seed), Toll::default());
        for kill in 1..=self.count {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..=self.within_ms))).await;
            let mut options = worker.kill()?;
            while random.random_ratio(1, KILL_AT_START) {
                let starting = Worker::spawn(options)?;
                tokio::time::sleep(Duration::from_millis(random.random_range(0..=400))).await;
                options = starting.kill()?;
                toll.at_start += 1;
            }
            worker = restart(options, connector, &mut toll).await.with_context(|| format!("after kill {kill}"))?;
            each(kill);
        }
        Ok((worker, toll))
    }
}

async fn restart(options: WorkerOptions, connector: &str, toll: &mut Toll) -> Result<Worker> {
    let began = Instant::now();
    let worker = Worker::start(options).await?;
    let running = worker.rest().await_running(connector, RUNNING_AGAIN_MAX).await;
    running.with_context(|| worker.log_tail())?;
    toll.running_again.push(began.elapsed());
    Ok(worker)
}

/// Ends the worker at one point after the other, each time at the given hit; it runs at the end.
///
/// Nobody waits in between: a process that goes on from one point ends at the next.
///
/// # Errors
/// A point is not reached, or the worker does not come back.
pub async fn kill_at_each(worker: Worker, connector: &str, points: &[(&str, u32)]) -> Result<Worker> {
    let mut options = worker.kill()?;
    for (point, hit) in points {
        options = end_at(options, point, *hit).await?;
    }
    let last = points.last().map_or("none", |(point, _)| point);
    restart(options, connector, &mut Toll::default()).await.with_context(|| format!("after point {last}"))
}

/// Starts the worker with a point armed and waits until it has ended there.
async fn end_at(mut options: WorkerOptions, point: &str, hit: u32) -> Result<WorkerOptions> {
    options.env.insert(FAILPOINTS.to_owned(), format!("{point}=kill@{hit}"));
    let mut armed = Worker::spawn(options)?;
    let began = Instant::now();
    while !armed.has_ended()? {
        if began.elapsed() > POINT_MAX {
            bail!(
                "point {point} was not reached {hit} times; is the binary built with `--features failpoints`?\n{}",
                armed.log_tail()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut options = armed.kill()?;
    options.env.remove(FAILPOINTS);
    Ok(options)
}

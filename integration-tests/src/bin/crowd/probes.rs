//! How long it takes until a new connector runs, and until a status is answered.
use crate::fleet::{Fleet, name};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Pause between two looks at a status.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates connectors one after the other, through the workers in turn; from the request until the same worker shows the
/// task as RUNNING. Each is deleted before the next one.
pub(crate) async fn starts(fleet: &Fleet, count: usize) -> Result<Vec<Duration>> {
    let (config, mut times) = (fleet.config(), Vec::new());
    for number in 0..count {
        let (client, name) = (fleet.client(number), format!("probe-{number}"));
        let began = Instant::now();
        client.create(&name, &config).await?;
        loop {
            let state = client.state(&name).await?;
            if state.as_deref() == Some("RUNNING") {
                break;
            }
            ensure!(began.elapsed() < PATIENCE, "{name} does not run after {PATIENCE:?}: {state:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        times.push(began.elapsed());
        client.ask("DELETE", &format!("/connectors/{name}"), None).await?;
    }
    Ok(times)
}

/// Reads statuses of connectors all over, from the workers in turn.
pub(crate) async fn reads(fleet: &Fleet, count: usize, connectors: usize) -> Result<Vec<Duration>> {
    let (clients, mut times) = (fleet.clients(), Vec::new());
    for number in 0..count {
        let (client, name) = (&clients[number % clients.len()], name(number * 7919 % connectors));
        let began = Instant::now();
        client.ask("GET", &format!("/connectors/{name}/status"), None).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

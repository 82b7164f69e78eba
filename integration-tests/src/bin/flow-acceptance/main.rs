//! Bars of elastic flow that are about time, measured on a real Kafka and a real MySQL with three workers, whose leader is
//! killed in the middle; prints what was measured beside its bar. A machine that does other things misses them: tests
//! assert what must hold on any.
//!
//! Usage: `flow-acceptance [throttle] [neighbours] [overhead]`; without names, all.
mod figures;
mod ground;
mod neighbours;
mod overhead;
mod throttle;

use anyhow::{Result, bail};
use figures::Figures;
use std::io::Write;
use std::process::ExitCode;

const SCENARIOS: [&str; 3] = ["throttle", "neighbours", "overhead"];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            say(&format!("{missed} bars were missed"));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A line on standard output; a closed output is no failure.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

async fn run() -> Result<usize> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names.iter().find(|name| !SCENARIOS.contains(&name.as_str())) {
        bail!("unknown scenario {unknown}; known: {}", SCENARIOS.join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|known| known == name);
    let mut figures = Figures::default();
    if wanted("throttle") {
        throttle::measure(&mut figures).await?;
    }
    if wanted("neighbours") {
        neighbours::measure(&mut figures).await?;
    }
    if wanted("overhead") {
        overhead::measure(&mut figures).await?;
    }
    figures.finish()
}

//! What the program is told.
use anyhow::{Context, Result, bail};
use elasticflow_integration_tests::scenes::run_number;

/// Sources first.
pub(crate) const SCENES: [&str; 8] =
    ["datagen", "mysql", "files", "sqlite", "mysql-sink", "postgresql-sink", "xa", "elasticsearch"];

/// Arguments of the program.
pub(crate) struct Arguments {
    /// Which proofs.
    pub(crate) scenes: Vec<String>,
    /// Kills at random moments, of each.
    pub(crate) kills: u32,
    /// How often a sink is ended at each of its steps.
    pub(crate) rounds: u32,
    /// Start of the random numbers.
    pub(crate) seed: u64,
}

impl Arguments {
    /// Reads those of the process.
    ///
    /// # Errors
    /// One of them is not known, or no number.
    pub(crate) fn read() -> Result<Self> {
        let mut found = Self { scenes: Vec::new(), kills: 200, rounds: 60, seed: run_number() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number =
                || words.next().with_context(|| format!("{word} needs a number"))?.parse().map_err(anyhow::Error::from);
            match word.as_str() {
                "--kills" => found.kills = u32::try_from(number()?)?,
                "--rounds" => found.rounds = u32::try_from(number()?)?,
                "--seed" => found.seed = number()?,
                scene if SCENES.contains(&scene) => found.scenes.push(word),
                _ => bail!("usage: chaos [{}]... [--kills N] [--rounds N] [--seed N]", SCENES.join("|")),
            }
        }
        if found.scenes.is_empty() {
            found.scenes = SCENES.map(str::to_owned).to_vec();
        }
        Ok(found)
    }
}

//! Where the real servers are, from the environment that `scripts/services env` prints.
use anyhow::{Context, Result};
use std::process::Command;

/// The value of a variable such as `EF_KAFKA`; asks `scripts/services env` when the environment has none.
///
/// # Errors
/// Neither has it: the text names the command that starts the server.
pub fn setting(name: &str) -> Result<String> {
    if let Ok(value) = std::env::var(name) {
        return Ok(value);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");
    let output = Command::new(script).arg("env").output().context("cannot run scripts/services env")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.map(str::to_owned).with_context(|| {
        let service = name.trim_start_matches("EF_").split('_').next().unwrap_or_default().to_lowercase();
        format!("{name} is not set and the server does not run; start it with `scripts/services up {service}`")
    })
}

/// Whether a suite that needs a server can run; a suite that cannot says so.
pub fn has(name: &str) -> bool {
    setting(name).is_ok()
}

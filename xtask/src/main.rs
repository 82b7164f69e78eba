//! Developer command: `cargo x <command>`.
//!
//! Checks that no compiler makes: the layers of the workspace, sizes of files and functions, drift of generated docs.
mod docs;
mod layers;
mod sizes;

use anyhow::{Result, bail};
use std::io::Write;
use std::path::{Path, PathBuf};

const HELP: &str = "cargo x layers          dependencies point up the house plan only
cargo x sizes           files and functions that are longer than they should be
cargo x docs [--check]  option tables of docs/connectors from the declared settings
";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["layers"] => layers::check(&root()?),
        ["sizes"] => sizes::check(&root()?),
        ["docs"] => docs::generate(&root()?, docs::Mode::Write),
        ["docs", "--check"] => docs::generate(&root()?, docs::Mode::Check),
        [] | ["help" | "--help"] => say(HELP),
        other => bail!("unknown command `{}`; commands are:\n{HELP}", other.join(" ")),
    }
}

/// The workspace's folder.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_path_buf).ok_or_else(|| anyhow::anyhow!("xtask has no parent folder"))
}

/// Prints to standard output.
fn say(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

//! `apply`: makes connectors what files say, and touches nothing that is so already.
//!
//! A connector that is not named by any file is left alone. A configuration is compared key by key with what the worker
//! shows; a value that the worker hides, because it is a secret, differs from what a file says and is sent again.
use super::connection::{Connection, Refused, segment};
use super::{create_request, done_to, warn};
use crate::cli::ApplyArgs;
use crate::connector_file::ConnectorFile;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is to be done about one connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Change,
    Keep,
}

/// Applies every file.
///
/// # Errors
/// A file is no configuration, in which case nothing has been done; or the worker refuses.
pub(super) async fn run(args: &ApplyArgs) -> Result<()> {
    let mut files: BTreeMap<String, ConnectorFile> = BTreeMap::new();
    for path in all_files(&args.paths)? {
        let file = ConnectorFile::read(&path)?;
        let name = file.name().with_context(|| path.display().to_string())?.to_owned();
        if files.insert(name.clone(), file).is_some() {
            bail!("{}: another file names the connector {name} too", path.display());
        }
    }
    let connection = Connection::open(&args.connection)?;
    for (name, file) in &files {
        let step = step(&connection, name, file).await?;
        if !args.dry_run {
            carry_out(&connection, name, file, step).await.with_context(|| name.clone())?;
        }
        let done = match (step, args.dry_run) {
            (Step::Create, false) => "created",
            (Step::Change, false) => "changed",
            (Step::Keep, _) => "unchanged",
            (Step::Create, true) => "would be created",
            (Step::Change, true) => "would be changed",
        };
        done_to(args.connection.output, name, done);
    }
    Ok(())
}

fn all_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let found = entries.collect::<std::io::Result<Vec<_>>>()?;
        files.extend(found.into_iter().map(|entry| entry.path()).filter(|path| is_configuration(path)));
    }
    files.sort();
    Ok(files)
}

fn is_configuration(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|e| e == "json" || e == "properties")
}

async fn step(connection: &Connection, name: &str, file: &ConnectorFile) -> Result<Step> {
    let stored = connection.ask("GET", &format!("/connectors/{}/config", segment(name)), None).await;
    match stored {
        Ok(stored) => Ok(compare(&stored, file)),
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|r| r.status == 404) => Ok(Step::Create),
        Err(error) => Err(error),
    }
}

fn compare(stored: &Value, file: &ConnectorFile) -> Step {
    if file.nulls.is_empty() && *stored == json!(file.config) { Step::Keep } else { Step::Change }
}

async fn carry_out(connection: &Connection, name: &str, file: &ConnectorFile, step: Step) -> Result<()> {
    let request = create_request(file)?;
    match step {
        Step::Keep => {}
        Step::Create => warn(&connection.ask("POST", "/connectors", Some(&request)).await?),
        Step::Change => {
            let path = format!("/connectors/{}/config", segment(name));
            warn(&connection.ask("PUT", &path, Some(&request["config"])).await?);
        }
    }
    Ok(())
}

//! Directories of a task below `.elasticflow`, and what may be removed from them.
//!
//! `<output.path>/.elasticflow/<group>/<connector>/<task>/` holds `open-*` (parts being written; its owner holds the
//! directory's lock as long as it lives), `<owner epoch>/<commit epoch>/` (a prepared unit: it gets this name by one rename
//! after everything in it is durable, so a directory of this form without a manifest is what a removal left) and `done/`
//! (manifests of the last committed units, by which a repeated commit knows that it was done).
use super::manifest::MANIFEST;
use super::names::{STAGING, directory};
use crate::dir::Dir;
use crate::error::Error;
use elasticflow_api::position::TaskId;
use std::io;
use std::path::{Path, PathBuf};

/// Directories of committed units.
pub(crate) const DONE: &str = "done";
/// Beginning of the names of directories that are written to.
const OPEN: &str = "open-";
/// Committed units remembered. A unit is forgotten by the decide after it, so more than a handful is generous.
const DONE_MAX: usize = 64;
/// Most entries of a staging directory.
pub(crate) const ENTRIES_MAX: usize = 1_000_000;
/// Nobody else reads what is staged.
const MODE: u32 = 0o700;

/// A task's directory.
pub(crate) struct Staging {
    pub(crate) task: Dir,
    /// Path of the task's directory below the root.
    pub(crate) path: String,
}

/// A directory that parts are written to.
pub(crate) struct Open {
    pub(crate) dir: Dir,
    pub(crate) name: String,
}

/// Path of a connector's directories below `output.path`.
pub(crate) fn connector_path(group: &str, connector: &str) -> PathBuf {
    Path::new(STAGING).join(directory(group)).join(directory(connector))
}

impl Staging {
    /// Opens a task's directory, made if it is missing.
    pub(crate) fn open(output: &Path, id: &TaskId) -> Result<Self, Error> {
        let failed = || Error::with::<io::Error>(|| format!("cannot open output.path {}", output.display()));
        std::fs::create_dir_all(output).map_err(failed())?;
        let root = Dir::open(output).map_err(failed())?;
        let path = connector_path(&id.group, &id.connector).join(id.task.0.to_string());
        let task = root.descend_made(&path, MODE);
        let task = task
            .map_err(Error::with(|| format!("cannot make the staging directory {}", output.join(&path).display())))?;
        let path =
            path.to_str().map(str::to_owned).ok_or_else(|| Error::Bug("a staging path is not UTF-8".to_owned()))?;
        Ok(Self { task, path })
    }

    /// A directory for new parts, locked.
    pub(crate) fn begin(&self, now_ms: i64) -> Result<Open, Error> {
        let failed =
            || Error::with::<io::Error>(|| format!("cannot make a directory in {}", self.task.path().display()));
        for number in 0..ENTRIES_MAX {
            let name = format!("{OPEN}{now_ms}-{}-{number}", std::process::id());
            if self.task.look(&name).map_err(failed())?.is_some() {
                continue;
            }
            let dir = self.task.child_made(&name, MODE).map_err(failed())?;
            if dir.try_lock().map_err(failed())? {
                return Ok(Open { dir, name });
            }
        }
        Err(Error::Bug("no name is left for a staging directory".to_owned()))
    }

    /// Removes a directory of this owner with the parts in it.
    pub(crate) fn discard(&self, open: &Open) -> Result<(), Error> {
        let removed = self.task.remove_flat(&open.name, ENTRIES_MAX);
        removed.map_err(Error::with(|| format!("cannot remove {}", open.dir.path().display())))
    }

    /// Removes what ended owners have left: directories that no living one holds the lock of, and halves of removals.
    pub(crate) fn sweep(&self) -> Result<(), Error> {
        let failed = || Error::with::<io::Error>(|| format!("cannot clean up {}", self.task.path().display()));
        for entry in self.task.entries(ENTRIES_MAX).map_err(failed())? {
            let Some(name) = entry.name.to_str().filter(|_| entry.is_dir) else { continue };
            if name.starts_with(OPEN) {
                self.sweep_open(name).map_err(failed())?;
            } else if name.parse::<u64>().is_ok() {
                self.sweep_owner(name).map_err(failed())?;
            }
        }
        Ok(())
    }

    fn sweep_open(&self, name: &str) -> io::Result<()> {
        let Some(dir) = present(self.task.child(name))? else { return Ok(()) };
        if dir.try_lock()? {
            self.task.remove_flat(name, ENTRIES_MAX)?;
        }
        Ok(())
    }

    fn sweep_owner(&self, name: &str) -> io::Result<()> {
        let Some(owner) = present(self.task.child(name))? else { return Ok(()) };
        for unit in owner.entries(ENTRIES_MAX)? {
            let Some(dir) = present(owner.child(&unit.name))? else { continue };
            if dir.look(MANIFEST)?.is_none() {
                owner.remove_flat(&unit.name, ENTRIES_MAX)?;
            }
        }
        drop_if_empty(&self.task, name)
    }

    /// Forgets all but the last committed units.
    pub(crate) fn prune(&self) -> Result<(), Error> {
        let failed = || Error::with::<io::Error>(|| format!("cannot clean up {}", self.task.path().display()));
        let Some(done) = present(self.task.child(DONE)).map_err(failed())? else { return Ok(()) };
        let mut units: Vec<(u64, u64, String)> = Vec::new();
        for entry in done.entries(ENTRIES_MAX).map_err(failed())? {
            let name = entry.name.to_str().unwrap_or_default();
            if let Some((owner, commit)) =
                name.split_once('.').and_then(|(o, c)| Some((o.parse().ok()?, c.parse().ok()?)))
            {
                units.push((owner, commit, name.to_owned()));
            }
        }
        units.sort_unstable();
        let surplus = units.len().saturating_sub(DONE_MAX);
        for (_, _, name) in units.iter().take(surplus) {
            done.remove_flat(name, ENTRIES_MAX).map_err(failed())?;
        }
        Ok(())
    }
}

/// `None` for what is not there, and for what was never a directory of ours.
pub(crate) fn present<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a directory unless something is in it.
pub(crate) fn drop_if_empty(parent: &Dir, name: &str) -> io::Result<()> {
    match parent.remove_dir(name) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        answer => answer,
    }
}

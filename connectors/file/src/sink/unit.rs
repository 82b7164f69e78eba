//! A prepared unit becoming visible, or vanishing.
use super::manifest::{Finished, MANIFEST, Manifest, Token};
use super::staging::{DONE, ENTRIES_MAX, connector_path, drop_if_empty, present};
use crate::dir::{Dir, split};
use crate::error::Error;
use elasticflow_api::position::{CommitEpoch, OwnerEpoch, TaskIndex, UnitId};
use elasticflow_api::sink::{Committed, Handle};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// Longest manifest: a unit of a million files.
const MANIFEST_MAX: u64 = 512 << 20;

/// How an attempt to commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The unit is visible.
    Applied(Committed),
    /// Something of it is neither staged nor finished: another caller may be in the middle of it.
    Missing(String),
}

/// Directories of a unit.
struct Place {
    root: Dir,
    task: Dir,
    owner: String,
    commit: String,
}

impl Place {
    /// `None` when the task's directory is not there.
    fn of(token: &Token, unit: &UnitId) -> Result<Option<Self>, Error> {
        let failed =
            || Error::with::<io::Error>(|| format!("cannot open the staging directory below {}", token.output));
        let Some(root) = present(Dir::open(Path::new(&token.output))).map_err(failed())? else { return Ok(None) };
        let Some(task) = present(root.descend(Path::new(&token.task))).map_err(failed())? else { return Ok(None) };
        Ok(Some(Self { root, task, owner: unit.owner.0.to_string(), commit: unit.commit.0.to_string() }))
    }

    fn done_name(&self) -> String {
        format!("{}.{}", self.owner, self.commit)
    }

    fn is_done(&self) -> io::Result<bool> {
        match present(self.task.child(DONE))? {
            Some(done) => Ok(done.look(self.done_name())?.is_some()),
            None => Ok(false),
        }
    }

    fn staged(&self) -> io::Result<Option<Dir>> {
        match present(self.task.child(&self.owner))? {
            Some(owner) => present(owner.child(&self.commit)),
            None => Ok(None),
        }
    }

    fn epoch(&self) -> String {
        format!("{}/{}", self.owner, self.commit)
    }
}

/// Makes a unit visible; repeatable, also by several callers at once.
pub(crate) fn commit(handle: &Handle) -> Result<Attempt, Error> {
    let token = Token::of(handle)?;
    let absent = || Attempt::Missing(format!("{}/{}", token.output, token.task));
    let Some(place) = Place::of(&token, &handle.unit)? else { return Ok(absent()) };
    let failed =
        || Error::with::<io::Error>(|| format!("cannot commit epoch {} below {}", place.epoch(), token.output));
    let manifest = match place.staged().map_err(failed())? {
        Some(staged) => read(&staged)?.map(|bytes| (staged, bytes)),
        None => None,
    };
    let Some((staged, bytes)) = manifest else {
        let is_done = place.is_done().map_err(failed())?;
        return Ok(if is_done { Attempt::Applied(Committed::Before) } else { absent() });
    };
    let manifest = Manifest::from_bytes(&bytes, token.crc32c)?;
    let mut committed = Committed::Before;
    let mut directories = BTreeMap::new();
    for file in &manifest.files {
        match publish(&place, &staged, file, &mut directories)? {
            Some(Committed::Now) => committed = Committed::Now,
            Some(Committed::Before) => {}
            None => return Ok(Attempt::Missing(format!("{}/{}", token.output, file.target))),
        }
    }
    for directory in directories.values() {
        directory.sync().map_err(failed())?;
    }
    remember(&place).map_err(failed())?;
    Ok(Attempt::Applied(committed))
}

/// Gives a file its final name; `None` if it is neither staged nor finished.
fn publish<'a>(
    place: &Place,
    staged: &Dir,
    file: &'a Finished,
    directories: &mut BTreeMap<&'a Path, Dir>,
) -> Result<Option<Committed>, Error> {
    let failed = || Error::with::<io::Error>(|| format!("cannot give {} its name", file.target));
    let (parent, name) = split(Path::new(&file.target)).map_err(failed())?;
    if !directories.contains_key(parent) {
        let made = place.root.descend_made(parent, 0o755);
        directories.insert(parent, made.map_err(failed())?);
    }
    let Some(directory) = directories.get(parent) else { return Ok(None) };
    match staged.rename_new(&file.part, directory, name) {
        Ok(()) => Ok(Some(Committed::Now)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            verify(directory, file, &place.epoch())?;
            staged.remove_file(&file.part).map_err(failed())?;
            Ok(Some(Committed::Before))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if directory.look(name).map_err(failed())?.is_none() {
                return Ok(None);
            }
            verify(directory, file, &place.epoch())?;
            Ok(Some(Committed::Before))
        }
        Err(error) => Err(failed()(error)),
    }
}

/// A final name must hold what was prepared.
fn verify(directory: &Dir, file: &Finished, epoch: &str) -> Result<(), Error> {
    let failed = || Error::with::<io::Error>(|| format!("cannot read {}", file.target));
    let (_, name) = split(Path::new(&file.target)).map_err(failed())?;
    let taken = |found| Error::Taken {
        path: directory.path().join(name).display().to_string(),
        epoch: epoch.to_owned(),
        found,
        expected: file.length,
    };
    let entry = directory.look(name).map_err(failed())?;
    let Some(entry) = entry else { return Err(taken(0)) };
    if entry.identity.len != file.length {
        return Err(taken(entry.identity.len));
    }
    let Ok(mut found) = directory.open_file(name) else { return Err(taken(entry.identity.len)) };
    let (mut crc, mut buffer) = (0, vec![0; 256 << 10]);
    loop {
        match found.read(&mut buffer).map_err(failed())? {
            0 => break,
            read => crc = crc32c::crc32c_append(crc, buffer.get(..read).unwrap_or_default()),
        }
    }
    if crc == file.crc32c { Ok(()) } else { Err(taken(entry.identity.len)) }
}

/// Moves the emptied unit to the committed ones, from where a repeated commit knows it.
fn remember(place: &Place) -> io::Result<()> {
    let done = place.task.child_made(DONE, 0o700)?;
    if let Some(owner) = present(place.task.child(&place.owner))? {
        match owner.rename_dir(&place.commit, &done, place.done_name()) {
            Ok(()) => {
                done.sync()?;
                owner.sync()?;
            }
            // Another caller was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    drop_if_empty(&place.task, &place.owner)
}

/// Removes an undecided unit.
pub(crate) fn abort(handle: &Handle) -> Result<(), Error> {
    let token = Token::of(handle)?;
    let Some(place) = Place::of(&token, &handle.unit)? else { return Ok(()) };
    let failed = || Error::with::<io::Error>(|| format!("cannot abort epoch {} below {}", place.epoch(), token.output));
    if place.is_done().map_err(failed())? {
        return Err(Error::Bug(format!("epoch {} is to be aborted and was committed", place.epoch())));
    }
    if let Some(owner) = present(place.task.child(&place.owner)).map_err(failed())? {
        if let Some(staged) = present(owner.child(&place.commit)).map_err(failed())? {
            // Without its manifest it is no unit any more, whatever happens next.
            staged.remove_file(MANIFEST).and_then(|()| staged.sync()).map_err(failed())?;
            owner.remove_flat(&place.commit, ENTRIES_MAX).map_err(failed())?;
        }
        drop_if_empty(&place.task, &place.owner).map_err(failed())?;
    }
    Ok(())
}

/// Every prepared unit of a connector.
pub(crate) fn in_doubt(output: &str, group: &str, connector: &str) -> Result<Vec<Handle>, Error> {
    let failed = || Error::with::<io::Error>(|| format!("cannot list the prepared units below {output}"));
    let Some(root) = present(Dir::open(Path::new(output))).map_err(failed())? else { return Ok(Vec::new()) };
    let path = connector_path(group, connector);
    let Some(base) = present(root.descend(&path)).map_err(failed())? else { return Ok(Vec::new()) };
    let mut handles = Vec::new();
    for (task, dir) in numbered(&base).map_err(failed())? {
        let token_path = path.join(task.to_string());
        let Some(token_path) = token_path.to_str() else { continue };
        for (owner, dir) in numbered(&dir).map_err(failed())? {
            for (commit, dir) in numbered(&dir).map_err(failed())? {
                let Some(bytes) = read(&dir)? else { continue };
                let token = Token::new(output, token_path, crc32c::crc32c(&bytes)).to_bytes()?;
                let Ok(index) = u32::try_from(task) else { continue };
                let unit = UnitId {
                    connector: format!("{group}/{connector}").into(),
                    task: TaskIndex(index),
                    owner: OwnerEpoch(owner),
                    commit: CommitEpoch(commit),
                };
                handles.push(Handle { unit, token });
            }
        }
    }
    Ok(handles)
}

/// Directories whose names are numbers, in their order.
fn numbered(dir: &Dir) -> io::Result<BTreeMap<u64, Dir>> {
    let mut found = BTreeMap::new();
    for entry in dir.entries(ENTRIES_MAX)? {
        let number = entry.name.to_str().filter(|_| entry.is_dir).and_then(|name| name.parse().ok());
        if let Some(number) = number
            && let Some(inner) = present(dir.child(&entry.name))?
        {
            found.insert(number, inner);
        }
    }
    Ok(found)
}

/// The manifest of a unit's directory; `None` if there is none.
fn read(staged: &Dir) -> Result<Option<Vec<u8>>, Error> {
    let failed = || Error::with::<io::Error>(|| format!("cannot read the manifest in {}", staged.path().display()));
    let Some(file) = present(staged.open_file(MANIFEST)).map_err(failed())? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(MANIFEST_MAX).read_to_end(&mut bytes).map_err(failed())?;
    Ok(Some(bytes))
}

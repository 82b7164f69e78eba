//! Where the files of units lie: prepared ones apart from committed ones, all named after their units.
//!
//! Blocking: called on threads for that alone.
use super::page::Page;
use elasticflow_api::position::UnitId;
use elasticflow_api::sink::{Committed, Handle};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const STAGED: &str = "staged";
const UNITS: &str = "units";
/// Names that begin so are not complete.
const UNDER_WAY: char = '.';
/// Files of one ledger: a read of all of them must stay a matter of seconds.
const FILES_MAX: usize = 200_000;

/// The folder of a connector's ledger.
#[derive(Debug, Clone)]
pub(crate) struct Shelf(PathBuf);

/// How an attempt to commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Applied(Committed),
    /// The unit is neither prepared nor committed.
    Missing,
}

fn name_of(unit: &UnitId) -> String {
    format!("{}-{}-{}.json", unit.task.0, unit.owner.0, unit.commit.0)
}

/// A rename and a removal last once their folder does.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Whether there was something to do it with.
fn found(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Shelf {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        for folder in [STAGED, UNITS] {
            fs::create_dir_all(path.join(folder))?;
        }
        sync(path)?;
        Ok(Self(path.to_owned()))
    }

    fn place(&self, folder: &str, unit: &UnitId) -> PathBuf {
        self.0.join(folder).join(name_of(unit))
    }

    /// Writes a unit where nobody looks.
    pub(crate) fn prepare(&self, page: &Page) -> io::Result<()> {
        let unit = page.unit();
        let folder = self.0.join(STAGED);
        let under_way = folder.join(format!("{UNDER_WAY}{}", name_of(&unit)));
        let mut file = File::create(&under_way)?;
        file.write_all(&page.bytes())?;
        file.sync_all()?;
        fs::rename(&under_way, self.place(STAGED, &unit))?;
        sync(&folder)
    }

    /// Shows a unit. Whoever comes second finds it there.
    pub(crate) fn commit(&self, unit: &UnitId) -> io::Result<Attempt> {
        let (from, to) = (self.place(STAGED, unit), self.place(UNITS, unit));
        if to.try_exists()? {
            found(fs::remove_file(from))?;
            return Ok(Attempt::Applied(Committed::Before));
        }
        if !found(fs::rename(from, &to))? {
            let is_there = to.try_exists()?;
            return Ok(if is_there { Attempt::Applied(Committed::Before) } else { Attempt::Missing });
        }
        sync(&self.0.join(UNITS))?;
        sync(&self.0.join(STAGED))?;
        Ok(Attempt::Applied(Committed::Now))
    }

    pub(crate) fn abort(&self, unit: &UnitId) -> io::Result<()> {
        found(fs::remove_file(self.place(STAGED, unit)))?;
        sync(&self.0.join(STAGED))
    }

    /// What is prepared.
    pub(crate) fn in_doubt(&self) -> io::Result<Vec<Handle>> {
        let handle = |page: Page| Handle { unit: page.unit(), token: bytes::Bytes::new() };
        Ok(self.pages(STAGED)?.into_iter().map(handle).collect())
    }

    /// What is committed.
    pub(crate) fn units(&self) -> io::Result<Vec<Page>> {
        self.pages(UNITS)
    }

    fn pages(&self, folder: &str) -> io::Result<Vec<Page>> {
        let mut pages = Vec::new();
        for entry in fs::read_dir(self.0.join(folder))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNDER_WAY) {
                continue;
            }
            if pages.len() >= FILES_MAX {
                let text = format!("the ledger has more than {FILES_MAX} units: begin another one");
                return Err(io::Error::other(text));
            }
            match fs::read(entry.path()) {
                Ok(bytes) => pages.push(Page::read(&bytes).ok_or_else(|| unreadable(&entry.path()))?),
                // Committed or aborted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pages)
    }

    /// Replaces the report of a task.
    pub(crate) fn report(&self, task: u32, text: &[u8]) -> io::Result<()> {
        let under_way = self.0.join(format!("{UNDER_WAY}report-{task}.json"));
        fs::write(&under_way, text)?;
        fs::rename(under_way, self.0.join(format!("report-{task}.json")))
    }
}

fn unreadable(path: &Path) -> io::Error {
    let text = format!("{} is no page of a ledger of this version", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

//! What happens to a finished file.
use super::options::Options;
use super::place::Place;
use crate::config::Cleanup;
use crate::dir::{Dir, split};
use crate::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// Names tried for a file that moves where its name is taken.
const NAMES_MAX: u32 = 10_000;

/// How a clean-up ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The file is gone from the directory, by this call or before.
    Cleaned,
    /// Another file has its name; it is left alone.
    Replaced,
}

/// Deletes or moves a finished file.
pub(crate) fn clean(root: &Dir, options: &Options, name: &str, place: &Place) -> Result<Outcome, Error> {
    let (parent, file) = split(Path::new(name)).map_err(Error::at(format!("cannot clean up {name}")))?;
    let failed = || Error::with::<io::Error>(|| format!("cannot clean up {name}"));
    let parent_dir = match root.descend(parent) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::Cleaned),
        Err(error) => return Err(failed()(error)),
    };
    let Some(entry) = parent_dir.look(file).map_err(failed())? else { return Ok(Outcome::Cleaned) };
    if entry.is_dir || !place.is_inode_of(&entry.identity) || place.len != entry.identity.len {
        return Ok(Outcome::Replaced);
    }
    let (base, below) = match target(options, place, entry.identity.modified_ns, parent) {
        Target::Stay => return Ok(Outcome::Cleaned),
        Target::Vanish => {
            parent_dir.remove_file(file).map_err(failed())?;
            return Ok(Outcome::Cleaned);
        }
        Target::Directory { base, below } => (base, below),
    };
    let to = Dir::open(&base).and_then(|dir| dir.descend_made(&below, 0o755));
    let to = to.map_err(Error::with(|| format!("cannot open {}", base.display())))?;
    move_to(&parent_dir, file, &to)
        .map_err(Error::with(|| format!("cannot move {name} to {}", to.path().display())))?;
    Ok(Outcome::Cleaned)
}

/// What becomes of a file.
enum Target {
    Stay,
    Vanish,
    /// It moves to an existing directory, and in it to directories that are made.
    Directory {
        base: PathBuf,
        below: PathBuf,
    },
}

fn target(options: &Options, place: &Place, modified_ns: i128, parent: &Path) -> Target {
    let to = |base: &Option<PathBuf>, below: PathBuf| match base.clone() {
        Some(base) => Target::Directory { base, below },
        None => Target::Stay,
    };
    match options.cleanup {
        _ if place.failed => to(&options.error_path, parent.to_owned()),
        Cleanup::None => Target::Stay,
        Cleanup::Delete => Target::Vanish,
        Cleanup::Move => to(&options.finished_path, parent.to_owned()),
        Cleanup::MoveByDate => to(&options.finished_path, PathBuf::from(day(modified_ns)).join(parent)),
    }
}

fn day(modified_ns: i128) -> String {
    let mut text = bytes::BytesMut::new();
    let days = modified_ns.div_euclid(86_400_000_000_000);
    elasticflow_formats::calendar::write_date(i64::try_from(days).unwrap_or(0), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Moves under the same name, or with a number after it where that is taken.
fn move_to(from: &Dir, file: &std::ffi::OsStr, to: &Dir) -> io::Result<()> {
    let mut name = file.to_owned();
    for number in 1..NAMES_MAX {
        match from.rename_new(file, to, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                name = file.to_owned();
                name.push(format!(".{number}"));
            }
            answer => return answer,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

//! What a file of the directory is: one that is known by its name, one that is known by another name, or a new one.
use super::listing::Found;
use super::options::Options;
use super::place::Place;
use crate::config::{Identify, Rotation};
use crate::dir::Identity;
use crate::error::Error;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The directory at one look, by name and by inode.
pub(crate) struct Directory {
    found: Vec<Found>,
    names: HashMap<Arc<str>, usize>,
    inodes: HashMap<(u64, u64), usize>,
}

impl Directory {
    /// Of a listing.
    pub(crate) fn new(found: Vec<Found>) -> Self {
        let names = found.iter().enumerate().map(|(at, f)| (Arc::clone(&f.name), at)).collect();
        let inodes = found.iter().enumerate().map(|(at, f)| ((f.identity.dev, f.identity.inode), at)).collect();
        Self { found, names, inodes }
    }

    /// Files that are to be read.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| found.is_wanted)
    }

    /// The file of a name.
    pub(crate) fn named(&self, name: &str) -> Option<&Found> {
        self.names.get(name).and_then(|at| self.found.get(*at))
    }

    /// The name of an inode.
    pub(crate) fn of_inode(&self, identity: &Identity) -> Option<&Found> {
        self.inodes.get(&(identity.dev, identity.inode)).and_then(|at| self.found.get(*at))
    }

    /// The name of a place's inode.
    pub(crate) fn of_place(&self, place: &Place) -> Option<&Found> {
        self.inodes.get(&(place.dev, place.inode)).and_then(|at| self.found.get(*at))
    }
}

/// What to do with a file that is not open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was read to its end and has not changed.
    Stay,
    /// It is the one of its name: reading goes on.
    GoOn(Place),
    /// It had another name: reading goes on, and it will end.
    Renamed(Place),
    /// Nothing is known of it.
    New,
}

/// Decides what a file is.
pub(crate) fn judge(
    directory: &Directory,
    known: &HashMap<Arc<str>, Place>,
    found: &Found,
    file: &File,
    options: &Options,
) -> Result<Verdict, Error> {
    let failed = || Error::with::<std::io::Error>(|| format!("cannot read {}", found.name));
    let by_inode = options.identify == Identify::Inode;
    if let Some(place) = known.get(&found.name) {
        let is_same = place.is_beginning_of(file).map_err(failed())? && found.identity.len >= place.byte;
        if place.is_inode_of(&found.identity) || !by_inode {
            return if is_same { go_on(*place, found, file) } else { cut(*place, found, options) };
        }
    }
    if by_inode {
        // A place whose own name still has its inode is a hard link's, not a rename's.
        let is_left = |name: &Arc<str>, place: &Place| {
            directory.named(name).is_none_or(|other| !place.is_inode_of(&other.identity))
        };
        let mut elsewhere = known
            .iter()
            .filter(|(name, place)| **name != found.name && place.is_inode_of(&found.identity) && is_left(name, place));
        if let Some((_, place)) = elsewhere.next()
            && place.is_beginning_of(file).map_err(failed())?
            && found.identity.len >= place.byte
        {
            // Also when nothing is left to read: its name is to be stored.
            return Ok(match go_on(*place, found, file)? {
                Verdict::GoOn(place) => Verdict::Renamed(place),
                _ => Verdict::Renamed(*place),
            });
        }
    }
    Ok(Verdict::New)
}

/// A file that was read to its end is read on when it has grown, if its last record had ended.
fn go_on(place: Place, found: &Found, file: &File) -> Result<Verdict, Error> {
    if !place.done {
        return Ok(Verdict::GoOn(place));
    }
    if place.len == found.identity.len {
        return Ok(Verdict::Stay);
    }
    let mut last = [b'\n'];
    if let Some(at) = place.byte.checked_sub(1) {
        file.read_exact_at(&mut last, at).map_err(Error::with(|| format!("cannot read {}", found.name)))?;
    }
    if !matches!(last, [b'\n' | b'\r']) {
        let how = "its last line, which was a record, has grown";
        return Err(Error::Changed { file: found.name.to_string(), byte: place.byte, how });
    }
    Ok(Verdict::GoOn(Place { done: false, ..place }))
}

/// A file that no longer holds what was read of it.
fn cut(place: Place, found: &Found, options: &Options) -> Result<Verdict, Error> {
    if options.rotation != Rotation::Rename || options.identify == Identify::Path {
        return Ok(Verdict::New);
    }
    // Its inode was given to another file, or it was cut.
    if place.byte == place.len || place.done {
        Ok(Verdict::New)
    } else {
        Err(Error::Changed { file: found.name.to_string(), byte: place.byte, how: "it begins otherwise or is shorter" })
    }
}

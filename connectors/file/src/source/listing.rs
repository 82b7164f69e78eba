//! Files of the directory that are this task's.
use super::options::Options;
use crate::config::{Mode, Order};
use crate::dir::{Dir, Identity};
use crate::error::Error;
use std::path::Path;
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// Most files of one look.
const FILES_MAX: usize = 1_000_000;
/// Deepest directory below `input.path`.
const DEPTH_MAX: usize = 64;
/// Where sinks stage; never data of a source.
const STAGING: &str = ".elasticflow";

/// Which files are this task's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) index: u64,
    pub(crate) of: u64,
}

impl Share {
    /// Whether a file is this task's.
    ///
    /// Followed files that can be rotated into each other must be one task's, so their share goes by the letters that
    /// the name begins with: `app.log`, `app.log.1` and `app-2024.log` stay together.
    pub(crate) fn has(&self, name: &str, mode: Mode) -> bool {
        let part = match mode {
            Mode::Spool => name,
            Mode::Tail => {
                let file = name.rsplit('/').next().unwrap_or(name);
                let end = file.find(|c: char| !c.is_alphabetic()).unwrap_or(file.len());
                file.get(..end).unwrap_or(file)
            }
        };
        XxHash3_64::oneshot(part.as_bytes()).checked_rem(self.of).unwrap_or(0) == self.index
    }
}

/// A file of the directory.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Path below `input.path`.
    pub(crate) name: Arc<str>,
    pub(crate) identity: Identity,
    /// Whether pattern, glob and share say that it is to be read.
    pub(crate) is_wanted: bool,
}

/// Looks through the directory. With `all`, files of this directory that are not wanted are told too.
pub(crate) fn list(root: &Dir, options: &Options, share: Share, all: bool) -> Result<Vec<Found>, Error> {
    let elsewhere = [&options.finished_path, &options.error_path];
    let excluded: Vec<(u64, u64)> = elsewhere.into_iter().flatten().filter_map(|path| inode_of(path)).collect();
    let mut look = Look { options, share, all, excluded, found: Vec::new() };
    look.directory(root, "", 0)?;
    sort(&mut look.found, options.order);
    Ok(look.found)
}

fn inode_of(path: &Path) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((std::os::unix::fs::MetadataExt::dev(&meta), std::os::unix::fs::MetadataExt::ino(&meta)))
}

struct Look<'a> {
    options: &'a Options,
    share: Share,
    all: bool,
    excluded: Vec<(u64, u64)>,
    found: Vec<Found>,
}

impl Look<'_> {
    fn directory(&mut self, dir: &Dir, prefix: &str, depth: usize) -> Result<(), Error> {
        let entries =
            dir.entries(FILES_MAX).map_err(Error::with(|| format!("cannot list {}", dir.path().display())))?;
        for entry in entries {
            let Some(name) = entry.name.to_str() else {
                tracing::warn!(directory = %dir.path().display(), "a file whose name is not UTF-8 is not read; rename it");
                continue;
            };
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            if entry.is_dir {
                self.below(dir, name, (&path, depth), entry.identity)?;
            } else {
                self.file(name, path, entry.identity)?;
            }
        }
        Ok(())
    }

    fn below(&mut self, dir: &Dir, name: &str, (path, depth): (&str, usize), identity: Identity) -> Result<(), Error> {
        let is_excluded = self.excluded.contains(&(identity.dev, identity.inode)) || name == STAGING;
        if !self.options.recursive || is_excluded || depth >= DEPTH_MAX {
            return Ok(());
        }
        match dir.child(name) {
            Ok(child) => self.directory(&child, path, depth + 1),
            // Removed or replaced by a link since it was listed.
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                Ok(())
            }
            Err(error) => Err(Error::at(format!("cannot open directory {path}"))(error)),
        }
    }

    fn file(&mut self, name: &str, path: String, identity: Identity) -> Result<(), Error> {
        let fits_glob = self.options.glob.as_ref().is_none_or(|glob| glob.is_match(&path));
        let is_skipped = self.options.skips_gz && name.ends_with(".gz");
        let is_wanted = fits_glob
            && !is_skipped
            && self.options.name_pattern.is_match(name)
            && self.share.has(&path, self.options.mode);
        if is_wanted || self.all {
            self.found.push(Found { name: path.into(), identity, is_wanted });
        }
        if self.found.len() > FILES_MAX {
            let text = format!(
                "more than {FILES_MAX} files below input.path; narrow input.file.pattern or move finished files away"
            );
            return Err(Error::Config(text));
        }
        Ok(())
    }
}

fn sort(found: &mut [Found], order: Order) {
    let by_name = |a: &Found, b: &Found| a.name.cmp(&b.name);
    match order {
        Order::NameAsc => found.sort_by(by_name),
        Order::NameDesc => found.sort_by(|a, b| by_name(b, a)),
        Order::LengthAsc => found.sort_by(|a, b| a.identity.len.cmp(&b.identity.len).then(by_name(a, b))),
        Order::LengthDesc => found.sort_by(|a, b| b.identity.len.cmp(&a.identity.len).then(by_name(a, b))),
        Order::LastModifiedAsc => {
            found.sort_by(|a, b| a.identity.modified_ns.cmp(&b.identity.modified_ns).then(by_name(a, b)));
        }
        Order::LastModifiedDesc => {
            found.sort_by(|a, b| b.identity.modified_ns.cmp(&a.identity.modified_ns).then(by_name(a, b)));
        }
    }
}

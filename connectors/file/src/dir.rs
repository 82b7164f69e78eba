//! A directory held open. What lies below it is reached name by name, and no symbolic link is followed on the way: a link
//! planted inside a watched or written tree leads nowhere.
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Opening a FIFO must not wait for its writer, nor a terminal become ours.
const REGULAR: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const STAGED: OFlags =
    OFlags::RDWR.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// A directory held open.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// What identifies a file, and what shows that it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) dev: u64,
    pub(crate) inode: u64,
    pub(crate) len: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified_ns: i128,
}

impl Identity {
    /// Whether both are the same inode.
    pub(crate) fn is_same_inode(&self, other: &Self) -> bool {
        (self.dev, self.inode) == (other.dev, other.inode)
    }
}

impl From<Stat> for Identity {
    fn from(stat: Stat) -> Self {
        Self {
            dev: stat.st_dev,
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
        }
    }
}

/// The identity of an open file.
pub(crate) fn identity(file: &File) -> io::Result<Identity> {
    Ok(rustix::fs::fstat(file)?.into())
}

/// An entry of a directory.
pub(crate) struct Entry {
    pub(crate) name: std::ffi::OsString,
    pub(crate) is_dir: bool,
    pub(crate) identity: Identity,
}

impl Dir {
    /// Opens a directory by path; the path itself is the user's and may lead over links.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// The path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in this one.
    pub(crate) fn child(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        let fd = rustix::fs::openat(&self.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// A directory in this one, made if it is missing; a made one is durable.
    pub(crate) fn child_made(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<Self> {
        let name = name.as_ref();
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.child(name)
    }

    /// A directory below this one.
    pub(crate) fn descend(&self, relative: &Path) -> io::Result<Self> {
        let mut at = self.duplicate()?;
        for name in names(relative)? {
            at = at.child(name)?;
        }
        Ok(at)
    }

    /// A directory below this one, made with its parents if missing.
    pub(crate) fn descend_made(&self, relative: &Path, mode: u32) -> io::Result<Self> {
        let mut at = self.duplicate()?;
        for name in names(relative)? {
            at = at.child_made(name, mode)?;
        }
        Ok(at)
    }

    fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, path: self.path.clone() })
    }

    /// A regular file below this directory, for reading.
    pub(crate) fn open_below(&self, relative: &Path) -> io::Result<File> {
        let (parent, name) = split(relative)?;
        self.descend(parent)?.open_file(name)
    }

    /// A regular file of this directory, for reading.
    pub(crate) fn open_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let fd = rustix::fs::openat(&self.fd, name.as_ref(), REGULAR, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(File::from(fd))
    }

    /// A file that does not exist yet.
    pub(crate) fn create_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        Ok(File::from(rustix::fs::openat(&self.fd, name.as_ref(), STAGED, Mode::from_raw_mode(0o644))?))
    }

    /// What is known of a name without opening it; `None` if there is nothing, links are not followed.
    pub(crate) fn look(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Entry>> {
        match rustix::fs::statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                Ok(Some(Entry { name: name.as_ref().to_owned(), is_dir, identity: stat.into() }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Directories and regular files of this directory; links, devices, sockets and pipes are left out, and so is what
    /// vanishes meanwhile. More than `most` entries are an error.
    pub(crate) fn entries(&self, most: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = std::os::unix::ffi::OsStrExt::from_bytes(entry.file_name().to_bytes());
            let name: &OsStr = name;
            if name == "." || name == ".." {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let kind = FileType::from_raw_mode(stat.st_mode);
            if matches!(kind, FileType::RegularFile | FileType::Directory) {
                let is_dir = kind == FileType::Directory;
                entries.push(Entry { name: name.to_owned(), is_dir, identity: stat.into() });
            }
            if entries.len() > most {
                return Err(io::Error::other(format!("more than {most} files in one directory")));
            }
        }
        Ok(entries)
    }

    /// Moves a file to a name that must be free; [`io::ErrorKind::AlreadyExists`] if it is not.
    pub(crate) fn rename_new(&self, name: impl AsRef<OsStr>, to: &Self, to_name: impl AsRef<OsStr>) -> io::Result<()> {
        let (name, to_name) = (name.as_ref(), to_name.as_ref());
        match rustix::fs::renameat_with(&self.fd, name, &to.fd, to_name, RenameFlags::NOREPLACE) {
            // File systems without the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(&self.fd, name, &to.fd, to_name, AtFlags::empty())?;
                Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
            }
            answer => Ok(answer?),
        }
    }

    /// Moves a directory.
    pub(crate) fn rename_dir(&self, name: impl AsRef<OsStr>, to: &Self, to_name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, name.as_ref(), &to.fd, to_name.as_ref())?)
    }

    /// Where a symbolic link of this directory leads; `None` if there is none.
    pub(crate) fn target(&self, name: impl AsRef<OsStr>) -> io::Result<Option<String>> {
        match rustix::fs::readlinkat(&self.fd, name.as_ref(), Vec::new()) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Points a symbolic link of this directory elsewhere, by one rename. What is no link is not overwritten by one:
    /// [`io::ErrorKind::AlreadyExists`].
    pub(crate) fn point(&self, name: &str, target: &str) -> io::Result<()> {
        if self.look(name)?.is_some() && self.target(name)?.is_none() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} is there and is no link")));
        }
        let beside = format!(".{name}.new");
        self.remove_file(&beside)?;
        rustix::fs::symlinkat(target, &self.fd, &beside)?;
        Ok(rustix::fs::renameat(&self.fd, &beside, &self.fd, name)?)
    }

    /// Removes a file; one that is not there is fine.
    pub(crate) fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        absent_is_fine(rustix::fs::unlinkat(&self.fd, name.as_ref(), AtFlags::empty()))
    }

    /// Removes a directory and the files in it; one that is not there is fine.
    pub(crate) fn remove_flat(&self, name: impl AsRef<OsStr>, most: usize) -> io::Result<()> {
        let name = name.as_ref();
        let inner = match self.child(name) {
            Ok(inner) => inner,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in inner.entries(most)? {
            inner.remove_file(entry.name)?;
        }
        self.remove_dir(name)
    }

    /// Removes an empty directory; one that is not there is fine.
    pub(crate) fn remove_dir(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        absent_is_fine(rustix::fs::unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR))
    }

    /// Makes the names of this directory durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Takes the lock of this directory for as long as it is held open; false if another holds it.
    pub(crate) fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(self.fd.as_fd(), rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn absent_is_fine(answer: rustix::io::Result<()>) -> io::Result<()> {
    match answer {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Parent and name of a relative path.
pub(crate) fn split(relative: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = relative.file_name().ok_or_else(|| io::Error::other("a path without a file name"))?;
    Ok((relative.parent().unwrap_or_else(|| Path::new("")), name))
}

/// The names on a relative path; anything that leads up or to the root is refused.
fn names(relative: &Path) -> io::Result<Vec<&OsStr>> {
    relative
        .components()
        .map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(io::Error::other("a path that leaves its directory")),
        })
        .collect()
}

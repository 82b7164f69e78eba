//! Where the bytes of a partition lie: a queue in memory, or one file.
use super::batch::Batch;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Place of a batch in its store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) length: u32,
}

#[derive(Debug)]
pub(crate) enum Store {
    Memory(VecDeque<Bytes>),
    File(PartitionFile),
}

/// An append-only file. Positions count from its beginning.
#[derive(Debug)]
pub(crate) struct PartitionFile {
    pub(crate) path: PathBuf,
    file: File,
    /// Where the next batch goes: the file is cut back to it after a failed write.
    end: u64,
    /// A failed write could not be cut off: what follows it would be lost at the next start, so nothing may follow.
    torn: bool,
}

impl Store {
    pub(crate) fn append(&mut self, batch: &Batch) -> io::Result<Place> {
        let length = u32::try_from(batch.bytes.len()).map_err(io::Error::other)?;
        match self {
            Store::Memory(batches) => {
                batches.push_back(batch.bytes.clone());
                Ok(Place { position: 0, length })
            }
            Store::File(f) => Ok(Place { position: f.append(&batch.bytes)?, length }),
        }
    }

    /// The bytes of neighbouring batches; `indexes` is where they stand in the queue, `places` where in the file.
    pub(crate) fn read(&self, indexes: Range<usize>, places: &[Place]) -> io::Result<Bytes> {
        match (self, places) {
            (Store::Memory(batches), [_]) => Ok(batches.get(indexes.start).cloned().unwrap_or_default()),
            (Store::Memory(batches), _) => {
                let mut out = BytesMut::with_capacity(places.iter().map(|p| p.length as usize).sum());
                batches.iter().skip(indexes.start).take(indexes.len()).for_each(|b| out.extend_from_slice(b));
                Ok(out.freeze())
            }
            (Store::File(f), [first, ..]) => {
                let mut out = vec![0; places.iter().map(|p| p.length as usize).sum()];
                f.file.read_exact_at(&mut out, first.position)?;
                Ok(out.into())
            }
            (Store::File(_), []) => Ok(Bytes::new()),
        }
    }

    /// Forces what is written to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self {
            Store::Memory(_) => Ok(()),
            Store::File(f) => f.file.sync_data(),
        }
    }

    /// Bytes of records that lie in memory.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Store::Memory(batches) => batches.iter().map(Bytes::len).sum(),
            Store::File(_) => 0,
        }
    }
}

impl PartitionFile {
    /// Opens or creates the file; everything behind `end` is cut off.
    pub(crate) fn open(path: &Path, end: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if file.metadata()?.len() > end {
            file.set_len(end)?;
        }
        Ok(PartitionFile { path: path.into(), file, end, torn: false })
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        if self.torn {
            return Err(io::Error::other("an earlier write left a torn batch; restart the broker to cut it off"));
        }
        let position = self.end;
        if let Err(e) = self.file.write_all(bytes) {
            // A torn batch would hide every later one from the next start.
            self.torn = self.file.set_len(position).is_err();
            return Err(e);
        }
        self.end += bytes.len() as u64;
        Ok(position)
    }

    /// Replaces the file by another content in one step; `fill` writes it.
    pub(crate) fn replace(&mut self, fill: impl FnOnce(&mut dyn Write) -> io::Result<u64>) -> io::Result<()> {
        let draft = self.path.with_extension("clean");
        let mut out = io::BufWriter::with_capacity(1 << 20, File::create(&draft)?);
        let end = fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?; // or a power loss brings the old file back, without what follows
        }
        match PartitionFile::open(&self.path, end) {
            Ok(file) => *self = file,
            Err(e) => {
                self.torn = true; // the handle is on the file that was replaced: nothing may be written to it
                return Err(e);
            }
        }
        Ok(())
    }
}

//! A partition: append, read, cut the head; see the module above for what survives.
use super::batch::{Batch, HEADER, Header, LENGTH_PREFIX};
use super::producers::{Aborted, Producers};
use super::store::{PartitionFile, Place, Store};
use crate::code::{self, Code};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file is rewritten without its deleted head once the head has so many bytes, and half of the file.
const RECLAIM_BYTES: u64 = 16 << 20;

/// What the index remembers of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) base: i64,
    pub(super) last: i64,
    pub(super) place: Place,
    pub(super) max_timestamp: i64,
    /// When it was appended; after a restart its largest timestamp.
    pub(super) at_ms: i64,
    pub(super) control: bool,
}

/// Memory of all partitions together: records without a folder, and the index.
#[derive(Debug)]
pub(crate) struct Memory {
    used: AtomicUsize,
    limit: usize,
}

impl Memory {
    pub(crate) fn new(limit: usize) -> Self {
        Memory { used: AtomicUsize::new(0), limit }
    }

    fn full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.limit
    }
}

/// What all partitions of a broker share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) memory: Arc<Memory>,
    /// Every batch is forced to the disk before it counts as appended.
    pub(crate) sync: bool,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base: i64,
    /// It was there already: the producer sent it again.
    pub(crate) duplicate: bool,
}

#[derive(Debug)]
pub(crate) struct Partition {
    pub(super) entries: VecDeque<Entry>,
    pub(super) store: Store,
    /// First offset that can be read.
    start: i64,
    /// Offset of the next record.
    next: i64,
    pub(super) producers: Producers,
    /// Everything below is compacted.
    pub(super) cleaned: i64,
    settings: Settings,
    /// What this partition has added to the shared count.
    counted: usize,
}

impl Partition {
    /// An empty partition in memory, or the one that a file holds.
    pub(crate) fn open(path: Option<&Path>, settings: Settings) -> io::Result<Partition> {
        let mut p = Partition {
            entries: VecDeque::new(),
            store: Store::Memory(VecDeque::new()),
            start: 0,
            next: 0,
            producers: Producers::default(),
            cleaned: 0,
            settings,
            counted: 0,
        };
        if let Some(path) = path {
            let end = p.scan(path)?;
            p.store = Store::File(PartitionFile::open(path, end)?);
            p.start = p.entries.front().map_or(0, |e| e.base);
        }
        p.recount();
        Ok(p)
    }

    /// Indexes every sound batch of a file; returns where the first unsound one begins.
    fn scan(&mut self, path: &Path) -> io::Result<u64> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            file => file?,
        };
        let (size, mut position) = (file.metadata()?.len(), 0u64);
        let mut from = BufReader::with_capacity(1 << 20, file);
        while let Some(batch) = next_batch(&mut from, size - position)? {
            let length = batch.bytes.len();
            if batch.header.base < self.next {
                break; // offsets only grow: this is not what was written here
            }
            let place = Place { position, length: u32::try_from(length).map_err(io::Error::other)? };
            self.index(&batch, place, batch.header.max_timestamp);
            position += length as u64;
        }
        if position < size {
            tracing::warn!(path = %path.display(), cut = size - position, "cut a torn tail off a partition");
        }
        Ok(position)
    }

    /// Appends a client's batch, unless the producer's sequence forbids it.
    pub(crate) fn append(&mut self, batch: &Batch, now_ms: i64, stamp: bool) -> Result<Appended, Code> {
        if let Some(base) = self.producers.admit(&batch.header)? {
            return Ok(Appended { base, duplicate: true });
        }
        if self.settings.memory.full() {
            return Err(code::POLICY_VIOLATION);
        }
        let placed = batch.placed(self.next, stamp.then_some(now_ms));
        let base = placed.header.base;
        self.store(&placed, now_ms, self.settings.sync).map_err(|error| {
            tracing::error!(%error, "a batch cannot be written");
            code::STORAGE_ERROR
        })?;
        Ok(Appended { base, duplicate: false })
    }

    /// Appends a transaction marker, whatever the limits say.
    pub(crate) fn append_marker(&mut self, marker: &Batch, now_ms: i64) -> io::Result<()> {
        self.store(&marker.placed(self.next, None), now_ms, self.settings.sync)
    }

    fn store(&mut self, batch: &Batch, now_ms: i64, sync: bool) -> io::Result<()> {
        let place = self.store.append(batch)?;
        self.index(batch, place, now_ms);
        self.charge(place);
        if sync { self.store.sync() } else { Ok(()) }
    }

    fn index(&mut self, batch: &Batch, place: Place, at_ms: i64) {
        let h = &batch.header;
        self.producers.note(batch, at_ms);
        self.entries.push_back(Entry {
            base: h.base,
            last: h.last(),
            place,
            max_timestamp: h.max_timestamp,
            at_ms,
            control: h.control(),
        });
        self.next = h.last().saturating_add(1);
    }

    /// Forces what is written to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.store.sync()
    }

    /// First offset that can be read.
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// Offset of the next record: the high watermark of a broker without replicas.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// Below this every transaction is decided.
    pub(crate) fn last_stable(&self) -> i64 {
        self.producers.first_open().unwrap_or(self.next)
    }

    /// Aborted transactions that touch `from..to`.
    pub(crate) fn aborted_in(&self, from: i64, to: i64) -> impl Iterator<Item = Aborted> + '_ {
        self.producers.aborted_in(from, to)
    }

    /// Bytes of the batches that can be read.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|e| u64::from(e.place.length)).sum()
    }

    /// Whole batches from the one that holds `from`, below `to`, at most `max` bytes but at least one.
    pub(crate) fn read(&self, from: i64, to: i64, max: usize) -> io::Result<Bytes> {
        let first = self.entries.partition_point(|e| e.last < from);
        let (mut places, mut bytes) = (vec![], 0usize);
        for e in self.entries.range(first..) {
            let length = e.place.length as usize;
            if e.base >= to || (bytes > 0 && bytes.saturating_add(length) > max) {
                break;
            }
            bytes = bytes.saturating_add(length);
            places.push(e.place);
        }
        self.store.read(first..first + places.len(), &places)
    }

    /// The batch at a place of the index.
    pub(super) fn batch(&self, i: usize) -> io::Result<Option<Batch>> {
        let Some(e) = self.entries.get(i) else { return Ok(None) };
        let bytes = self.store.read(i..i + 1, &[e.place])?;
        Ok(Header::parse(&bytes).map(|header| Batch { header, bytes }))
    }

    /// Drops whole batches below `offset` and forgets what belongs to them; returns the new start.
    ///
    /// The newest batch stays in the index: it carries the next offset over a restart.
    pub(crate) fn cut_head(&mut self, offset: i64, now_ms: i64) -> i64 {
        self.start = self.start.max(offset.min(self.next));
        let below = self.entries.partition_point(|e| e.last < self.start);
        let n = below.min(self.entries.len().saturating_sub(1));
        self.entries.drain(..n);
        if let Store::Memory(batches) = &mut self.store {
            batches.drain(..n.min(batches.len()));
        }
        self.producers.forget(self.start, now_ms);
        self.recount();
        self.start
    }

    /// How far retention cuts: whole batches that are too old or too much, below the last stable offset.
    pub(crate) fn expired(&self, now_ms: i64, keep_ms: i64, keep_bytes: i64) -> i64 {
        let (mut cut, mut size) = (self.start, i64::try_from(self.bytes()).unwrap_or(i64::MAX));
        for e in self.entries.iter().filter(|e| e.last >= self.start) {
            let old = keep_ms >= 0 && e.max_timestamp.saturating_add(keep_ms) < now_ms;
            let much = keep_bytes >= 0 && size > keep_bytes;
            if e.last >= self.last_stable() || !(old || much) {
                break;
            }
            cut = e.last.saturating_add(1);
            size -= i64::from(e.place.length);
        }
        cut
    }

    /// Gives the disk space of a deleted head back, once it is worth a rewrite.
    pub(crate) fn reclaim(&mut self) -> io::Result<()> {
        self.reclaim_above(RECLAIM_BYTES)
    }

    pub(super) fn reclaim_above(&mut self, least: u64) -> io::Result<()> {
        let (Store::File(file), Some(front)) = (&mut self.store, self.entries.front()) else { return Ok(()) };
        let dead = front.place.position;
        if dead < least || dead < file.end() / 2 {
            return Ok(());
        }
        let (end, mut from) = (file.end(), File::open(&file.path)?);
        io::Seek::seek(&mut from, io::SeekFrom::Start(dead))?;
        file.replace(|out| io::copy(&mut from.take(end - dead), out))?;
        for e in &mut self.entries {
            e.place.position -= dead;
        }
        Ok(())
    }

    /// Puts a rewritten content in place; offsets stay.
    pub(super) fn replaced(&mut self, entries: VecDeque<Entry>) {
        self.entries = entries;
        self.recount();
    }

    /// Adds one batch to the shared count.
    fn charge(&mut self, place: Place) {
        let records = if matches!(self.store, Store::Memory(_)) { place.length as usize } else { 0 };
        let more = records.saturating_add(size_of::<Entry>());
        self.settings.memory.used.fetch_add(more, Ordering::Relaxed);
        self.counted = self.counted.saturating_add(more);
    }

    /// Counts again after batches went away.
    fn recount(&mut self) {
        let index = self.entries.len().saturating_mul(size_of::<Entry>());
        let now = self.store.memory().saturating_add(index);
        let used = &self.settings.memory.used;
        used.fetch_add(now, Ordering::Relaxed);
        used.fetch_sub(self.counted, Ordering::Relaxed);
        self.counted = now;
    }

    /// Deletes the partition's file.
    pub(crate) fn remove(self) {
        if let Store::File(f) = &self.store
            && let Err(error) = std::fs::remove_file(&f.path)
        {
            tracing::warn!(path = %f.path.display(), %error, "a deleted partition's file cannot be removed");
        }
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.settings.memory.used.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// Reads one batch; `None` at the end or where the bytes stop being a sound batch.
fn next_batch(from: &mut impl Read, left: u64) -> io::Result<Option<Batch>> {
    if left < HEADER as u64 {
        return Ok(None);
    }
    let mut bytes = BytesMut::zeroed(HEADER);
    from.read_exact(&mut bytes)?;
    let total = Header::parse(&bytes).and_then(|h| h.total()).filter(|n| *n as u64 <= left);
    let Some(total) = total else { return Ok(None) };
    debug_assert!(total >= LENGTH_PREFIX);
    bytes.resize(total, 0);
    if let Some(body) = bytes.get_mut(HEADER..) {
        from.read_exact(body)?;
    }
    Ok(Batch::whole(bytes.freeze()))
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;

//! Whole files, each once: looked for, read in order, marked done with their last record, cleaned up once that is durable.
use super::batch::{Filling, Moment, Now, Stream};
use super::cleanup::{Outcome, clean};
use super::listing::{Found, Share, list};
use super::options::Options;
use super::place::{Place, Stored};
use super::reader::{Next, Reader};
use super::tail::opened;
use crate::config::Cleanup;
use crate::dir::{Dir, Identity};
use crate::error::Error;
use elasticflow_api::context::Limits;
use elasticflow_api::position::SourcePosition;
use elasticflow_api::source::SourceBatch;
use std::collections::{HashMap, VecDeque};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// Files that are gone are remembered up to this many beside those that are there.
const GONE_MAX: usize = 10_000;

/// What is known of a file.
#[derive(Clone, Copy)]
enum Known {
    /// Stored at start; not looked at yet, or half read.
    Stored(Stored),
    /// Read to its end by this task.
    Done { place: Place, is_committed: bool, seen: Option<Identity> },
}

/// A file that does not look finished yet.
struct Young {
    identity: Identity,
    since: Duration,
}

struct Current {
    reader: Reader,
    stream: Stream,
    seen: Identity,
    since: Duration,
}

/// Reads whole files.
pub(crate) struct Spool {
    root: Dir,
    options: Arc<Options>,
    share: Share,
    known: HashMap<Arc<str>, Known>,
    young: HashMap<Arc<str>, Young>,
    queue: VecDeque<(Found, Stored)>,
    current: Option<Current>,
    next_look: Duration,
    /// Files cleaned up, to be told with the next batch.
    cleaned: Vec<SourcePosition>,
}

impl Spool {
    /// With the stored positions of the connector.
    pub(crate) fn new(root: Dir, options: Arc<Options>, share: Share, stored: Vec<(Arc<str>, Stored)>) -> Self {
        Self {
            root,
            options,
            share,
            known: stored.into_iter().map(|(name, stored)| (name, Known::Stored(stored))).collect(),
            young: HashMap::new(),
            queue: VecDeque::new(),
            current: None,
            next_look: Duration::ZERO,
            cleaned: Vec::new(),
        }
    }

    /// What is there, within limits.
    pub(crate) fn poll(&mut self, now: Now, limits: Limits) -> Result<SourceBatch, Error> {
        let mut filling = Filling::new(limits);
        filling.batch.progress.append(&mut self.cleaned);
        // The runtime takes progress after the records of its batch, so places told here must not have company.
        if !filling.batch.progress.is_empty() {
            return Ok(filling.batch);
        }
        if self.current.is_none() && self.queue.is_empty() && self.next_look <= now.monotonic {
            self.next_look = now.monotonic + self.options.empty_wait;
            self.look(now)?;
        }
        while self.current.is_none() {
            let Some((found, stored)) = self.queue.pop_front() else { break };
            self.current = self.open(&found, stored, now)?;
        }
        if let Some(current) = self.current.take() {
            self.current = self.read(current, now, &mut filling)?;
        }
        Ok(filling.batch)
    }

    /// These positions are durable: finished files may go.
    pub(crate) fn committed(&mut self, positions: &[(Arc<str>, Place)]) -> Result<(), Error> {
        for (name, committed) in positions.iter().filter(|(_, place)| place.done && !place.cleaned) {
            let place = match self.known.get_mut(name) {
                Some(Known::Done { place, is_committed, .. })
                    if place.byte == committed.byte && place.inode == committed.inode =>
                {
                    *is_committed = true;
                    *place
                }
                _ => continue,
            };
            self.finish(name, &place)?;
        }
        Ok(())
    }

    /// Cleans up a finished file whose position is durable.
    fn finish(&mut self, name: &Arc<str>, place: &Place) -> Result<(), Error> {
        if self.options.cleanup == Cleanup::None && !place.failed {
            return Ok(());
        }
        match clean(&self.root, &self.options, name, place)? {
            Outcome::Cleaned => {
                let place = Place { cleaned: true, ..*place };
                self.cleaned.push(Stream::of(name, &self.options).position(&place));
                self.known.remove(name);
            }
            Outcome::Replaced => {
                self.known.remove(name);
            }
        }
        Ok(())
    }

    /// Queues the files that are to be read.
    fn look(&mut self, now: Now) -> Result<(), Error> {
        let found = list(&self.root, &self.options, self.share, false)?;
        self.forget_gone(&found);
        for found in found {
            let stored = match self.known.remove(&found.name) {
                None => Some(Stored::Place(Place::beginning(&found.identity))),
                Some(known) => self.judge(&found, known)?,
            };
            let Some(stored) = stored else { continue };
            if self.is_mature(&found, now) {
                self.known.insert(Arc::clone(&found.name), Known::Stored(stored));
                self.queue.push_back((found, stored));
            } else if self.is_begun(&stored) {
                self.known.insert(Arc::clone(&found.name), Known::Stored(stored));
            }
        }
        Ok(())
    }

    fn is_begun(&self, stored: &Stored) -> bool {
        !matches!(stored, Stored::Place(place) if place.byte == 0)
    }

    /// What to do with a file that is known: where to go on reading, or `None` for nothing.
    fn judge(&mut self, found: &Found, known: Known) -> Result<Option<Stored>, Error> {
        let (place, is_committed, seen) = match known {
            Known::Stored(Stored::Place(place)) if place.cleaned => return Ok(Some(beginning(found))),
            Known::Stored(Stored::Place(place)) if place.done => (place, true, None),
            Known::Stored(stored) => return Ok(Some(stored)),
            Known::Done { place, is_committed, seen } => (place, is_committed, seen),
        };
        let mut remember = |seen| {
            self.known.insert(Arc::clone(&found.name), Known::Done { place, is_committed, seen });
        };
        if !is_committed || seen == Some(found.identity) {
            remember(seen);
            return Ok(None);
        }
        let Some(file) = opened(&self.root, &found.name)? else { return Ok(None) };
        let is_same = place.is_beginning_of(&file).map_err(Error::with(|| format!("cannot read {}", found.name)))?;
        if self.options.cleanup != Cleanup::None || place.failed {
            if is_same && place.is_inode_of(&found.identity) && place.len == found.identity.len {
                remember(None);
                self.finish(&found.name, &place)?;
                return Ok(None);
            }
            return Ok(Some(beginning(found)));
        }
        if !is_same || found.identity.len < place.len {
            return Ok(Some(beginning(found)));
        }
        if found.identity.len == place.len {
            remember(Some(found.identity));
            return Ok(None);
        }
        self.grown(found, &file, place).map(Some)
    }

    /// A finished file that has grown is read on, if its last record had ended.
    fn grown(&self, found: &Found, file: &std::fs::File, place: Place) -> Result<Stored, Error> {
        let mut last = [b'\n'];
        if let Some(at) = place.byte.checked_sub(1) {
            file.read_exact_at(&mut last, at).map_err(Error::with(|| format!("cannot read {}", found.name)))?;
        }
        if !matches!(last, [b'\n' | b'\r']) {
            let how = "its last line, which was a record, has grown";
            return Err(Error::Changed { file: found.name.to_string(), byte: place.byte, how });
        }
        tracing::warn!(code = "FILE-0023", file = %found.name, "a file grew after it was read to its end; it is read on. Raise file.minimum.age.ms or use mode=tail");
        Ok(Stored::Place(Place { done: false, ..place }))
    }

    /// Whether a file has not changed for long enough, by its own time or by this task's looks.
    fn is_mature(&mut self, found: &Found, now: Now) -> bool {
        let age_ns = i128::from(now.wall_ms) * 1_000_000 - found.identity.modified_ns;
        let wanted = self.options.minimum_age;
        let since = match self.young.get(&found.name) {
            Some(young) if young.identity == found.identity => young.since,
            _ => now.monotonic,
        };
        let is_mature = age_ns >= i128::try_from(wanted.as_nanos()).unwrap_or(i128::MAX)
            || now.monotonic.saturating_sub(since) >= wanted;
        if is_mature {
            self.young.remove(&found.name);
        } else {
            self.young.insert(Arc::clone(&found.name), Young { identity: found.identity, since });
        }
        is_mature
    }

    /// Files that vanished need not be remembered for ever.
    fn forget_gone(&mut self, found: &[Found]) {
        if self.known.len() > found.len() + GONE_MAX || self.young.len() > found.len() {
            let there: std::collections::HashSet<&str> = found.iter().map(|f| &*f.name).collect();
            self.known.retain(|name, known| {
                there.contains(&**name) || matches!(known, Known::Done { is_committed: false, .. })
            });
            self.young.retain(|name, _| there.contains(&**name));
        }
    }

    fn open(&self, found: &Found, stored: Stored, now: Now) -> Result<Option<Current>, Error> {
        let Some(file) = opened(&self.root, &found.name)? else { return Ok(None) };
        let stream = Stream::of(&found.name, &self.options);
        let place = match stored {
            Stored::Place(place) => place,
            Stored::Skip(_) => Place::beginning(&found.identity),
        };
        let is_same = place.is_beginning_of(&file).map_err(Error::with(|| format!("cannot read {}", found.name)))?;
        if !is_same {
            let how = "it begins otherwise";
            return Err(Error::Changed { file: found.name.to_string(), byte: place.byte, how });
        }
        let mut reader = Reader::open(file, &found.name, place, &self.options)?;
        let seen = reader.identity()?;
        refuse_changed(&reader, &seen)?;
        if let Stored::Skip(records) = stored {
            reader.skip(records)?;
        }
        Ok(Some(Current { reader, stream, seen, since: now.monotonic }))
    }

    /// Reads on in a file; `None` once it is finished.
    fn read(&mut self, mut current: Current, now: Now, filling: &mut Filling) -> Result<Option<Current>, Error> {
        let before = filling.batch.records.len();
        let outcome = self.read_records(&mut current, now, filling);
        let has_record = filling.batch.records.len() > before;
        let is_whole = match outcome {
            Ok(is_whole) => is_whole,
            Err(error @ Error::Record { .. }) => {
                tracing::warn!(code = "FILE-0022", %error, "the rest of a file with a bad record is not read; it moves to error.path");
                let mut place = current.reader.stored_place(&current.seen)?;
                (place.done, place.failed) = (true, true);
                self.done(&current, place, has_record, filling);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut place = current.reader.stored_place(&current.seen)?;
        if is_whole {
            place.done = true;
            self.done(&current, place, has_record, filling);
            return Ok(None);
        }
        if has_record {
            filling.mark(&current.stream, &place, true);
        }
        Ok(Some(current))
    }

    fn done(&mut self, current: &Current, place: Place, has_record: bool, filling: &mut Filling) {
        filling.mark(&current.stream, &place, has_record);
        self.known.insert(Arc::clone(current.reader.name()), Known::Done { place, is_committed: false, seen: None });
    }

    /// Fills the batch; true once the file is read to its end.
    fn read_records(&self, current: &mut Current, now: Now, filling: &mut Filling) -> Result<bool, Error> {
        let mut is_whole = false;
        while filling.has_room() {
            let moment = Moment::new(self.options.timestamps, now, &current.seen);
            let next = match current.reader.next(is_whole) {
                Err(error @ Error::Record { .. }) if self.options.halt_on_error => {
                    filling.reject(error, &current.stream, &mut current.reader, &moment)?;
                    continue;
                }
                next => next?,
            };
            match next {
                Next::Record(row) => filling.push(row, &current.stream, &mut current.reader, &moment)?,
                Next::End if is_whole => return Ok(true),
                Next::End => {
                    let seen = current.reader.identity()?;
                    if seen != current.seen {
                        (current.seen, current.since) = (seen, now.monotonic);
                        refuse_changed(&current.reader, &seen)?;
                    } else if self.is_still(current, now) {
                        is_whole = true;
                    } else {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Whether an open file has not changed for long enough.
    fn is_still(&self, current: &Current, now: Now) -> bool {
        let age_ns = i128::from(now.wall_ms) * 1_000_000 - current.seen.modified_ns;
        age_ns >= i128::try_from(self.options.minimum_age.as_nanos()).unwrap_or(i128::MAX)
            || now.monotonic.saturating_sub(current.since) >= self.options.minimum_age
    }
}

fn beginning(found: &Found) -> Stored {
    Stored::Place(Place::beginning(&found.identity))
}

/// What was read must still be there.
fn refuse_changed(reader: &Reader, seen: &Identity) -> Result<(), Error> {
    let byte = reader.place().byte;
    let changed = |how| Error::Changed { file: reader.name().to_string(), byte, how };
    if byte == 0 {
        return Ok(());
    }
    if !reader.is_gzip() && seen.len < byte {
        return Err(changed("it is shorter"));
    }
    if reader.begins_as_before()? { Ok(()) } else { Err(changed("it begins otherwise")) }
}

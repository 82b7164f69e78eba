//! Growing files: each is read up to its last ended line, again and again, over rotations.
//!
//! An open file is followed by its descriptor, so a rename or a deletion takes nothing away: the old file is read to its
//! end first, then the one that took its name. `known` holds the place of every name, stored or reached; what becomes of a
//! name when directory and places disagree is decided in [`super::rotation`]. A rename from one wanted name to another
//! moves the place to the new name, told as progress, so that a restart does not take the renamed file for a new one.
use super::batch::{Filling, Moment, Now, Stream};
use super::listing::{Found, Share, list};
use super::options::Options;
use super::place::{Place, Stored};
use super::reader::{Next, Reader};
use super::rotation::{Directory, Verdict, judge};
use crate::config::{Identify, Rotation, TailFrom};
use crate::dir::{Dir, Identity, identity};
use crate::error::Error;
use elasticflow_api::context::Limits;
use elasticflow_api::source::SourceBatch;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Files held open; beyond them those that have been still for longest are closed until they change.
const OPEN_MAX: usize = 256;

/// A file held open.
struct Following {
    reader: Reader,
    stream: Stream,
    seen: Identity,
    /// When it last changed, or lost its name.
    since: Duration,
    /// Its writer has another file: it ends where it ends.
    is_retired: bool,
    /// Its partition is the one of a name that it no longer has.
    is_nameless: bool,
    is_at_end: bool,
}

/// Follows growing files.
pub(crate) struct Tail {
    root: Dir,
    options: Arc<Options>,
    share: Share,
    known: HashMap<Arc<str>, Place>,
    /// What closed files looked like when they were closed.
    closed: HashMap<Arc<str>, Identity>,
    following: Vec<Following>,
    next_look: Duration,
    /// The directory was not looked at by this task yet.
    is_first: bool,
    /// No task of the connector has ever looked.
    is_beginning: bool,
}

impl Tail {
    /// With the stored positions of the connector.
    pub(crate) fn new(
        root: Dir,
        options: Arc<Options>,
        share: Share,
        stored: Vec<(Arc<str>, Stored)>,
    ) -> Result<Self, Error> {
        let is_beginning = stored.is_empty();
        let mut known = HashMap::new();
        for (name, stored) in stored {
            match stored {
                Stored::Place(place) => known.insert(name, place),
                Stored::Skip(_) => {
                    let text = format!(
                        "the stored offset of {name} counts records of a whole file; mode tail needs bytes: alter or reset it through the offsets endpoint"
                    );
                    return Err(Error::Definite { code: "FILE-0024", text });
                }
            };
        }
        Ok(Self {
            root,
            options,
            share,
            known,
            closed: HashMap::new(),
            following: Vec::new(),
            next_look: Duration::ZERO,
            is_first: true,
            is_beginning,
        })
    }

    /// What has been added, within limits.
    pub(crate) fn poll(&mut self, now: Now, limits: Limits) -> Result<SourceBatch, Error> {
        let mut filling = Filling::new(limits);
        if self.next_look <= now.monotonic {
            self.next_look = now.monotonic + self.options.empty_wait;
            self.look(now, &mut filling)?;
            // The runtime takes progress after the records of its batch, so places told here must not have company.
            if !filling.batch.progress.is_empty() {
                return Ok(filling.batch);
            }
        }
        // Retired files first: what they hold is older than what their successors hold.
        for is_retired in [true, false] {
            let mut at = 0;
            while at < self.following.len() && filling.has_room() {
                if self.following.get(at).is_some_and(|file| file.is_retired == is_retired)
                    && self.read(at, now, &mut filling)?
                {
                    self.following.remove(at);
                } else {
                    at += 1;
                }
            }
        }
        // The next poll begins with another file, so that a busy one does not starve the rest.
        if !self.following.is_empty() {
            self.following.rotate_left(1);
        }
        Ok(filling.batch)
    }

    /// Compares the directory with what is followed and known.
    ///
    /// Names are judged by the places as they were before the look: a chain of renames moves many places at once.
    fn look(&mut self, now: Now, filling: &mut Filling) -> Result<(), Error> {
        let directory = Directory::new(list(&self.root, &self.options, self.share, true)?);
        let before = self.known.clone();
        self.follow_renames(&directory, now, filling)?;
        if std::mem::take(&mut self.is_first) {
            self.finish_renamed(&directory, &before, now)?;
        }
        let mut others = Vec::new();
        for found in directory.wanted() {
            let is_open = self.following.iter().any(|file| **file.reader.name() == *found.name);
            if is_open || self.closed.get(&found.name) == Some(&found.identity) {
                continue;
            }
            let Some(file) = opened(&self.root, &found.name)? else { continue };
            match judge(&directory, &before, found, &file, &self.options)? {
                Verdict::Stay => {
                    self.closed.insert(Arc::clone(&found.name), found.identity);
                }
                Verdict::Renamed(place) => self.begin(found, file, (place, true), (now, filling))?,
                verdict => others.push((found, verdict)),
            }
        }
        for (found, verdict) in others {
            self.make_room();
            if self.following.len() < OPEN_MAX {
                self.begin_other(found, &verdict, now, filling)?;
            }
        }
        self.is_beginning = false;
        self.let_go_of_gone(&directory);
        Ok(())
    }

    /// The inode of a deleted file is soon another file's, which must not be taken for a renamed one.
    fn let_go_of_gone(&mut self, directory: &Directory) {
        for (name, place) in &mut self.known {
            let is_open = self.following.iter().any(|file| file.reader.name() == name);
            if place.inode != 0 && !is_open && directory.of_place(place).is_none() {
                (place.dev, place.inode) = (0, 0);
            }
        }
    }

    /// Open files whose name belongs to another file, or to none.
    fn follow_renames(&mut self, directory: &Directory, now: Now, filling: &mut Filling) -> Result<(), Error> {
        if self.options.identify == Identify::Path {
            return Ok(());
        }
        for file in self.following.iter_mut().filter(|file| !file.is_nameless) {
            if directory.named(file.reader.name()).is_some_and(|found| found.identity.is_same_inode(&file.seen)) {
                continue;
            }
            (file.is_retired, file.since) = (true, now.monotonic);
            let target = directory.of_inode(&file.seen).filter(|found| found.is_wanted);
            let Some(found) = target else {
                file.is_nameless = true;
                continue;
            };
            file.reader.rename(&found.name);
            file.stream = Stream::of(&found.name, &self.options);
            let place = file.reader.stored_place(&file.seen)?;
            self.known.insert(Arc::clone(&found.name), place);
            filling.mark(&file.stream, &place, false);
        }
        Ok(())
    }

    /// Begins to follow a file that has the name it had, or that nothing is known of.
    fn begin_other(&mut self, found: &Found, verdict: &Verdict, now: Now, filling: &mut Filling) -> Result<(), Error> {
        let Some(file) = opened(&self.root, &found.name)? else { return Ok(()) };
        let is_same = identity(&file).is_ok_and(|identity| identity.is_same_inode(&found.identity));
        let at_end = *verdict == Verdict::New && self.is_beginning && self.options.tail_from == TailFrom::End;
        match verdict {
            // Replaced since it was judged: the next look sees it.
            _ if !is_same => Ok(()),
            Verdict::GoOn(place) => self.begin(found, file, (*place, false), (now, filling)),
            _ if at_end => self.begin_at_end(found, file, now, filling),
            _ => self.begin(found, file, (Place::beginning(&found.identity), false), (now, filling)),
        }
    }

    /// Begins to follow a file; the place of a renamed one is told under its name.
    fn begin(
        &mut self,
        found: &Found,
        file: File,
        (place, is_renamed): (Place, bool),
        (now, filling): (Now, &mut Filling),
    ) -> Result<(), Error> {
        let reader = Reader::open(file, &found.name, place, &self.options)?;
        if is_renamed {
            filling.mark(&Stream::of(&found.name, &self.options), &place, false);
        }
        self.known.insert(Arc::clone(&found.name), place);
        self.follow(reader, found.identity, now, is_renamed);
        Ok(())
    }

    fn begin_at_end(&mut self, found: &Found, file: File, now: Now, filling: &mut Filling) -> Result<(), Error> {
        let mut place = Place::beginning(&found.identity);
        place.byte = found.identity.len;
        let mut last = [b'\n'];
        if let Some(at) = place.byte.checked_sub(1) {
            file.read_exact_at(&mut last, at).map_err(Error::with(|| format!("cannot read {}", found.name)))?;
        }
        let mut reader = Reader::open(file, &found.name, place, &self.options)?;
        if last != [b'\n'] {
            reader.skip_to_next_line();
        }
        let place = reader.stored_place(&found.identity)?;
        filling.mark(&Stream::of(&found.name, &self.options), &place, false);
        self.known.insert(Arc::clone(&found.name), place);
        self.follow(reader, found.identity, now, false);
        Ok(())
    }

    fn follow(&mut self, reader: Reader, seen: Identity, now: Now, is_retired: bool) {
        let stream = Stream::of(reader.name(), &self.options);
        self.closed.remove(reader.name());
        let since = now.monotonic;
        self.following.push(Following {
            reader,
            stream,
            seen,
            since,
            is_retired,
            is_nameless: false,
            is_at_end: false,
        });
    }

    /// Files that were renamed to names that are not wanted while no task ran: the rest of them is read first.
    fn finish_renamed(
        &mut self,
        directory: &Directory,
        before: &HashMap<Arc<str>, Place>,
        now: Now,
    ) -> Result<(), Error> {
        if self.options.identify == Identify::Path {
            return Ok(());
        }
        for (name, place) in before {
            let is_there = directory.named(name).is_some_and(|found| place.is_inode_of(&found.identity));
            let is_moved = before
                .iter()
                .any(|(other, known)| other != name && (known.dev, known.inode) == (place.dev, place.inode));
            let renamed = directory.of_place(place);
            if is_there || is_moved || place.done || renamed.is_some_and(|found| found.is_wanted) {
                continue;
            }
            let same = match renamed {
                Some(found) => opened(&self.root, &found.name)?
                    .filter(|file| place.is_beginning_of(file).unwrap_or(false))
                    .map(|file| (found, file)),
                None => None,
            };
            match same {
                Some((found, file)) => self.finish_first(name, *place, (found, file), now)?,
                None if place.byte < place.len && place.len != u64::MAX => {
                    let how = "it is gone, and the rest of it was not read";
                    return Err(Error::Changed { file: name.to_string(), byte: place.byte, how });
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Follows the old file of a name; the file that has the name waits for its end.
    fn finish_first(
        &mut self,
        name: &Arc<str>,
        place: Place,
        (found, file): (&Found, File),
        now: Now,
    ) -> Result<(), Error> {
        let reader = Reader::open(file, name, place, &self.options)?;
        self.follow(reader, found.identity, now, true);
        if let Some(following) = self.following.last_mut() {
            following.is_nameless = true;
        }
        Ok(())
    }

    /// Reads one file; true once nothing more can come of it.
    fn read(&mut self, at: usize, now: Now, filling: &mut Filling) -> Result<bool, Error> {
        let Some(file) = self.following.get_mut(at) else { return Ok(false) };
        refresh(file, &self.options, now)?;
        let is_final = file.is_retired && now.monotonic.saturating_sub(file.since) >= self.options.quiet;
        if file.is_at_end && !is_final {
            return Ok(false);
        }
        let (before, news) = (filling.batch.records.len(), filling.news());
        file.is_at_end = read_records(file, &self.options, (now, is_final), filling)?;
        let has_record = filling.batch.records.len() > before;
        let is_over = file.is_at_end && is_final;
        if filling.news() > news || is_over {
            let mut place = file.reader.stored_place(&file.seen)?;
            place.done = is_over;
            filling.mark(&file.stream, &place, has_record);
            self.known.insert(Arc::clone(file.reader.name()), place);
            if is_over && !file.is_nameless {
                self.closed.insert(Arc::clone(file.reader.name()), file.seen);
            }
        }
        Ok(is_over)
    }

    /// Closes the file that has been still for longest, when many are open.
    fn make_room(&mut self) {
        if self.following.len() < OPEN_MAX {
            return;
        }
        let still = self.following.iter().enumerate().filter(|(_, file)| file.is_at_end && !file.is_retired);
        if let Some((at, _)) = still.min_by_key(|(_, file)| file.since) {
            let file = self.following.remove(at);
            self.closed.insert(Arc::clone(file.reader.name()), file.seen);
        }
    }
}

/// Looks at an open file again: it may have grown, or have been cut.
fn refresh(file: &mut Following, options: &Arc<Options>, now: Now) -> Result<(), Error> {
    let seen = file.reader.identity()?;
    if seen == file.seen {
        return Ok(());
    }
    let byte = file.reader.place().byte;
    let is_cut = seen.len < byte || !file.reader.begins_as_before()?;
    (file.seen, file.since, file.is_at_end) = (seen, now.monotonic, false);
    if !is_cut {
        return Ok(());
    }
    if options.rotation == Rotation::Rename {
        let how = "it was cut, which tail.rotation=rename does not allow";
        return Err(Error::Changed { file: file.reader.name().to_string(), byte, how });
    }
    tracing::warn!(code = "FILE-0012", file = %file.reader.name(), "a file was cut and is read from its beginning; lines written between copy and truncation are not in it");
    file.reader = file.reader.reopened(&seen)?;
    Ok(())
}

/// Fills the batch; true at the end of the file.
fn read_records(
    file: &mut Following,
    options: &Options,
    (now, is_final): (Now, bool),
    filling: &mut Filling,
) -> Result<bool, Error> {
    while filling.has_room() {
        let moment = Moment::new(options.timestamps, now, &file.seen);
        match file.reader.next(is_final) {
            Ok(Next::Record(row)) => filling.push(row, &file.stream, &mut file.reader, &moment)?,
            Ok(Next::End) => return Ok(true),
            Err(error @ Error::Record { .. }) => filling.reject(error, &file.stream, &mut file.reader, &moment)?,
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Opens a file that was listed; `None` if it has vanished.
pub(crate) fn opened(root: &Dir, name: &str) -> Result<Option<File>, Error> {
    match root.open_below(Path::new(name)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::at(format!("cannot open {name}"))(error)),
    }
}

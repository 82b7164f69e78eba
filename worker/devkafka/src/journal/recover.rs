//! What happens at start: lock the folder, replay the journal, open the logs, finish what was decided, rewrite the journal.
use super::{Decided, FILE, FORMAT, LOCK, Line};
use crate::config::Fsync;
use crate::error::Error;
use crate::groups::group::{Committed, Group, Pending};
use crate::state::State;
use crate::topics::Topic;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// What the lines say beyond `State`: applied once all of them are read.
#[derive(Default)]
struct Replay {
    topics: BTreeMap<String, (uuid::Uuid, i32, BTreeMap<String, String>)>,
    /// Transactions that were decided but not completed, by transactional id.
    decided: BTreeMap<String, Decided>,
    starts: BTreeMap<(String, i32), i64>,
}

impl State {
    /// Brings the state back that a folder holds.
    pub(crate) fn recover(&mut self, dir: &Path) -> Result<(), Error> {
        let folder = |source| Error::Folder { dir: dir.into(), source };
        std::fs::create_dir_all(dir).map_err(folder)?;
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(folder)?,
        };
        let replay = self.replay(&path, &text)?;
        self.open_topics(replay.topics, &replay.starts).map_err(folder)?;
        self.remove_strays(dir).map_err(folder)?;
        let sound = text.rfind('\n').map_or(0, |i| i + 1);
        let file = File::options().append(true).create(true).open(&path).map_err(folder)?;
        file.set_len(sound as u64).map_err(folder)?; // a torn line was never acknowledged
        self.journal.file = Some(file);
        self.journal.lock = Some(lock);
        self.journal.sync = self.fsync != Fsync::Never;
        for (id, decided) in replay.decided {
            tracing::info!(
                transactional_id = id,
                commit = decided.c,
                "finishing a transaction decided before the stop"
            );
            self.complete(&id, &decided);
        }
        self.journal.failure().map_err(|e| folder(std::io::Error::other(e.to_string())))?;
        self.rewrite_journal().map_err(folder)
    }

    fn replay(&mut self, path: &Path, text: &str) -> Result<Replay, Error> {
        let mut replay = Replay::default();
        for (i, line) in text.split_inclusive('\n').enumerate() {
            if !line.ends_with('\n') {
                tracing::warn!(path = %path.display(), "cut a torn line off the metadata journal");
                break;
            }
            let problem = |problem: String| Error::Journal { path: path.into(), line: i + 1, problem };
            let line = serde_json::from_str(line).map_err(|e| problem(e.to_string()))?;
            if let Line::Format { v } = line
                && v != FORMAT
            {
                return Err(problem(format!("format {v}, this version reads {FORMAT}")));
            }
            self.apply(line, &mut replay);
        }
        Ok(replay)
    }

    fn apply(&mut self, line: Line<'_>, replay: &mut Replay) {
        match line {
            Line::Format { .. } => {}
            Line::Topic { t, n, id, cfg } => {
                replay.topics.insert(t.into_owned(), (id, n, cfg.into_owned()));
            }
            Line::Delete { t } => {
                replay.topics.remove(&*t);
                replay.starts.retain(|s, _| s.0 != t);
                self.groups.values_mut().for_each(|g| g.forget_topic(&t));
            }
            Line::Start { t, p, o } => {
                replay.starts.insert((t.into_owned(), p), o);
            }
            Line::Offset { g, t, p, o, e, m } => {
                let at = (t.into_owned(), p);
                self.replayed_group(g).offsets.insert(at, committed(o, e, m));
            }
            Line::OffsetDelete { g, t, p } => {
                self.replayed_group(g).offsets.remove(&(t.into_owned(), p));
            }
            Line::GroupDelete { g } => drop(self.groups.remove(&*g)),
            Line::NextProducer { n } => self.next_producer_id = n,
            Line::TxnOffset { pid, g, t, p, o, e, m } => {
                let pending = Pending { topic: t.into_owned(), partition: p, committed: committed(o, e, m) };
                self.replayed_group(g).pending_offsets.entry(pid).or_default().push(pending);
            }
            Line::Txn { id, txn } => {
                replay.decided.remove(&*id);
                if !txn.ongoing {
                    self.groups.values_mut().for_each(|g| drop(g.pending_offsets.remove(&txn.producer_id)));
                }
                self.txns.insert(id.into_owned(), txn.into_owned());
            }
            Line::TxnDelete { id } => drop(self.txns.remove(&*id)),
            Line::Prepared { id, decided } => drop(replay.decided.insert(id.into_owned(), decided.into_owned())),
        }
    }

    fn replayed_group(&mut self, id: Cow<'_, str>) -> &mut Group {
        let members_max = self.limits.group_members;
        self.groups.entry(id.into_owned()).or_insert_with(|| Group::new(members_max))
    }

    fn open_topics(
        &mut self,
        topics: BTreeMap<String, (uuid::Uuid, i32, BTreeMap<String, String>)>,
        starts: &BTreeMap<(String, i32), i64>,
    ) -> std::io::Result<()> {
        for (name, (id, n, configs)) in topics {
            let partitions = self.open_partitions(&name, &id, 0, n)?;
            self.topics.insert(name, Topic { id, configs, partitions });
        }
        for ((t, p), o) in starts {
            let now_ms = self.now.wall_ms;
            if let Some(partition) = self.partition(t, *p) {
                partition.cut_head(*o, now_ms);
            }
        }
        Ok(())
    }

    /// Removes files of deleted topics and half-written drafts.
    fn remove_strays(&self, dir: &Path) -> std::io::Result<()> {
        let live: BTreeSet<_> = self
            .topics
            .iter()
            .flat_map(|(t, x)| (0..x.count()).filter_map(|p| self.partition_path(t, &x.id, p)))
            .collect();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if is_partition_file(&path) && !live.contains(&path) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Replaces the journal by the smallest one that says the same.
    pub(crate) fn rewrite_journal(&mut self) -> std::io::Result<()> {
        let Some(path) = self.dir.as_ref().map(|d| d.join(FILE)) else { return Ok(()) };
        let mut journal = std::mem::take(&mut self.journal);
        let replaced = journal.replace(&path, &self.lines());
        self.journal = journal;
        replaced
    }

    fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = vec![Line::Format { v: FORMAT }, Line::NextProducer { n: self.next_producer_id }];
        for (t, topic) in &self.topics {
            lines.push(Line::topic(t, topic));
            let starts = (0..).zip(&topic.partitions).filter(|(_, p)| p.start() > 0);
            lines.extend(starts.map(|(i, p)| Line::Start { t: t.into(), p: i, o: p.start() }));
        }
        lines.extend(self.txns.iter().map(|(id, txn)| Line::txn(id, txn)));
        for (g, group) in &self.groups {
            lines.extend(group.offsets.iter().map(|((t, p), c)| Line::offset(g, t, *p, c)));
            for (pid, pending) in &group.pending_offsets {
                lines.extend(pending.iter().map(|p| Line::txn_offset(*pid, g, &p.topic, p.partition, &p.committed)));
            }
        }
        lines
    }
}

fn committed(offset: i64, leader_epoch: i32, metadata: Option<Cow<'_, str>>) -> Committed {
    Committed { offset, leader_epoch, metadata: metadata.map(Cow::into_owned) }
}

/// Whether a file has the name of a partition's log or draft: nothing else in the folder is ever touched.
fn is_partition_file(path: &Path) -> bool {
    let named = |stem: &str| {
        let mut parts = stem.rsplitn(3, '-');
        let id = parts.next().is_some_and(|id| id.len() == 8 && id.bytes().all(|c| c.is_ascii_hexdigit()));
        id && parts.next().is_some_and(|p| p.parse::<u32>().is_ok()) && parts.next().is_some()
    };
    let kind = path.extension().is_some_and(|x| x == "log" || x == "clean");
    kind && path.file_stem().and_then(|s| s.to_str()).is_some_and(named)
}

/// A child process that is just being started holds a copy of its parent's lock until it has become its own program.
const LOCK_TRIES: u32 = 20;
const LOCK_AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

/// Takes the folder's lock. It goes with the process, however that ends.
fn lock(dir: &Path) -> Result<File, Error> {
    let folder = |source| Error::Folder { dir: dir.into(), source };
    let file = File::options().write(true).create(true).truncate(false).open(dir.join(LOCK)).map_err(folder)?;
    let mut tries = LOCK_TRIES;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if tries > 0 => {
                tries -= 1;
                std::thread::sleep(LOCK_AGAIN);
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(Error::FolderInUse(dir.into())),
            Err(std::fs::TryLockError::Error(e)) => return Err(folder(e)),
        }
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;

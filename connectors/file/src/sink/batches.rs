//! Atomic batches: files of a batch are finished in a directory of their own below `.elasticflow`, and all of a topic's
//! appear by one rename.
//!
//! Units are prepared, decided and committed as ever; only their final names lie below `batch-<id>.<attempt>`, so nothing of
//! it is visible. Beside the files each unit leaves the number of records that it covers, by which [`publish`] knows whether
//! all are there. Appending renames `data/<topic>` to `<topics.dir>/<topic>/run=<id>`; replacing then points the link
//! `<topics.dir>/<topic>/current` to it, by one rename. What is done is recognised by names.
//! A directory that the link has led to before is noted in `replaced/<topic>`, and removed once enough others have followed it.
use super::names::directory;
use super::staging::{ENTRIES_MAX, connector_path, present};
use crate::config::SinkConfig;
use crate::dir::Dir;
use crate::error::Error;
use elasticflow_api::position::{BatchId, TaskId};
use elasticflow_api::sink::{Announced, PublishKind, Published};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Directory of the files, by topic.
pub(super) const DATA: &str = "data";
/// Directory of the numbers of records.
pub(super) const COUNTS: &str = "counts";
/// The link that readers of a topic that is replaced follow.
const CURRENT: &str = "current";
/// Directory of the notes about replaced directories, by topic.
const REPLACED: &str = "replaced";
/// Beginning of the name of a batch's directory.
const RUN: &str = "run=";
/// Longest number.
const COUNT_BYTES_MAX: u64 = 20;
/// Published batches that are remembered.
const PUBLISHED_MAX: usize = 64;

/// Name of a batch's directory.
fn name_of(batch: &BatchId, attempt: u32) -> String {
    format!("batch-{}.{attempt}", directory(&batch.0))
}

/// Path of a batch's directory below `output.path`.
pub(super) fn path_of(id: &TaskId, batch: &BatchId, attempt: u32) -> Result<String, Error> {
    let path = connector_path(&id.group, &id.connector).join(name_of(batch, attempt));
    path.to_str().map(str::to_owned).ok_or_else(|| Error::Bug("a staging path is not UTF-8".to_owned()))
}

/// Directories of one connector's batches.
pub(super) struct Batches {
    root: Dir,
    base: Dir,
    topics_dir: String,
}

impl Batches {
    /// Opens them; made if they are missing.
    pub(super) fn open(config: &SinkConfig, id: &TaskId) -> Result<Self, Error> {
        let failed = || Error::with::<io::Error>(|| format!("cannot open output.path {}", config.output_path));
        let root = Dir::open(Path::new(&config.output_path)).map_err(failed())?;
        let base = root.descend_made(&connector_path(&id.group, &id.connector), 0o700).map_err(failed())?;
        Ok(Self { root, base, topics_dir: config.topics_dir.trim_matches('/').to_owned() })
    }

    /// Makes a batch visible; repeatable.
    pub(super) fn publish(&self, batch: &Announced, kind: PublishKind) -> Result<Published, Error> {
        let failed = || Error::with::<io::Error>(|| format!("cannot publish batch {}", batch.batch.0));
        let name = name_of(&batch.batch, batch.attempt);
        let done = format!("published-{name}");
        if self.base.look(&done).map_err(failed())?.is_some() {
            self.drop_staged(&batch.batch)?;
            self.prune(batch.keep).map_err(failed())?;
            return Ok(Published::Before);
        }
        let Some(staged) = present(self.base.child(&name)).map_err(failed())? else {
            return Ok(Published::Incomplete { staged: 0 });
        };
        let count = count(&staged).map_err(failed())?;
        if count < batch.records {
            return Ok(Published::Incomplete { staged: count });
        }
        if count > batch.records {
            let text = format!(
                "batch {}: {count} records staged, {} announced; nothing was published. Stop the connector, delete its offsets, remove {} and resume it: the batch is staged again",
                batch.batch.0,
                batch.records,
                staged.path().display()
            );
            return Err(Error::Definite { code: "FILE-0033", text });
        }
        self.show(&staged, &batch.batch, kind).map_err(failed())?;
        self.base.rename_dir(&name, &self.base, &done).and_then(|()| self.base.sync()).map_err(failed())?;
        self.drop_staged(&batch.batch)?;
        self.forget_old().and_then(|()| self.prune(batch.keep)).map_err(failed())?;
        Ok(Published::Now)
    }

    /// Every topic's files get their place by one rename each.
    fn show(&self, staged: &Dir, batch: &BatchId, kind: PublishKind) -> io::Result<()> {
        let run = format!("{RUN}{}", directory(&batch.0));
        for topic in self.topics(staged, &run)? {
            let place = self.root.descend_made(&Path::new(&self.topics_dir).join(&topic), 0o755)?;
            if place.look(&run)?.is_none()
                && let Some(data) = present(staged.child(DATA))?
            {
                data.rename_dir(&topic, &place, &run)?;
                place.sync()?;
            }
            let current = place.target(CURRENT)?;
            if kind == PublishKind::Replace && current.as_deref() != Some(run.as_str()) {
                if let Some(before) = current.filter(|before| is_run(before)) {
                    self.note_replaced(&topic, &before)?;
                }
                place.point(CURRENT, &run)?;
                place.sync()?;
            }
        }
        Ok(())
    }

    /// Notes that readers are about to be led elsewhere; the order of the notes is that of their times.
    fn note_replaced(&self, topic: &str, run: &str) -> io::Result<()> {
        let notes = self.base.descend_made(&Path::new(REPLACED).join(topic), 0o700)?;
        notes.remove_file(run)?;
        notes.create_file(run)?;
        notes.sync()
    }

    /// Removes the directories that were replaced but for the last ones of each topic.
    fn prune(&self, keep: usize) -> io::Result<()> {
        let Some(notes) = present(self.base.child(REPLACED))? else { return Ok(()) };
        for topic in names(&notes)? {
            let notes = notes.child(&topic)?;
            let Some(place) = present(self.root.descend(&Path::new(&self.topics_dir).join(&topic)))? else { continue };
            let current = place.target(CURRENT)?;
            let noted = notes.entries(ENTRIES_MAX)?;
            let mut replaced: Vec<(i128, &str)> = Vec::new();
            for entry in &noted {
                let name = entry.name.to_str().filter(|name| is_run(name) && current.as_deref() != Some(*name));
                replaced.extend(name.map(|name| (entry.identity.modified_ns, name)));
            }
            replaced.sort_unstable();
            replaced.reverse();
            for (_, run) in replaced.into_iter().skip(keep) {
                if place.look(run)?.is_some_and(|entry| entry.is_dir) {
                    std::fs::remove_dir_all(place.path().join(run))?;
                }
                notes.remove_file(run)?;
            }
        }
        Ok(())
    }

    /// Topics of the batch: those whose files wait, and those whose files a predecessor has moved.
    fn topics(&self, staged: &Dir, run: &str) -> io::Result<Vec<String>> {
        let mut topics = Vec::new();
        if let Some(data) = present(staged.child(DATA))? {
            topics.extend(names(&data)?);
        }
        if let Some(all) = present(self.root.descend(Path::new(&self.topics_dir)))? {
            for topic in names(&all)? {
                let is_moved =
                    present(all.child(&topic))?.map(|place| place.look(run)).transpose()?.flatten().is_some();
                if is_moved && !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
        }
        Ok(topics)
    }

    /// Removes every attempt at a batch that is not published.
    pub(super) fn drop_staged(&self, batch: &BatchId) -> Result<(), Error> {
        let beginning = format!("batch-{}.", directory(&batch.0));
        let failed = || Error::with::<io::Error>(|| format!("cannot remove what is staged of batch {}", batch.0));
        for name in names(&self.base).map_err(failed())? {
            if name.strip_prefix(&beginning).is_some_and(|attempt| attempt.parse::<u32>().is_ok()) {
                let path: PathBuf = self.base.path().join(&name);
                std::fs::remove_dir_all(path).map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Forgets all but the last published batches: their rows say so, too.
    fn forget_old(&self) -> io::Result<()> {
        let mut done = Vec::new();
        for entry in self.base.entries(ENTRIES_MAX)? {
            if let Some(name) = entry.name.to_str().filter(|name| entry.is_dir && name.starts_with("published-batch-"))
            {
                done.push((entry.identity.modified_ns, name.to_owned()));
            }
        }
        done.sort_unstable();
        let surplus = done.len().saturating_sub(PUBLISHED_MAX);
        for (_, name) in done.iter().take(surplus) {
            std::fs::remove_dir_all(self.base.path().join(name))?;
        }
        Ok(())
    }
}

/// Whether a name is that of a batch's directory, and of nothing above or below it.
fn is_run(name: &str) -> bool {
    name.starts_with(RUN) && !name.contains('/')
}

/// Names of the directories in one.
fn names(dir: &Dir) -> io::Result<Vec<String>> {
    let entries = dir.entries(ENTRIES_MAX)?;
    Ok(entries.iter().filter(|entry| entry.is_dir).filter_map(|entry| entry.name.to_str().map(str::to_owned)).collect())
}

/// Records that the units of a batch cover.
fn count(staged: &Dir) -> io::Result<u64> {
    let Some(counts) = present(staged.child(COUNTS))? else { return Ok(0) };
    let mut sum = 0u64;
    for entry in counts.entries(ENTRIES_MAX)? {
        let mut text = String::new();
        counts.open_file(&entry.name)?.take(COUNT_BYTES_MAX).read_to_string(&mut text)?;
        let number: u64 = text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        sum = sum.saturating_add(number);
    }
    Ok(sum)
}

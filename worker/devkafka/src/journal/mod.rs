//! The metadata journal: one JSON line a change, replayed and rewritten at start.
//!
//! It holds topics, group offsets, producer ids and transactions; records lie in the partition files. A line is written
//! before its change is acknowledged, so a broker whose journal cannot be written acknowledges nothing any more. A torn
//! last line was never acknowledged and is cut off at start.
mod line;
mod recover;

pub(crate) use line::{Decided, Line};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Name of the journal in the broker's folder.
pub(crate) const FILE: &str = "meta.journal";
/// Name of the file whose lock says that a broker works in the folder.
pub(crate) const LOCK: &str = "broker.lock";
/// Version of the lines; an unknown one stops the start.
pub(crate) const FORMAT: u32 = 1;
/// The journal is rewritten while running once it has grown by so many bytes, and to four times its smallest size.
const GROWTH_MAX: u64 = 16 << 20;

/// The open journal; without a file (in memory) every write succeeds.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    file: Option<File>,
    /// Held as long as the broker works in its folder.
    lock: Option<File>,
    sync: bool,
    bytes: u64,
    smallest: u64,
    failure: Option<Arc<str>>,
}

impl Journal {
    /// Appends a line. A failure is kept: see [`failure`](Journal::failure).
    pub(crate) fn write(&mut self, line: &Line<'_>) {
        let Some(file) = &mut self.file else { return };
        if self.failure.is_some() {
            return;
        }
        let text = line.text();
        let written = file.write_all(text.as_bytes()).and_then(|()| if self.sync { file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => self.bytes += text.len() as u64,
            Err(e) => {
                self.fail(&format!("its metadata journal cannot be written: {e}; free disk space and start it again"))
            }
        }
    }

    /// Stops the broker: nothing is acknowledged after this.
    pub(crate) fn fail(&mut self, why: &str) {
        tracing::error!(why, "the development broker stops");
        self.failure = Some(why.into());
    }

    pub(crate) fn failure(&self) -> Result<(), Arc<str>> {
        self.failure.as_ref().map_or(Ok(()), |why| Err(Arc::clone(why)))
    }

    /// Whether a rewrite is worth it.
    pub(crate) fn overgrown(&self) -> bool {
        self.file.is_some() && self.bytes > GROWTH_MAX.max(self.smallest.saturating_mul(4))
    }

    /// Replaces the file by these lines in one step.
    fn replace(&mut self, path: &Path, lines: &[Line<'_>]) -> std::io::Result<()> {
        let text: String = lines.iter().map(Line::text).collect();
        let draft = path.with_extension("new");
        let mut file = File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?; // the new name itself
        }
        self.file = Some(File::options().append(true).open(path)?);
        self.bytes = text.len() as u64;
        self.smallest = self.bytes;
        Ok(())
    }
}

//! Signals in a file: a line each, as JSON with `id`, `type` and `data`.
use crate::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A file above this is no file of signals.
const BYTES_MAX: usize = 1 << 20;

/// Reads the file, and takes out of it what has been followed and stored.
#[derive(Debug)]
pub(crate) struct SignalFile {
    path: PathBuf,
    /// Bytes at its beginning that have been read.
    read: usize,
    /// Commits until what was read is stored for sure: the next one may be of what came before.
    commits: u8,
    next: Duration,
}

impl SignalFile {
    /// Of a path.
    pub(crate) fn new(path: &str) -> Self {
        Self { path: PathBuf::from(path), read: 0, commits: 0, next: Duration::ZERO }
    }

    /// What has come since the last look, if it is time for one.
    pub(crate) fn look(&mut self, now: Duration) -> Vec<Signal> {
        if now < self.next {
            return Vec::new();
        }
        self.next = now + LOOK_EVERY;
        // A file that is not there yet is one without signals.
        let Ok(bytes) = std::fs::read(&self.path) else { return Vec::new() };
        if bytes.len() > BYTES_MAX {
            tracing::warn!(file = %self.path.display(), "the file of signals is larger than 1 MiB: it is not read");
            return Vec::new();
        }
        if bytes.len() < self.read {
            self.read = 0;
        }
        // A line without its end is still being written.
        let fresh = bytes.get(self.read..).unwrap_or_default();
        let whole = fresh.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        self.read += whole;
        self.commits = if whole > 0 { 2 } else { self.commits };
        let text = String::from_utf8_lossy(fresh.get(..whole).unwrap_or_default()).into_owned();
        text.lines().filter(|line| !line.trim().is_empty()).filter_map(signal).collect()
    }

    /// A position was stored. What was read before is taken out of the file.
    pub(crate) fn stored(&mut self) {
        self.commits = self.commits.saturating_sub(1);
        if self.read == 0 || self.commits > 0 {
            return;
        }
        let rest = std::fs::read(&self.path).ok().and_then(|bytes| bytes.get(self.read..).map(<[u8]>::to_vec));
        match std::fs::write(&self.path, rest.unwrap_or_default()) {
            Ok(()) => self.read = 0,
            Err(error) => tracing::warn!(file = %self.path.display(), %error, "signals stay in their file"),
        }
    }
}

fn signal(line: &str) -> Option<Signal> {
    let signal = Signal::from_json(line.as_bytes());
    if signal.is_none() {
        tracing::warn!("a line of the file of signals is no JSON object with id, type and data");
    }
    signal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn whole_lines_are_read_once_and_leave_the_file_when_they_are_stored() {
        let path = std::env::temp_dir().join(format!("ef-signals-{}", uuid::Uuid::new_v4()));
        let mut file = SignalFile::new(path.to_str().unwrap());
        assert!(file.look(Duration::ZERO).is_empty());
        let mut out = std::fs::File::create(&path).unwrap();
        write!(out, "{{\"id\":\"1\",\"type\":\"log\",\"data\":{{\"message\":\"m\"}}}}\nbroken\n{{\"id\":\"2\"")
            .unwrap();
        let found = file.look(LOOK_EVERY);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id.as_str(), found[0].data.as_str()), ("1", "{\"message\":\"m\"}"));
        file.stored();
        assert!(std::fs::read_to_string(&path).unwrap().contains("broken"), "the first commit may be an earlier one");
        file.stored();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"id\":\"2\"");
        std::fs::write(&path, "{\"id\":\"2\",\"type\":\"pause-snapshot\"}\n").unwrap();
        assert!(file.look(LOOK_EVERY).is_empty(), "it is not time yet");
        assert_eq!(file.look(LOOK_EVERY * 2)[0].kind, "pause-snapshot");
        std::fs::remove_file(path).unwrap();
    }
}

//! A value that is read from files, and read again when they change: certificates and access files are rotated while a
//! worker runs.
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The value as the files have it; as they had it before while they cannot be used.
pub(crate) struct Reloaded<T> {
    what: &'static str,
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    stamps: Vec<Option<(SystemTime, u64)>>,
    looked: Instant,
}

impl<T> Reloaded<T> {
    /// Reads the value for the first time; `what` is for the log.
    ///
    /// # Errors
    /// The reason, from `read`.
    pub(crate) fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let stamps = stamps(&files);
        let state = State { value: Arc::new(read()?), stamps, looked: Instant::now() };
        Ok(Self { what, files, read: Box::new(read), state: Mutex::new(state) })
    }

    /// The value; looks at the files now and then.
    pub(crate) fn current(&self) -> Arc<T> {
        self.looked_at_every(LOOK_EVERY)
    }

    fn looked_at_every(&self, interval: Duration) -> Arc<T> {
        let mut state = self.state.lock();
        if state.looked.elapsed() < interval {
            return Arc::clone(&state.value);
        }
        state.looked = Instant::now();
        let stamps = stamps(&self.files);
        if stamps != state.stamps {
            match (self.read)() {
                Ok(value) => {
                    tracing::info!(what = self.what, "files have changed and are used");
                    state.value = Arc::new(value);
                    state.stamps = stamps;
                }
                // Looked at again: a file that is being written is whole in a moment.
                Err(error) => tracing::error!(
                    what = self.what,
                    error,
                    "files have changed and cannot be used; what was read before stays"
                ),
            }
        }
        Arc::clone(&state.value)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_used_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("n");
        std::fs::write(&file, "1").unwrap();
        let from = file.clone();
        let read = move || std::fs::read_to_string(&from).unwrap().parse::<u32>().map_err(|e| e.to_string());
        let value = Reloaded::new("a number", vec![file.clone()], read).unwrap();
        let now = || *value.looked_at_every(Duration::ZERO);
        assert_eq!(now(), 1);
        for (text, is) in [("22", 22), ("broken", 22), ("333", 333)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(now(), is, "{text}");
        }
    }
}

//! Records a second, written down while something else goes on.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Counts until it is ended.
pub struct Meter {
    seen: Arc<Mutex<Vec<u64>>>,
    looking: JoinHandle<()>,
}

impl Meter {
    /// Looks at a count once a second.
    pub fn begin(count: impl Fn() -> u64 + Send + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let looking = tokio::spawn(async move {
            let mut every = tokio::time::interval(LOOK_EVERY);
            loop {
                every.tick().await;
                into.lock().unwrap_or_else(PoisonError::into_inner).push(count());
            }
        });
        Self { seen, looking }
    }

    /// Records of each second.
    pub fn end(self) -> Vec<u64> {
        self.looking.abort();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.windows(2).map(|two| two.iter().skip(1).sum::<u64>() - two.iter().take(1).sum::<u64>()).collect()
    }
}

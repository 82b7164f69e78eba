//! How busy this process keeps the processors that it may use.
use std::time::Duration;

/// Unit of processor time in `/proc`; the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where user and system time stand behind the name of the program, which may hold anything.
const USER: usize = 11;
const SYSTEM: usize = 12;

/// Remembers the last look.
#[derive(Default)]
pub(crate) struct Processors {
    before: Option<(Duration, f64)>,
}

impl Processors {
    /// Share of the processors used since the last look; `None` at the first one, and where the system does not tell.
    pub(crate) fn load(&mut self, now: Duration) -> Option<f64> {
        let text = std::fs::read_to_string("/proc/self/stat").ok()?;
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        self.since(now, seconds(&text)?, cores)
    }

    fn since(&mut self, now: Duration, used: f64, cores: f64) -> Option<f64> {
        let (then, before) = self.before.replace((now, used))?;
        let passed = now.saturating_sub(then).as_secs_f64();
        (passed > 0.0).then(|| ((used - before) / passed / cores).clamp(0.0, 1.0))
    }
}

/// Processor time of a process, from its line in `/proc`.
fn seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(USER)? + ticks(SYSTEM)?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_all_processors_since_the_last_look() {
        let mut processors = Processors::default();
        let s = Duration::from_secs;
        assert_eq!(processors.since(s(10), 3.0, 2.0), None, "one look says nothing");
        assert_eq!(processors.since(s(12), 6.0, 2.0), Some(0.75));
        assert_eq!(processors.since(s(12), 6.0, 2.0), None, "no time has passed");
        assert_eq!(processors.since(s(13), 99.0, 2.0), Some(1.0));
    }

    #[test]
    fn a_name_with_brackets_and_blanks_is_no_field() {
        let line = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(seconds(line), Some(2.0));
        assert_eq!(seconds("nothing"), None);
    }
}

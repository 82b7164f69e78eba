//! Rows that were committed behind the cursor: what was read of a window is counted, and once more an interval later.
use super::cursor::Cursor;
use std::time::Duration;

/// What lies between two places of the cursor, the first excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Cursor,
    pub(super) to: Cursor,
    /// Rows that were read of it.
    read: u64,
}

/// The audit of one table. Rows that change or go after they were read leave their window, so that what is counted is the
/// least that came late.
pub(super) struct Audit {
    /// Between two looks; zero is never.
    every: Duration,
    due: Duration,
    /// Where the window that is being read begins.
    begins: Option<Cursor>,
    read: u64,
    /// The window before.
    last: Option<Window>,
    /// Late rows in all.
    pub(super) late: u64,
}

impl Audit {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, due: Duration::ZERO, begins: None, read: 0, last: None, late: 0 }
    }

    /// So many rows were read.
    pub(super) fn read(&mut self, rows: usize) {
        self.read += rows as u64;
    }

    /// Everything up to the cursor was read. Answers the window that is to be counted again now.
    pub(super) fn caught_up(&mut self, cursor: &Cursor, now: Duration) -> Option<Window> {
        if self.every.is_zero() || now < self.due || cursor.time.is_none() {
            return None;
        }
        self.due = now + self.every;
        let read = std::mem::take(&mut self.read);
        let begins = self.begins.replace(cursor.clone());
        let window = begins.map(|from| Window { from, to: cursor.clone(), read });
        std::mem::replace(&mut self.last, window)
    }

    /// The rows that a window holds now; answers how many of them came late.
    pub(super) fn counted(&mut self, window: &Window, rows: u64) -> u64 {
        let late = rows.saturating_sub(window.read);
        self.late += late;
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: i64) -> Cursor {
        Cursor { time: Some(time), ..Cursor::default() }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_window_is_counted_again_one_interval_after_it_was_read() {
        let mut audit = Audit::new(s(10));
        audit.read(500);
        assert_eq!(audit.caught_up(&at(100), s(1)), None, "what the first reads found is no window");
        audit.read(7);
        assert_eq!(audit.caught_up(&at(150), s(5)), None, "too soon");
        audit.read(3);
        assert_eq!(audit.caught_up(&at(200), s(11)), None, "nothing is an interval old yet");
        let window = audit.caught_up(&at(300), s(21)).unwrap();
        assert_eq!(window, Window { from: at(100), to: at(200), read: 10 });
        assert_eq!((audit.counted(&window, 12), audit.counted(&window, 9), audit.late), (2, 0, 2));
    }

    #[test]
    fn an_interval_of_nothing_is_never() {
        let mut audit = Audit::new(Duration::ZERO);
        for second in 0..100 {
            assert_eq!(audit.caught_up(&at(5), s(second)), None);
        }
    }
}

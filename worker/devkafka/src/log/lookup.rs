//! Search by time, as ListOffsets asks for it.
use super::Partition;
use super::record::visit;

/// An offset and the timestamp of its record.
pub(crate) type Found = (i64, i64);

impl Partition {
    /// The first record below `end` whose timestamp is at least `timestamp`.
    pub(crate) fn at_time(&self, timestamp: i64, end: i64) -> Option<Found> {
        let fits = |i: &usize| {
            self.entries
                .get(*i)
                .is_some_and(|e| e.max_timestamp >= timestamp && e.base < end && !e.control && e.last >= self.start())
        };
        (0..self.entries.len()).filter(fits).find_map(|i| self.first_record(i, timestamp))
    }

    /// The first record that carries the largest timestamp.
    pub(crate) fn at_max_time(&self) -> Option<Found> {
        let data = || self.entries.iter().enumerate().filter(|(_, e)| !e.control && e.last >= self.start());
        let top = data().map(|(_, e)| e.max_timestamp).max()?;
        let (i, _) = data().find(|(_, e)| e.max_timestamp == top)?;
        self.first_record(i, top)
    }

    /// The first record of a batch from `timestamp` on. Of a batch that cannot be read, its first offset.
    fn first_record(&self, i: usize, timestamp: i64) -> Option<Found> {
        let batch = self.batch(i).ok()??;
        let stamped = batch.header.log_append_time();
        let mut found = None;
        let read = visit(&batch, |r| {
            let t = if stamped { batch.header.max_timestamp } else { r.timestamp };
            if t >= timestamp && r.offset >= self.start() {
                found = Some((r.offset, t));
            }
            found.is_none()
        });
        found.or_else(|| if read.is_none() { Some((batch.header.base, batch.header.max_timestamp)) } else { None })
    }
}

//! What was sent, compared with what is there.
use super::load::Sent;

/// How the destination differs from what was sent.
#[derive(Debug, Default)]
pub struct Difference {
    /// Records that were sent and are good.
    pub sent: u64,
    /// Sent and not there.
    pub missing: Vec<(usize, u64)>,
    /// There more than once, or never sent.
    pub doubled: Vec<(usize, u64)>,
    /// There after a later one of its partition, where the destination has an order.
    pub late: Vec<(usize, u64)>,
    /// What the sink has staged and neither shown nor removed.
    pub left_over: Vec<String>,
    /// Bad records, and dead letters of them.
    pub bad: (u64, u64),
}

impl Difference {
    /// Nothing is wrong. Dead letters may repeat, but none is missing.
    pub fn is_clean(&self) -> bool {
        let same = self.missing.is_empty() && self.doubled.is_empty() && self.late.is_empty();
        same && self.left_over.is_empty() && self.bad.1 >= self.bad.0 && self.sent > 0
    }
}

/// `has_order`: rows are in the order in which they were written.
pub(super) fn compare(sent: &Sent, rows: &[(usize, u64)], has_order: bool) -> Difference {
    let mut difference = Difference { sent: sent.good.iter().sum(), ..Difference::default() };
    for (partition, count) in sent.good.iter().enumerate() {
        let mut seen = vec![0u32; usize::try_from(*count).unwrap_or(0)];
        let mut last = None;
        for (_, number) in rows.iter().filter(|(p, _)| *p == partition) {
            match usize::try_from(*number).ok().and_then(|n| seen.get_mut(n)) {
                Some(times) => *times += 1,
                None => difference.doubled.push((partition, *number)),
            }
            if has_order && last.is_some_and(|last| *number < last) {
                difference.late.push((partition, *number));
            }
            last = Some(*number);
        }
        for (number, times) in seen.iter().enumerate() {
            match times {
                0 => difference.missing.push((partition, number as u64)),
                1 => {}
                _ => difference.doubled.push((partition, number as u64)),
            }
        }
    }
    difference
}

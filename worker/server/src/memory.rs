//! How much of the memory that it may use this process uses.

/// Part of what there is that a worker may use which is told nothing.
const SHARE: f64 = 0.7;
/// What the control group of this process may use, in the two forms of Linux.
const OF_GROUP: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The memory that this worker may use.
pub(crate) struct Memory {
    most: Option<u64>,
}

impl Memory {
    /// As `worker.memory.bytes` says.
    pub(crate) fn new(set: Option<u64>) -> Self {
        Self { most: set.or_else(|| there_is().map(part)) }
    }

    /// Bytes used, and bytes that may be; `None` where the system does not tell.
    pub(crate) fn used(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        Some((kilobytes(&status, "VmRSS:")?, self.most.filter(|most| *most > 0)?))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a size")]
fn part(all: u64) -> u64 {
    (all as f64 * SHARE) as u64
}

/// The machine's memory, or what the control group leaves of it.
fn there_is() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| kilobytes(&text, "MemTotal:"));
    let group = |path: &&str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    OF_GROUP.iter().filter_map(group).chain(machine).min()
}

/// Bytes of a line such as `VmRSS:     1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_goes_before_what_there_is() {
        assert_eq!(Memory::new(Some(5)).most, Some(5));
        let (used, most) = Memory::new(None).used().unwrap();
        assert!(used > 100_000 && most > used, "{used} of {most}");
    }

    #[test]
    fn sizes_are_read_in_kilobytes() {
        let text = "Name:\tx\nVmRSS:\t    2048 kB\nThreads: 1\n";
        assert_eq!(kilobytes(text, "VmRSS:"), Some(2_097_152));
        assert_eq!(kilobytes(text, "VmSwap:"), None);
    }
}

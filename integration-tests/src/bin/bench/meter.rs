//! CPU seconds and memory of a process, from `/proc`.
use anyhow::{Context, Result};

/// Clock ticks a second of `/proc/<pid>/stat` on Linux.
const TICKS: f64 = 100.0;

/// Figures of a process at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// User and system time, seconds.
    pub(crate) cpu_s: f64,
    /// Resident memory, MiB.
    pub(crate) rss_mib: f64,
    /// Its peak, MiB.
    pub(crate) peak_mib: f64,
}

/// Reads the figures of a process.
pub(crate) fn read(pid: u32) -> Result<Reading> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).context("/proc/<pid>/stat is short");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mib = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().nth(1)?.parse::<f64>().ok());
        line.unwrap_or(0.0) / 1024.0
    };
    Ok(Reading { cpu_s: (ticks(11)? + ticks(12)?) / TICKS, rss_mib: mib("VmRSS"), peak_mib: mib("VmHWM") })
}

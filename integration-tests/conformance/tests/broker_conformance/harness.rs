//! Runs a list of checks side by side, each with a limit, and reports them.
use anyhow::Result;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A check that takes longer counts as hung.
const LIMIT: Duration = Duration::from_secs(120);
/// Checks at once on one broker: they wait more than they work.
const WORKERS: usize = 10;

/// A broker.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    name: String,
    pub(crate) bootstrap: String,
}

impl Target {
    pub(crate) fn new(name: &str, bootstrap: String) -> Self {
        Target { name: name.into(), bootstrap }
    }
}

/// One check: a sentence and how to see whether it is true.
pub(crate) type Check = (&'static str, fn(&str) -> Result<()>);

/// The broker does not have what a check is about.
#[derive(Debug)]
pub(crate) struct NotOffered(pub(crate) String);

impl fmt::Display for NotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotOffered {}

/// Runs all checks on all targets; returns how many failed.
pub(crate) fn run(targets: &[Target], checks: &[&Check]) -> usize {
    let work: Vec<(&Target, &Check)> = checks.iter().flat_map(|c| targets.iter().map(move |t| (t, *c))).collect();
    let (next, failed, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS * targets.len() {
            scope.spawn(|| {
                while let Some((target, check)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !passes(target, check) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    let names: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
    println!("{}: {} checks, {failed} failed, in {:.0?}", names.join(" and "), work.len(), start.elapsed());
    failed
}

/// Runs one check in a thread that is left behind if it hangs.
fn passes(target: &Target, check: &Check) -> bool {
    let (tell, told) = mpsc::channel();
    let (bootstrap, f, start) = (target.bootstrap.clone(), check.1, Instant::now());
    std::thread::spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| f(&bootstrap)));
        let _ = tell.send(result.unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked"))));
    });
    let (verdict, why) = match told.recv_timeout(LIMIT) {
        Ok(Ok(())) => ("ok", String::new()),
        Ok(Err(e)) if e.is::<NotOffered>() => ("not offered", format!(": {e}")),
        Ok(Err(e)) => ("FAILED", format!(": {e:#}")),
        Err(_) => ("FAILED", format!(": it hangs for {LIMIT:?}")),
    };
    println!("{verdict} {} {} ({:.1?}){why}", target.name, check.0, start.elapsed());
    verdict != "FAILED"
}

//! The circuit breaker of a task: what stands between it and the system at the other end.
//!
//! Only passing failures count, and only those of calls: connecting, polling, putting, making durable. Where the connector
//! tries again by itself, it asks for a permit before each attempt ([`Endpoint`]) and the loops do not count on top of it;
//! every other connector fails with its call, and the supervisor makes no new instance while the breaker is open. Half
//! open, one call at a time is a trial: one page of a source, one record of a sink.
mod machine;

pub use machine::{BreakerState, Forced};

use crate::ports::Random;
use elasticflow_api::ErrorClass;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::context::{Endpoint, Permit};
use elasticflow_config::flow::BreakerSettings;
use machine::{Admission, Machine};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// Wait of what ends by a change alone.
const UNTIL_CHANGED: Duration = Duration::from_secs(3600);

/// A breaker as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerReport {
    /// What it does.
    pub state: BreakerState,
    /// How long it has not been closed.
    pub open_for: Option<Duration>,
    /// How often it opened since the task was started here.
    pub opened: u64,
}

/// The breaker of one task; it outlives the task's instances.
pub struct TaskBreaker {
    shared: Arc<Shared>,
    /// The connector asks by itself.
    asked: AtomicBool,
}

struct Shared {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    machine: Mutex<Machine>,
    /// It is closed: then nobody need look.
    closed: AtomicBool,
    changed: Notify,
    /// What the last instance that such a failure ended has said.
    failure: Mutex<Option<String>>,
}

impl TaskBreaker {
    pub(crate) fn new(settings: BreakerSettings, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let machine = Mutex::new(Machine::new(settings, clock.monotonic()));
        let closed = AtomicBool::new(true);
        let shared =
            Arc::new(Shared { clock, random, machine, closed, changed: Notify::new(), failure: Mutex::default() });
        Self { shared, asked: AtomicBool::new(false) }
    }

    /// What it does now.
    pub fn report(&self) -> BreakerReport {
        let now = self.shared.clock.monotonic();
        let machine = self.shared.machine.lock();
        let open_for = machine.opened(now).map(|since| now.saturating_sub(since));
        BreakerReport { state: machine.state(now), open_for, opened: machine.times }
    }

    /// Overrules it until it is told otherwise.
    pub fn force(&self, forced: Forced) {
        let now = self.shared.clock.monotonic();
        let mut machine = self.shared.machine.lock();
        machine.force(forced, now);
        self.shared.closed.store(machine.state(now) == BreakerState::Closed, Relaxed);
        drop(machine);
        self.shared.changed.notify_waiters();
    }

    /// How it is overruled now.
    pub fn forced(&self) -> Forced {
        self.shared.machine.lock().forced()
    }

    /// What the last failure was, as the task's error says it; nothing where the connector tries again by itself.
    pub fn last_failure(&self) -> Option<String> {
        self.shared.failure.lock().clone()
    }

    // --- the loops' side -------------------------------------------------------------------------------------------

    /// How a call of the loop went, unless the connector tells by itself; errors that do not pass say nothing.
    pub(crate) fn called(&self, failed: Option<ErrorClass>) {
        if self.asked.load(Relaxed) {
            return;
        }
        match failed {
            None => self.shared.end(Some(true)),
            Some(ErrorClass::Transient { .. }) => self.shared.end(Some(false)),
            Some(
                ErrorClass::Config | ErrorClass::Record | ErrorClass::Definite | ErrorClass::Fenced | ErrorClass::Bug,
            ) => self.shared.end(None),
        }
    }

    /// Remembers why an instance ended.
    pub(crate) fn remember(&self, failure: String) {
        *self.shared.failure.lock() = Some(failure);
    }

    /// Whether calls are made as ever.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.closed.load(Relaxed)
    }

    /// Whether trial calls are made.
    pub(crate) fn is_trial(&self) -> bool {
        !self.shared.closed.load(Relaxed) && self.report().state == BreakerState::HalfOpen
    }

    /// How long nothing may be read; `None` when it may. Costs one atomic while the breaker is closed.
    pub(crate) fn wait(&self) -> Option<Duration> {
        if self.shared.closed.load(Relaxed) {
            return None;
        }
        let admission = self.shared.machine.lock().wait(self.shared.clock.monotonic());
        match admission {
            Admission::Go => None,
            Admission::Wait(wait) => Some(wait.unwrap_or(UNTIL_CHANGED)),
        }
    }

    /// Waits for a change of state; cancel-safe. One that comes before the call is missed.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Returns once a new instance may be made; cancel-safe.
    pub(crate) async fn ready(&self) {
        self.shared.wait(|machine, now| machine.wait(now)).await;
    }

    /// Whether it has been open for longer than the task may wait.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.shared.machine.lock().is_exhausted(self.shared.clock.monotonic())
    }
}

impl Shared {
    async fn wait(&self, mut ask: impl FnMut(&mut Machine, Duration) -> Admission) {
        loop {
            // Made before the question, so that no change between the two is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let Admission::Wait(wait) = ask(&mut self.machine.lock(), self.clock.monotonic()) else { return };
            tokio::select! {
                biased;
                () = changed => {}
                () = self.clock.sleep(wait.unwrap_or(UNTIL_CHANGED)) => {}
            }
        }
    }

    fn end(&self, went_well: Option<bool>) {
        let now = self.clock.monotonic();
        let mut machine = self.machine.lock();
        let before = machine.state(now);
        match went_well {
            Some(true) => machine.succeeded(now),
            Some(false) => machine.failed(now, self.random.unit()),
            None => machine.abandoned(now),
        }
        let after = machine.state(now);
        self.closed.store(after == BreakerState::Closed, Relaxed);
        drop(machine);
        if (before, after) != (BreakerState::Closed, BreakerState::Closed) {
            self.changed.notify_waiters();
        }
    }
}

impl Endpoint for TaskBreaker {
    fn permit(&self) -> Boxed<'_, Permit> {
        self.asked.store(true, Relaxed);
        Box::pin(async {
            self.shared.wait(|machine, now| machine.ask(now)).await;
            let shared = Arc::clone(&self.shared);
            Permit::new(move |went_well| shared.end(went_well))
        })
    }
}

#[cfg(test)]
mod tests;

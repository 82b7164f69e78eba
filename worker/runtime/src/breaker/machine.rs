//! The circuit breaker as a machine: what was called and how it went in, what may be called out. Time comes in as a value.
use elasticflow_config::flow::BreakerSettings;
use std::time::Duration;

/// How far back the ratio looks.
const WINDOW: Duration = Duration::from_secs(60);

/// Parts of the window.
const SLOTS: usize = 12;

/// How long a breaker stays closed for its open time to be halved again.
const CALM: Duration = Duration::from_secs(300);

/// Part of an open time that is left to chance.
const JITTER: f64 = 0.2;

/// Doublings after which only the longest open time counts.
const DOUBLINGS_MAX: u32 = 30;

/// How a person overrules a breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Forced {
    /// Not at all.
    #[default]
    Auto,
    /// No call is made.
    Open,
    /// Every call is made.
    Closed,
}

/// What a breaker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// None is made.
    Open,
    /// One trial call at a time.
    HalfOpen,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Go,
    /// It may not for so long; `None`: until something changes.
    Wait(Option<Duration>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    Closed { since: Duration },
    Open { until: Duration },
    HalfOpen { good: u32, busy: bool, since: Duration },
}

/// A breaker.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    settings: BreakerSettings,
    inner: Inner,
    forced: Forced,
    /// Failures in a row.
    row: u32,
    /// Calls and failures of the window, by slot.
    window: [(u32, u32); SLOTS],
    slot: u64,
    /// Open times doubled so often.
    doubled: u32,
    /// Since when it has not been closed.
    opened: Option<Duration>,
    /// How often it opened from closed.
    pub(super) times: u64,
}

impl Machine {
    pub(super) fn new(settings: BreakerSettings, now: Duration) -> Self {
        Self {
            settings,
            inner: Inner::Closed { since: now },
            forced: Forced::Auto,
            row: 0,
            window: [(0, 0); SLOTS],
            slot: 0,
            doubled: 0,
            opened: None,
            times: 0,
        }
    }

    pub(super) fn state(&self, now: Duration) -> BreakerState {
        match (self.forced, self.inner) {
            (Forced::Open, _) => BreakerState::Open,
            (Forced::Closed, _) | (Forced::Auto, Inner::Closed { .. }) => BreakerState::Closed,
            (Forced::Auto, _) if self.is_idle(now) => BreakerState::Closed,
            (Forced::Auto, Inner::Open { until }) if now < until => BreakerState::Open,
            (Forced::Auto, Inner::Open { .. } | Inner::HalfOpen { .. }) => BreakerState::HalfOpen,
        }
    }

    /// How it is overruled.
    pub(super) fn forced(&self) -> Forced {
        self.forced
    }

    /// Since when it has not been closed.
    pub(super) fn opened(&self, now: Duration) -> Option<Duration> {
        self.opened.filter(|_| self.forced == Forced::Open || !self.is_idle(now))
    }

    /// Overrules it, or ends that: then it starts closed.
    pub(super) fn force(&mut self, forced: Forced, now: Duration) {
        self.forced = forced;
        self.opened = (forced == Forced::Open).then_some(now);
        self.close(now);
    }

    /// How long until a call may be made, without making one.
    pub(super) fn wait(&self, now: Duration) -> Admission {
        match (self.forced, self.inner) {
            (Forced::Open, _) => Admission::Wait(None),
            (Forced::Auto, Inner::Open { until }) if now < until => Admission::Wait(Some(until - now)),
            _ => Admission::Go,
        }
    }

    /// Asks for one call; [`Admission::Go`] is to be followed by its outcome.
    pub(super) fn ask(&mut self, now: Duration) -> Admission {
        if let wait @ Admission::Wait(_) = self.wait(now) {
            return wait;
        }
        if self.forced == Forced::Closed {
            return Admission::Go;
        }
        self.rest(now);
        match &mut self.inner {
            Inner::Closed { .. } => {}
            Inner::Open { .. } => self.inner = Inner::HalfOpen { good: 0, busy: true, since: now },
            Inner::HalfOpen { busy: true, .. } => return Admission::Wait(None),
            Inner::HalfOpen { busy, .. } => *busy = true,
        }
        Admission::Go
    }

    /// A call went well.
    pub(super) fn succeeded(&mut self, now: Duration) {
        self.rest(now);
        self.arrive(now);
        self.count(now, 0);
        self.row = 0;
        match &mut self.inner {
            Inner::Closed { since } => {
                if self.doubled > 0 && now.saturating_sub(*since) >= CALM {
                    self.doubled -= 1;
                    *since = now;
                }
            }
            // An answer to a call that was on its way when it opened says little about what is tried.
            Inner::Open { .. } => {}
            Inner::HalfOpen { good, busy, since } => {
                (*good, *busy, *since) = (*good + 1, false, now);
                if *good >= self.settings.successes {
                    self.close(now);
                }
            }
        }
    }

    /// A call failed for a passing reason; `chance` is between 0 and 1.
    pub(super) fn failed(&mut self, now: Duration, chance: f64) {
        self.rest(now);
        self.arrive(now);
        self.count(now, 1);
        self.row = self.row.saturating_add(1);
        match self.inner {
            Inner::Closed { .. } if self.trips() => {
                self.times += 1;
                self.opened.get_or_insert(now);
                self.open(now, chance);
            }
            Inner::Closed { .. } | Inner::Open { .. } => {}
            Inner::HalfOpen { .. } => {
                self.doubled = (self.doubled + 1).min(DOUBLINGS_MAX);
                self.open(now, chance);
            }
        }
    }

    /// A call ended without saying anything about the system at the other end.
    pub(super) fn abandoned(&mut self, now: Duration) {
        if let Inner::HalfOpen { busy, since, .. } = &mut self.inner {
            (*busy, *since) = (false, now);
        }
    }

    /// Whether it has been away from closed for longer than the task may wait.
    pub(super) fn is_exhausted(&self, now: Duration) -> bool {
        let most = u64::try_from(self.settings.fail_after).ok().map(Duration::from_millis);
        self.forced == Forced::Auto
            && most.zip(self.opened(now)).is_some_and(|(most, since)| now.saturating_sub(since) > most)
    }

    /// A call that nobody asked for beforehand, after the open time, is a trial.
    fn arrive(&mut self, now: Duration) {
        if matches!(self.inner, Inner::Open { until } if now >= until) {
            self.inner = Inner::HalfOpen { good: 0, busy: true, since: now };
        }
    }

    /// Whether nothing has been left to try for as long as the longest open time. Who has no work any more would else be
    /// half open for ever, and its incident never over. Calls that nobody asked for are heard of when they end: one that
    /// hangs is to end within the window, or it is taken for none.
    fn is_idle(&self, now: Duration) -> bool {
        let since = match self.inner {
            Inner::Closed { .. } | Inner::HalfOpen { busy: true, .. } => return false,
            Inner::Open { until: since } | Inner::HalfOpen { since, .. } => since,
        };
        now.saturating_sub(since) >= self.longest().max(WINDOW)
    }

    /// Closes when it has been idle.
    fn rest(&mut self, now: Duration) {
        if self.forced == Forced::Auto && self.is_idle(now) {
            self.close(now);
        }
    }

    fn trips(&self) -> bool {
        let enabled = self.settings.enable && self.forced == Forced::Auto;
        let (calls, failures) = self.window.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        let by_ratio =
            calls >= self.settings.min_calls && f64::from(failures) >= self.settings.ratio * f64::from(calls);
        enabled && (self.row >= self.settings.consecutive || by_ratio)
    }

    fn longest(&self) -> Duration {
        self.settings.open_max.duration().max(self.settings.open.duration())
    }

    fn open(&mut self, now: Duration, chance: f64) {
        let doubled = self.settings.open.duration().saturating_mul(1_u32 << self.doubled.min(DOUBLINGS_MAX));
        let time = doubled.min(self.longest()).mul_f64(1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0));
        self.inner = Inner::Open { until: now.saturating_add(time) };
    }

    fn close(&mut self, now: Duration) {
        self.inner = Inner::Closed { since: now };
        (self.row, self.window) = (0, [(0, 0); SLOTS]);
        if self.forced != Forced::Open {
            self.opened = None;
        }
    }

    /// Counts a call in the slot of the moment; slots that have passed are emptied.
    fn count(&mut self, now: Duration, failures: u32) {
        let width = WINDOW.as_millis() / SLOTS as u128;
        let slot = u64::try_from(now.as_millis() / width).unwrap_or(u64::MAX);
        let passed = usize::try_from(slot.saturating_sub(self.slot)).unwrap_or(SLOTS).min(SLOTS);
        for step in 1..=passed {
            if let Some(old) = self.window.get_mut((self.slot as usize + step) % SLOTS) {
                *old = (0, 0);
            }
        }
        self.slot = self.slot.max(slot);
        if let Some((calls, failed)) = self.window.get_mut(self.slot as usize % SLOTS) {
            *calls += 1;
            *failed += failures;
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

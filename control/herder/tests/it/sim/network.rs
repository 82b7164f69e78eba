//! What lies between a worker and everything else: delays, lost answers, and whether the worker runs at all.
use elasticflow_api::clock::{Boxed, Clock};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// A call to Kafka that gets no answer fails after this.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Random numbers from a seed; xorshift.
#[derive(Clone)]
pub(super) struct Dice(Arc<Mutex<u64>>);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)))
    }

    /// A number below `bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 33) % bound
    }

    pub(super) fn one_in(&self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn ms(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// A value that can be waited for. Whoever waits is woken in the order of arrival, so that a seed is a whole run; the
/// watch channel of the library wakes in a random one.
pub(super) struct Signal<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Signal<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    pub(super) fn get(&self) -> T {
        *self.value.lock().unwrap()
    }

    pub(super) fn modify(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.value.lock().unwrap());
        self.changed.notify_waiters();
    }

    /// Returns when the value is one; cancel-safe.
    pub(super) async fn until(&self, is_it: impl Fn(&T) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_it(&self.value.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Runs,
    /// As after SIGSTOP.
    Frozen,
    /// Gone; what is left of it in this process never does anything again.
    Dead,
}

#[derive(Debug, Clone, Copy)]
struct State {
    life: Life,
    /// Kafka is not reached.
    cut: bool,
    /// Since when it runs.
    since: Instant,
}

/// The way of one worker to everything else.
pub(super) struct Link {
    state: Signal<State>,
    dice: Dice,
    base: Instant,
}

/// No answer, whether the call was carried out or not.
pub(super) struct Lost;

impl Link {
    pub(super) fn new(dice: &Dice) -> Arc<Self> {
        let now = Instant::now();
        let state = State { life: Life::Runs, cut: false, since: now };
        Arc::new(Self { state: Signal::new(state), dice: dice.clone(), base: now })
    }

    pub(super) fn set(&self, life: Life) {
        self.state.modify(|state| {
            if state.life != Life::Dead {
                *state = State { life, since: Instant::now(), ..*state };
            }
        });
    }

    pub(super) fn cut(&self, cut: bool) {
        self.state.modify(|state| state.cut = cut);
    }

    pub(super) fn life(&self) -> Life {
        self.state.get().life
    }

    /// Whether it has run for a while, so that it has had time to see what has changed.
    pub(super) fn has_run_for(&self, time: Duration) -> bool {
        let state = self.state.get();
        state.life == Life::Runs && Instant::now() - state.since >= time
    }

    /// Whether heartbeats reach the coordinator.
    pub(super) fn beats(&self) -> bool {
        let state = self.state.get();
        state.life == Life::Runs && !state.cut
    }

    /// Returns when the worker runs; for a dead one never.
    pub(super) async fn runs(&self) {
        self.state.until(|state| state.life == Life::Runs).await;
    }

    /// Returns when the worker runs and reaches Kafka.
    pub(super) async fn reaches(&self) {
        self.state.until(|state| state.life == Life::Runs && !state.cut).await;
    }

    /// A message on its way, in either direction.
    pub(super) async fn pass(&self) -> Result<(), Lost> {
        self.runs().await;
        let slow = self.dice.one_in(40);
        sleep(if slow { self.dice.ms(100, 1500) } else { self.dice.ms(0, 8) }).await;
        self.runs().await;
        if !self.state.get().cut {
            return Ok(());
        }
        sleep(ANSWER_MAX).await;
        self.runs().await;
        Err(Lost)
    }
}

/// The clock of a worker: it goes on while the worker is frozen, which then sees that it is late.
pub(super) struct SimClock(pub(super) Arc<Link>);

impl Clock for SimClock {
    fn wall_ms(&self) -> i64 {
        i64::try_from((Instant::now() - self.0.base).as_millis()).unwrap()
    }
    fn monotonic(&self) -> Duration {
        Instant::now() - self.0.base
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        let (link, until) = (Arc::clone(&self.0), Instant::now() + for_);
        Box::pin(async move {
            sleep_until(until).await;
            link.runs().await;
        })
    }
}

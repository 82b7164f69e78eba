//! The leases as both sides see them: the member, which gains and loses them, and the herder, which acts on them.
use crate::figures::GroupFigures;
use crate::ports::Leases;
use elasticflow_api::clock::Clock;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A partition of one of the two topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lease {
    /// A slot.
    Slot(i32),
    /// Leadership.
    Leader,
}

struct State {
    /// What the group protocol has given, whether it is proved or not.
    held: BTreeSet<Lease>,
    /// Until when it counts, by this worker's clock.
    proved_until: Duration,
    version: u64,
    /// As last shown to the herder.
    shown: Arc<Leases>,
    /// How far the herder has followed, and the slots that it still has tasks on.
    settled: u64,
    busy: BTreeSet<i32>,
    figures: GroupFigures,
    /// Since when leases are on their way.
    moving_since: Option<Duration>,
}

/// Shared by the member and the herder.
pub(super) struct Book {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// Version of the leases.
    changed: watch::Sender<u64>,
    /// Moves when the herder has settled.
    settled: watch::Sender<u64>,
}

impl Book {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            held: BTreeSet::new(),
            proved_until: Duration::ZERO,
            version: 0,
            shown: Arc::default(),
            settled: 0,
            busy: BTreeSet::new(),
            figures: GroupFigures::default(),
            moving_since: None,
        };
        Self { state: Mutex::new(state), clock, changed: watch::channel(0).0, settled: watch::channel(0).0 }
    }

    /// What may be relied on at this moment.
    pub(super) fn leases(&self) -> Arc<Leases> {
        let mut state = self.state.lock();
        self.show(&mut state);
        Arc::clone(&state.shown)
    }

    /// Shows what holds; a change has a version of its own.
    fn show(&self, state: &mut State) {
        let proved = self.clock.monotonic() < state.proved_until;
        let held = |lease: &&Lease| proved && state.held.contains(*lease);
        let leads = held(&&Lease::Leader);
        let slots: BTreeSet<i32> = state
            .held
            .iter()
            .filter(held)
            .filter_map(|lease| match lease {
                Lease::Slot(slot) => Some(*slot),
                Lease::Leader => None,
            })
            .collect();
        if state.shown.leads == leads && state.shown.slots == slots {
            return;
        }
        state.version += 1;
        let since = |slot: &i32| state.shown.gained.get(slot).copied().unwrap_or(state.version);
        let gained = slots.iter().map(|slot| (*slot, since(slot))).collect();
        state.shown = Arc::new(Leases { version: state.version, slots, gained, leads });
        self.changed.send_replace(state.version);
    }

    /// Returns when the leases are not those of a version any more; cancel-safe.
    pub(super) async fn changed(&self, since: u64) {
        let mut changed = self.changed.subscribe();
        // The sender lives as long as this.
        drop(changed.wait_for(|version| *version > since).await);
    }

    /// Counts for metrics.
    pub(super) fn figures(&self) -> GroupFigures {
        let state = self.state.lock();
        GroupFigures { rebalancing: state.moving_since.is_some(), ..state.figures }
    }

    /// Leases are on their way from here on, if they were not.
    pub(super) fn moving(&self) {
        let now = self.clock.monotonic();
        self.state.lock().moving_since.get_or_insert(now);
    }

    /// Membership was proved at a moment, which covers what is held and what has just been given.
    pub(super) fn prove(&self, given: &mut BTreeSet<Lease>, asked_at: Duration, until: Duration) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        state.figures.proofs.add(now.saturating_sub(asked_at));
        state.figures.proved_at = Some(asked_at);
        if let Some(since) = state.moving_since.take() {
            state.figures.rebalances.add(now.saturating_sub(since));
            state.figures.rebalanced_at = Some(now);
        }
        state.held.append(given);
        state.proved_until = state.proved_until.max(until);
        self.show(&mut state);
    }

    /// Takes leases away; the version from which on they are gone.
    pub(super) fn take(&self, leases: &BTreeSet<Lease>) -> u64 {
        self.moving();
        let mut state = self.state.lock();
        state.held.retain(|lease| !leases.contains(lease));
        self.show(&mut state);
        state.version
    }

    /// Everything is gone.
    pub(super) fn lose(&self) {
        self.moving();
        let mut state = self.state.lock();
        state.figures.lost += 1;
        state.held.clear();
        state.proved_until = Duration::ZERO;
        self.show(&mut state);
    }

    /// Whether there is nothing to prove.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().held.is_empty()
    }

    /// How long what is held still counts; `None` when nothing does.
    pub(super) fn remaining(&self) -> Option<Duration> {
        let state = self.state.lock();
        let now = self.clock.monotonic();
        (now < state.proved_until && !state.held.is_empty()).then(|| state.proved_until - now)
    }

    /// The herder has acted on a version; tasks remain on these slots.
    pub(super) fn settle(&self, version: u64, busy: BTreeSet<i32>) {
        let mut state = self.state.lock();
        state.settled = version;
        state.busy = busy;
        drop(state);
        self.settled.send_modify(|count| *count += 1);
    }

    /// Returns when the herder has nothing left on leases that were taken with a version; cancel-safe.
    pub(super) async fn let_go(&self, leases: &BTreeSet<Lease>, version: u64) {
        let mut settled = self.settled.subscribe();
        let gone = |_: &u64| {
            let state = self.state.lock();
            let busy = state.busy.iter().any(|slot| leases.contains(&Lease::Slot(*slot)));
            state.settled >= version && !busy
        };
        drop(settled.wait_for(gone).await);
    }
}

#[cfg(test)]
mod tests;

//! Where a transaction ends: a pure decision after and before every batch.
//!
//! Whole upstream transactions are grouped as in a database's group commit. What has arrived by the time a batch is sent
//! joins its transaction; when nothing waits, it is committed at once. So an idle stream commits in milliseconds and a
//! busy one in large groups.
use elasticflow_api::source::Boundary;
use std::time::Duration;

/// Longest that whole upstream transactions are gathered while more keep arriving.
pub(super) const GROUP_MAX: Duration = Duration::from_millis(100);

/// Longest that positions without records wait for company.
pub(super) const PROGRESS_MAX: Duration = Duration::from_millis(500);

/// The configured rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// At the end of batches, grouped (`poll`).
    Poll,
    /// Every so often (`interval`; also the flush interval of at-least-once tasks).
    Interval(Duration),
    /// Where the connector says (`connector`): never cut for time.
    Connector,
}

/// Limits of one transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    pub(super) records: usize,
    pub(super) bytes: usize,
    pub(super) age: Duration,
}

/// What stands in the open transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// Dead letters.
    pub(super) letters: usize,
    /// Positions are pending, with or without records.
    pub(super) positions: bool,
    /// The upstream transaction of the last batch goes on.
    pub(super) inside: bool,
    /// The last record, or progress after it, has a position: a task can resume here. A transaction never ends elsewhere.
    pub(super) resumable: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Go on.
    Wait,
    /// Commit.
    Commit,
    /// Commit in the middle of an upstream transaction, because a limit forces it.
    Cut,
}

impl Open {
    fn empty(&self) -> bool {
        self.silent() && !self.positions
    }

    /// Nothing but positions.
    fn silent(&self) -> bool {
        self.records == 0 && self.letters == 0
    }
}

/// After a batch was sent, and whenever the deadline of [`due`] has passed. `waiting`: another batch is there already.
pub(super) fn after(rule: Rule, caps: &Caps, open: &Open, age: Duration, waiting: bool) -> Next {
    if open.empty() || !open.resumable {
        return Next::Wait;
    }
    let full = open.records + open.letters >= caps.records || open.bytes >= caps.bytes;
    if open.inside {
        let late = age >= caps.age && rule != Rule::Connector;
        return if full || late { Next::Cut } else { Next::Wait };
    }
    let ends = match rule {
        Rule::Interval(every) => age >= every,
        Rule::Poll | Rule::Connector if open.silent() => age >= PROGRESS_MAX,
        Rule::Poll | Rule::Connector => !waiting || age >= GROUP_MAX,
    };
    if full || ends { Next::Commit } else { Next::Wait }
}

/// Before a batch is sent: whether what is open must be committed first, so that the batch's upstream transaction is
/// neither cut nor, if it may still be rolled back, mixed with finished ones.
pub(super) fn before(caps: &Caps, open: &Open, batch_records: usize, boundary: Boundary) -> bool {
    if open.empty() || open.inside {
        return false;
    }
    boundary != Boundary::Complete || open.records > 0 && open.records + batch_records > caps.records
}

/// How long after the first record or position the rule must be asked again without a batch.
pub(super) fn due(rule: Rule, caps: &Caps, open: &Open) -> Option<Duration> {
    if open.empty() || !open.resumable {
        return None;
    }
    Some(match rule {
        Rule::Interval(every) if !open.inside => every,
        Rule::Connector if open.inside => return None,
        Rule::Poll | Rule::Connector if !open.inside && open.silent() => PROGRESS_MAX,
        Rule::Poll | Rule::Connector if !open.inside => GROUP_MAX,
        Rule::Poll | Rule::Interval(_) | Rule::Connector => caps.age,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { records: 100, bytes: 1000, age: Duration::from_secs(5) };
    const SOON: Duration = Duration::from_millis(1);

    fn open(records: usize) -> Open {
        Open { records, bytes: records, letters: 0, positions: true, inside: false, resumable: true }
    }

    #[test]
    fn an_idle_stream_commits_at_once_and_a_busy_one_in_groups() {
        assert_eq!(after(Rule::Poll, &CAPS, &open(1), SOON, false), Next::Commit);
        assert_eq!(after(Rule::Poll, &CAPS, &open(1), SOON, true), Next::Wait);
        assert_eq!(after(Rule::Poll, &CAPS, &open(1), GROUP_MAX, true), Next::Commit);
        assert_eq!(after(Rule::Poll, &CAPS, &open(100), SOON, true), Next::Commit);
    }

    #[test]
    fn an_upstream_transaction_is_cut_only_by_a_limit_and_only_where_a_task_can_resume() {
        let inside = |records| Open { inside: true, ..open(records) };
        assert_eq!(after(Rule::Poll, &CAPS, &inside(99), GROUP_MAX, false), Next::Wait);
        assert_eq!(after(Rule::Poll, &CAPS, &inside(100), SOON, false), Next::Cut);
        assert_eq!(after(Rule::Poll, &CAPS, &inside(1), CAPS.age, false), Next::Cut);
        assert_eq!(after(Rule::Connector, &CAPS, &inside(1), CAPS.age, false), Next::Wait);
        assert_eq!(after(Rule::Poll, &CAPS, &Open { resumable: false, ..inside(500) }, CAPS.age, false), Next::Wait);
    }

    #[test]
    fn a_transaction_that_would_not_fit_or_may_be_rolled_back_starts_its_own() {
        assert!(before(&CAPS, &open(60), 41, Boundary::Complete));
        assert!(!before(&CAPS, &open(60), 40, Boundary::Complete));
        assert!(before(&CAPS, &open(1), 1, Boundary::Inside));
        assert!(!before(&CAPS, &Open { inside: true, ..open(60) }, 100, Boundary::Inside));
        assert!(!before(&CAPS, &Open::default(), 1000, Boundary::Inside));
    }

    #[test]
    fn the_deadline_never_leads_to_waiting_again() {
        for rule in [Rule::Poll, Rule::Connector, Rule::Interval(Duration::from_secs(60))] {
            for (records, inside, resumable) in [0, 1, 1000]
                .into_iter()
                .flat_map(|n| [(n, false, true), (n, true, true), (n, true, false), (n, false, false)])
            {
                let open = Open { inside, resumable, ..open(records) };
                let Some(wait) = due(rule, &CAPS, &open) else { continue };
                assert_ne!(after(rule, &CAPS, &open, wait, true), Next::Wait, "{rule:?} {open:?}");
            }
        }
    }

    #[test]
    fn an_interval_is_waited_for_and_positions_alone_are_gathered() {
        let rule = Rule::Interval(Duration::from_secs(60));
        assert_eq!(after(rule, &CAPS, &open(5), GROUP_MAX, false), Next::Wait);
        assert_eq!(after(rule, &CAPS, &open(5), Duration::from_secs(60), true), Next::Commit);
        assert_eq!(after(Rule::Poll, &CAPS, &open(0), SOON, false), Next::Wait);
        assert_eq!(after(Rule::Poll, &CAPS, &open(0), PROGRESS_MAX, false), Next::Commit);
        assert_eq!(due(Rule::Poll, &CAPS, &Open::default()), None);
        assert_eq!(due(rule, &CAPS, &open(5)), Some(Duration::from_secs(60)));
    }
}

//! What follows a failure: one pure function over the error's class, its cause, and what has happened before.
use crate::options::RestartPolicy;
use elasticflow_api::ErrorClass;
use elasticflow_config::flow::{ReasonCode, RestartSettings};
use elasticflow_config::shortened;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

/// Attempts that a final error tells of.
const TOLD_MAX: usize = 20;

/// What the supervisor does after an instance has ended with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A new instance after a wait.
    Restart(Duration),
    /// FAILED until a human acts, for a reason beside the error if there is one.
    Fail(Option<ReasonCode>),
    /// Ask whether the task is still ours: a new instance if so, else silence.
    Reconsider(Duration),
}

/// Whose business a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The breaker's: it is open, and says when the next trial is made.
    Breaker,
    /// It has been open for longer than the task may wait.
    BreakerTooLong,
    /// Kafka cannot be reached: every task waits for it.
    Kafka,
    /// The task's: it is started again within its budget.
    Task,
}

/// A failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) class: ErrorClass,
    pub(crate) cause: Cause,
    pub(crate) now: Duration,
    /// Between 0 and 1.
    pub(crate) jitter: f64,
}

/// What has happened to a task before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts {
    /// Failures in a row, without a commit between them.
    row: u32,
    /// When that began.
    since: Duration,
    /// Restarts that count, within the window.
    counted: VecDeque<Duration>,
    /// The last restarts: when, by the calendar, and why.
    told: VecDeque<(i64, String)>,
}

impl Attempts {
    /// Notes a failure; `progressed` says that the instance had committed something.
    pub(crate) fn failed(&mut self, now: Duration, progressed: bool) {
        if self.row == 0 || progressed {
            (self.row, self.since) = (0, now);
        }
        self.row = self.row.saturating_add(1);
    }

    /// Failures in a row.
    pub(crate) fn in_a_row(&self) -> u32 {
        self.row
    }

    /// Notes a restart for whoever reads the final error.
    pub(crate) fn restarted(&mut self, wall_ms: i64, why: &str) {
        if self.told.len() >= TOLD_MAX {
            self.told.pop_front();
        }
        self.told.push_back((wall_ms, shortened(why).into_owned()));
    }

    /// The final error with its reason and the attempts before it.
    pub(crate) fn explain(&self, reason: ReasonCode, trace: &str) -> String {
        let (first, rest) = trace.split_once('\n').unwrap_or((trace, ""));
        let mut text = format!("{first} [{} {}: {}", reason.number(), reason.code(), reason.action());
        if reason == ReasonCode::RestartsExhausted && !self.told.is_empty() {
            let _ = write!(text, "; the last {} restarts, by the time in ms since 1970:", self.told.len());
            for (at, why) in &self.told {
                let _ = write!(text, " {at} {};", why.replace('\n', " "));
            }
        }
        format!("{}]\n{rest}", text.trim_end_matches(';'))
    }

    fn counted_within(&mut self, window: Duration, now: Duration) -> usize {
        while self.counted.front().is_some_and(|at| now.saturating_sub(*at) >= window) {
            self.counted.pop_front();
        }
        self.counted.len()
    }
}

/// Decides.
pub(crate) fn decide(
    failure: Failure,
    attempts: &mut Attempts,
    settings: &RestartSettings,
    kafka: &RestartPolicy,
) -> Verdict {
    let Failure { class, cause, now, jitter } = failure;
    match class {
        ErrorClass::Transient { retry_after } => {
            passing(cause, retry_after.unwrap_or_default(), (now, jitter), attempts, (settings, kafka))
        }
        ErrorClass::Fenced => Verdict::Reconsider(backoff(attempts.row, kafka, jitter)),
        ErrorClass::Config | ErrorClass::Record | ErrorClass::Definite | ErrorClass::Bug => Verdict::Fail(None),
    }
}

fn passing(
    cause: Cause,
    asked: Duration,
    (now, jitter): (Duration, f64),
    attempts: &mut Attempts,
    (settings, kafka): (&RestartSettings, &RestartPolicy),
) -> Verdict {
    match cause {
        Cause::Breaker => Verdict::Restart(asked),
        Cause::BreakerTooLong => Verdict::Fail(Some(ReasonCode::Breaker)),
        Cause::Kafka if now.saturating_sub(attempts.since) > kafka.budget => Verdict::Fail(None),
        Cause::Kafka => Verdict::Restart(backoff(attempts.row, kafka, jitter).max(asked)),
        Cause::Task => {
            let most = usize::try_from(settings.max).unwrap_or(usize::MAX);
            if attempts.counted_within(settings.window.duration(), now) >= most {
                return Verdict::Fail(Some(ReasonCode::RestartsExhausted));
            }
            attempts.counted.push_back(now);
            let own = RestartPolicy {
                first: settings.backoff.duration(),
                most: settings.backoff_max.duration(),
                budget: Duration::MAX,
            };
            Verdict::Restart(backoff(attempts.row, &own, jitter).max(asked))
        }
    }
}

/// Exponential back-off with full jitter.
pub(crate) fn backoff(failures: u32, policy: &RestartPolicy, jitter: f64) -> Duration {
    let doubled = policy.first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(policy.most).mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_config::{Properties, parse};

    const TRANSIENT: ErrorClass = ErrorClass::Transient { retry_after: None };

    fn settings(keys: &[(&str, &str)]) -> RestartSettings {
        parse(&keys.iter().copied().collect::<Properties>()).unwrap()
    }

    fn failed(cause: Cause, class: ErrorClass, at: u64) -> Failure {
        Failure { class, cause, now: Duration::from_secs(at), jitter: 1.0 }
    }

    fn after(attempts: &mut Attempts, failure: Failure, keys: &[(&str, &str)]) -> Verdict {
        attempts.failed(failure.now, false);
        decide(failure, attempts, &settings(keys), &RestartPolicy::default())
    }

    #[test]
    fn only_transient_failures_are_restarted() {
        for class in [ErrorClass::Config, ErrorClass::Record, ErrorClass::Definite, ErrorClass::Bug] {
            let verdict = after(&mut Attempts::default(), failed(Cause::Task, class, 0), &[]);
            assert_eq!(verdict, Verdict::Fail(None), "{class:?}");
        }
        let verdict = after(&mut Attempts::default(), failed(Cause::Task, TRANSIENT, 0), &[]);
        assert_eq!(verdict, Verdict::Restart(Duration::from_secs(1)));
        let verdict = after(&mut Attempts::default(), failed(Cause::Task, ErrorClass::Fenced, 0), &[]);
        assert!(matches!(verdict, Verdict::Reconsider(_)));
    }

    #[test]
    fn restarts_are_counted_within_their_window_and_the_last_error_tells_of_them() {
        let keys = [("flow.restart.max", "3"), ("flow.restart.window.ms", "100000")];
        let mut attempts = Attempts::default();
        for at in [0, 10, 20] {
            assert!(matches!(after(&mut attempts, failed(Cause::Task, TRANSIENT, at), &keys), Verdict::Restart(_)));
            attempts.restarted(1_700_000_000_000 + at as i64, &format!("attempt at {at}"));
        }
        let mut late = attempts.clone();
        let verdict = after(&mut attempts, failed(Cause::Task, TRANSIENT, 99), &keys);
        assert_eq!(verdict, Verdict::Fail(Some(ReasonCode::RestartsExhausted)));
        let text = attempts.explain(ReasonCode::RestartsExhausted, "X: gone\n\tat y");
        assert!(text.starts_with("X: gone [FLOW-0031 RESTARTS_EXHAUSTED: "), "{text}");
        assert!(text.contains("1700000000010 attempt at 10;") && text.ends_with("attempt at 20]\n\tat y"), "{text}");
        let verdict = after(&mut late, failed(Cause::Task, TRANSIENT, 100), &keys);
        assert!(matches!(verdict, Verdict::Restart(_)), "the first is out of the window");
    }

    #[test]
    fn no_restart_where_there_are_to_be_none() {
        let verdict = after(&mut Attempts::default(), failed(Cause::Task, TRANSIENT, 0), &[("flow.restart.max", "0")]);
        assert_eq!(verdict, Verdict::Fail(Some(ReasonCode::RestartsExhausted)));
    }

    #[test]
    fn waits_grow_up_to_their_limit_and_a_commit_begins_anew() {
        let keys = [("flow.restart.backoff.ms", "2000"), ("flow.restart.backoff.max.ms", "5000")];
        let mut attempts = Attempts::default();
        for wanted in [2, 4, 5, 5] {
            let verdict = after(&mut attempts, failed(Cause::Task, TRANSIENT, 0), &keys);
            assert_eq!(verdict, Verdict::Restart(Duration::from_secs(wanted)));
        }
        attempts.failed(Duration::ZERO, true);
        assert_eq!(attempts.in_a_row(), 1);
    }

    #[test]
    fn waits_for_kafka_and_trials_of_a_breaker_do_not_count() {
        let keys = [("flow.restart.max", "1")];
        let mut attempts = Attempts::default();
        for at in 0..50 {
            let verdict = after(&mut attempts, failed(Cause::Kafka, TRANSIENT, at), &keys);
            assert!(matches!(verdict, Verdict::Restart(_)));
            assert_eq!(
                after(&mut attempts, failed(Cause::Breaker, TRANSIENT, at), &keys),
                Verdict::Restart(Duration::ZERO)
            );
        }
        let late = RestartPolicy::default().budget.as_secs() + 1;
        assert_eq!(after(&mut attempts, failed(Cause::Kafka, TRANSIENT, late), &keys), Verdict::Fail(None));
        let verdict = after(&mut attempts, failed(Cause::BreakerTooLong, TRANSIENT, late), &keys);
        assert_eq!(verdict, Verdict::Fail(Some(ReasonCode::Breaker)));
    }

    #[test]
    fn a_peer_that_asks_for_a_longer_wait_gets_it() {
        let class = ErrorClass::Transient { retry_after: Some(Duration::from_secs(9)) };
        let verdict = after(&mut Attempts::default(), failed(Cause::Task, class, 0), &[]);
        assert_eq!(verdict, Verdict::Restart(Duration::from_secs(9)));
    }
}

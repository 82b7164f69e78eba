//! What follows a failure: one pure function over the error's class.
use crate::options::RestartPolicy;
use elasticflow_api::ErrorClass;
use std::time::Duration;

/// What the supervisor does after an instance has ended with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A new instance after a wait.
    Restart(Duration),
    /// FAILED until a human acts.
    Fail,
    /// Ask whether the task is still ours: a new instance if so, else silence.
    Reconsider(Duration),
}

/// Failures in a row, without a commit between them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Streak {
    /// How many, this one included.
    pub(crate) failures: u32,
    /// Time since the first.
    pub(crate) lasting: Duration,
}

/// Decides. `jitter` is between 0 and 1.
pub(crate) fn decide(class: ErrorClass, streak: Streak, policy: &RestartPolicy, jitter: f64) -> Verdict {
    match class {
        ErrorClass::Transient { .. } if streak.lasting > policy.budget => Verdict::Fail,
        ErrorClass::Transient { retry_after } => {
            let wait = backoff(streak.failures, policy, jitter);
            Verdict::Restart(retry_after.map_or(wait, |asked| asked.max(wait)))
        }
        ErrorClass::Fenced => Verdict::Reconsider(backoff(streak.failures, policy, jitter)),
        ErrorClass::Config | ErrorClass::Record | ErrorClass::Definite | ErrorClass::Bug => Verdict::Fail,
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

    fn streak(failures: u32) -> Streak {
        Streak { failures, lasting: Duration::from_secs(1) }
    }

    #[test]
    fn only_transient_failures_are_restarted() {
        let policy = RestartPolicy::default();
        for class in [ErrorClass::Config, ErrorClass::Record, ErrorClass::Definite, ErrorClass::Bug] {
            assert_eq!(decide(class, streak(1), &policy, 0.5), Verdict::Fail, "{class:?}");
        }
        let transient = ErrorClass::Transient { retry_after: None };
        assert_eq!(decide(transient, streak(1), &policy, 0.5), Verdict::Restart(Duration::from_millis(250)));
        assert!(matches!(decide(ErrorClass::Fenced, streak(1), &policy, 0.0), Verdict::Reconsider(_)));
    }

    #[test]
    fn waits_grow_up_to_the_limit_and_the_budget_ends_them() {
        let policy = RestartPolicy::default();
        assert_eq!(backoff(4, &policy, 1.0), Duration::from_secs(4));
        assert_eq!(backoff(60, &policy, 1.0), policy.most);
        let late = Streak { failures: 9, lasting: policy.budget + Duration::from_secs(1) };
        assert_eq!(decide(ErrorClass::Transient { retry_after: None }, late, &policy, 1.0), Verdict::Fail);
    }

    #[test]
    fn a_peer_that_asks_for_a_longer_wait_gets_it() {
        let class = ErrorClass::Transient { retry_after: Some(Duration::from_secs(9)) };
        let verdict = decide(class, streak(1), &RestartPolicy::default(), 1.0);
        assert_eq!(verdict, Verdict::Restart(Duration::from_secs(9)));
    }
}

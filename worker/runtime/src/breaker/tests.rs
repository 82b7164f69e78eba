use super::*;
use crate::SeededRandom;
use elasticflow_config::{Properties, parse};

/// The clock of the test, which stands still unless everything waits.
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn wall_ms(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

fn breaker(keys: &[(&str, &str)]) -> Arc<TaskBreaker> {
    let settings = parse(&keys.iter().copied().collect::<Properties>()).unwrap();
    let clock = Arc::new(Paused(tokio::time::Instant::now()));
    Arc::new(TaskBreaker::new(settings, clock, Arc::new(SeededRandom::new(3))))
}

#[tokio::test(start_paused = true)]
async fn many_requests_of_one_connector_wait_and_go_one_by_one() {
    let breaker = breaker(&[("flow.breaker.successes", "4")]);
    for _ in 0..5 {
        breaker.permit().await.failed();
    }
    assert_eq!(breaker.report().state, BreakerState::Open);
    let began = tokio::time::Instant::now();
    let under_way = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (breaker, under_way) = (Arc::clone(&breaker), Arc::clone(&under_way));
        requests.spawn(async move {
            let permit = breaker.permit().await;
            let trial = breaker.report().state == BreakerState::HalfOpen;
            let before = under_way.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            under_way.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            permit.answered();
            assert!(!trial || before == 0, "a trial beside another one");
            trial
        });
    }
    let mut trials = 0;
    while let Some(trial) = requests.join_next().await {
        trials += usize::from(trial.unwrap());
    }
    assert_eq!(trials, 4, "as many as it takes to close");
    assert!(began.elapsed() >= Duration::from_secs(4), "after the open time");
    assert_eq!(breaker.report().state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_asks_by_itself_is_not_counted_twice() {
    let breaker = breaker(&[]);
    breaker.permit().await.answered();
    for _ in 0..20 {
        breaker.called(Some(ErrorClass::Transient { retry_after: None }));
    }
    assert_eq!(breaker.report().state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn errors_that_do_not_pass_say_nothing_about_the_other_end() {
    let breaker = breaker(&[("flow.breaker.consecutive", "1")]);
    for class in [ErrorClass::Config, ErrorClass::Record, ErrorClass::Definite, ErrorClass::Fenced, ErrorClass::Bug] {
        breaker.called(Some(class));
    }
    assert_eq!(breaker.report().state, BreakerState::Closed);
    breaker.called(Some(ErrorClass::Transient { retry_after: None }));
    assert_eq!(breaker.report().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_woken_when_a_person_closes_it() {
    let breaker = breaker(&[]);
    breaker.force(Forced::Open);
    let waiting = Arc::clone(&breaker);
    let waiter = tokio::spawn(async move { waiting.ready().await });
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert!(!waiter.is_finished());
    breaker.force(Forced::Closed);
    waiter.await.unwrap();
}

use super::*;
use elasticflow_api::clock::Boxed;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that stands until it is set.
#[derive(Default)]
struct Set(AtomicU64);

impl Clock for Set {
    fn wall_ms(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
    fn sleep(&self, _: Duration) -> Boxed<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn all() -> BTreeSet<Lease> {
    BTreeSet::from([Lease::Slot(1), Lease::Slot(2), Lease::Leader])
}

fn book() -> (Arc<Set>, Book) {
    let clock = Arc::new(Set::default());
    (Arc::clone(&clock), Book::new(clock))
}

#[test]
fn a_lease_counts_once_it_is_proved_and_as_long_as_the_proof_does() {
    let (clock, book) = book();
    assert_eq!(*book.leases(), Leases::default());
    book.prove(&mut all(), secs(0), secs(8));
    let held = book.leases();
    assert!(held.leads && held.slots.len() == 2 && held.version == 1);
    clock.0.store(8, Ordering::Relaxed);
    let expired = book.leases();
    assert!(!expired.leads && expired.slots.is_empty() && expired.version == 2);
    book.prove(&mut BTreeSet::new(), secs(0), secs(16));
    assert_eq!(book.leases().slots.len(), 2, "a proof that comes late makes it good again");
}

#[test]
fn what_is_lost_does_not_come_back_with_the_next_proof() {
    let (_, book) = book();
    book.prove(&mut all(), secs(0), secs(8));
    book.lose();
    book.prove(&mut BTreeSet::new(), secs(0), secs(16));
    assert!(book.leases().slots.is_empty() && !book.leases().leads);
}

#[tokio::test]
async fn a_slot_is_let_go_when_the_herder_has_followed_and_has_nothing_on_it() {
    let (_, book) = book();
    let book = Arc::new(book);
    book.prove(&mut all(), secs(0), secs(8));
    let taken = BTreeSet::from([Lease::Slot(1)]);
    let version = book.take(&taken);
    let waiting = Arc::clone(&book);
    let mut gone = tokio::spawn(async move { waiting.let_go(&taken, version).await });
    let still = async |gone: &mut tokio::task::JoinHandle<()>| {
        tokio::task::yield_now().await;
        !gone.is_finished()
    };
    book.settle(version - 1, BTreeSet::new());
    assert!(still(&mut gone).await, "the herder has not followed");
    book.settle(version, BTreeSet::from([1, 2]));
    assert!(still(&mut gone).await, "a task remains");
    book.settle(version, BTreeSet::from([2]));
    gone.await.unwrap();
}

#[test]
fn a_slot_that_was_lost_and_came_back_is_told_from_one_that_was_held_all_the_time() {
    let (_, book) = book();
    book.prove(&mut all(), secs(0), secs(8));
    let first = book.leases();
    book.take(&BTreeSet::from([Lease::Slot(1)]));
    book.prove(&mut BTreeSet::from([Lease::Slot(1)]), secs(1), secs(9));
    let second = book.leases();
    assert_eq!(first.slots, second.slots);
    assert_eq!(first.gained.get(&2), second.gained.get(&2));
    assert_ne!(first.gained.get(&1), second.gained.get(&1));
}

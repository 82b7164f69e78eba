//! A client with the thread that takes what happens to it.
use super::errors::{self, Class};
use super::oauth;
use crate::native::{Code, Event, EventKind, Handle, Queue, Refusal};
use crate::ports::KafkaError;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a thread waits for an event before it looks at its flag; [`Queue::interrupt`] ends the wait early.
const SLICE: Duration = Duration::from_secs(1);

/// The same, once the client is only waiting for its last call to end.
const LAST_SLICE: Duration = Duration::from_millis(20);

/// Counts clients whose threads have not ended, so that the worker can wait for them before it exits.
#[derive(Default)]
pub(crate) struct Alive {
    count: Mutex<usize>,
    fewer: Condvar,
}

impl Alive {
    fn enter(self: &Arc<Self>) -> Living {
        *self.count.lock() += 1;
        Living(Arc::clone(self))
    }

    /// Waits until every client is gone, at most `limit`; whether they are.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut count = self.count.lock();
        while *count > 0 {
            if self.fewer.wait_until(&mut count, deadline).timed_out() {
                return *count == 0;
            }
        }
        true
    }
}

struct Living(Arc<Alive>);

impl Drop for Living {
    fn drop(&mut self) {
        *self.0.count.lock() -= 1;
        self.0.fewer.notify_all();
    }
}

/// What a client's thread does with events.
pub(crate) trait Happenings: Send + Sync + 'static {
    /// Called on the client's thread.
    fn on_event(&self, client: &Arc<Handle>, event: Event<'_>);
    /// Called once when the client is dropped, before it is destroyed.
    fn on_stop(&self, _queue: &Queue) {}
}

/// How long a refused log-in explains brokers that are down. The library repeats one that lasts, at the latest every half
/// minute; an outage after that has another reason, and must not end a task for ever.
const REASON_LASTS: Duration = Duration::from_secs(90);

/// The latest complaint about the connection: librdkafka repeats refused log-ins for ever, and what the caller sees is
/// a time-out, which this explains.
#[derive(Default)]
pub(crate) struct Complaint(Mutex<Option<Noted>>);

struct Noted {
    class: Class,
    text: String,
    at: Instant,
}

impl Complaint {
    /// Notes what an error event says; complaints of the network are the library's business and logged by it.
    pub(crate) fn note(&self, refusal: &Refusal) {
        self.note_at(refusal, Instant::now());
    }

    fn note_at(&self, refusal: &Refusal, at: Instant) {
        let passing = refusal.text.contains(oauth::AGAIN);
        let class = if passing { Class::Retriable } else { errors::class(refusal) };
        let mut noted = self.0.lock();
        // Brokers that are down follow a refused log-in: the reason is worth more than its consequence.
        let is_reason = |n: &Noted| n.class == Class::Config && at.saturating_duration_since(n.at) < REASON_LASTS;
        let is_consequence = matches!(refusal.code, Code::AllBrokersDown | Code::Resolve);
        if class == Class::Config || passing || is_consequence && !noted.as_ref().is_some_and(is_reason) {
            *noted = Some(Noted { class, text: errors::sentence("no broker can be used", refusal), at });
        }
    }

    /// What was noted last.
    pub(crate) fn text(&self) -> Option<String> {
        self.0.lock().as_ref().map(|noted| noted.text.clone())
    }

    /// The error for a call that ended with `refusal`: the complaint, if the call only timed out.
    pub(crate) fn explain(&self, doing: &str, refusal: &Refusal) -> KafkaError {
        let timed_out = matches!(
            refusal.code,
            Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown | Code::MessageTimedOut
        );
        match &*self.0.lock() {
            Some(noted) if timed_out && !refusal.fatal => {
                errors::error(noted.class, format!("{doing}: {}", noted.text))
            }
            _ => errors::refused(doing, refusal),
        }
    }
}

/// Owns a client; dropping it makes the thread close and destroy it in the background.
pub(crate) struct Client {
    handle: Arc<Handle>,
    queue: Arc<Queue>,
    stop: Arc<AtomicBool>,
}

impl Client {
    /// Takes a started client and the queue of its happenings.
    pub(crate) fn run(queue: Queue, happenings: Arc<dyn Happenings>, alive: &Arc<Alive>) -> Result<Self, KafkaError> {
        let (queue, stop) = (Arc::new(queue), Arc::new(AtomicBool::new(false)));
        let client = Self { handle: Arc::clone(queue.client()), queue: Arc::clone(&queue), stop: Arc::clone(&stop) };
        let living = alive.enter();
        let work = move || {
            let take = |limit| queue.poll(limit).map(|event| happenings.on_event(queue.client(), event));
            while !stop.load(Ordering::Acquire) {
                take(SLICE);
            }
            // A call that still runs on another thread may be waiting for what only this thread takes.
            while Arc::strong_count(queue.client()) > 1 {
                take(LAST_SLICE);
            }
            happenings.on_stop(&queue);
            drop(happenings);
            // Usually the last owner: the client is destroyed here, where blocking harms nobody.
            drop(queue);
            drop(living);
        };
        std::thread::Builder::new()
            .name("kafka-client".to_owned())
            .stack_size(256 * 1024)
            .spawn(work)
            .map_err(|error| KafkaError::Retriable(format!("cannot start a thread for a Kafka client: {error}")))?;
        Ok(client)
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.queue.interrupt();
    }
}

/// Happenings of a client that only asks questions.
#[derive(Default)]
pub(crate) struct Complaints(pub(crate) Complaint);

impl Happenings for Complaints {
    fn on_event(&self, _: &Arc<Handle>, event: Event<'_>) {
        if event.kind() == EventKind::Error {
            self.0.note(&event.refusal());
        }
    }
}

/// Runs a call that blocks on a thread where it may.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, KafkaError> {
    tokio::task::spawn_blocking(call)
        .await
        .map_err(|error| KafkaError::Fatal(format!("a call to the Kafka client did not end: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_log_in_explains_brokers_that_are_down_but_not_those_of_a_later_outage() {
        let (complaint, began) = (Complaint::default(), Instant::now());
        let explained = || complaint.explain("asking", &Refusal::of(Code::OperationTimedOut));
        complaint.note_at(&Refusal::of(Code::Authentication), began);
        complaint.note_at(&Refusal::of(Code::AllBrokersDown), began + Duration::from_secs(1));
        assert!(matches!(explained(), KafkaError::Config(_)));
        complaint.note_at(&Refusal::of(Code::AllBrokersDown), began + REASON_LASTS);
        assert!(matches!(explained(), KafkaError::Retriable(_)));
    }
}

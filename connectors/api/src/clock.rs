//! Time as connectors and loops see it.
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A boxed future, for the few traits that must be object-safe and return one.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time. Production has one implementation, in the server; a simulation's clock moves when every task waits.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 UTC: for records and people, never for durations.
    fn wall_ms(&self) -> i64;
    /// Time since the process started: for durations and deadlines.
    fn monotonic(&self) -> Duration;
    /// Waits.
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()>;
}

//! Pure flow control: how fast sources may go so that their consumers keep up.
//!
//! Every decision of the leader about rates is a function here, `next = f(state, inputs, settings)`; time comes in as a
//! number of seconds. [`law`] turns the lag of one consumer group into the bytes that all its sources together may
//! send; [`allocation`] divides what all groups admit among the sources, by priority and weight; [`grants`] keeps the
//! unconsumed bytes of topics below hard caps; [`quotas`] divides what is left of a quota; [`pressure`] does for a worker's processors what the law does for a
//! group; [`memory`] shrinks batches where a worker's memory is nearly used up; [`special`] holds the rules for consumers that are slow by nature and for periods that cannot be judged.
//!
//! Nothing is remembered between calls but what the caller passes back in, so that a new leader goes on from stored
//! state and hours of control run in a moment of a test. The tests reproduce recorded vectors, run the functions
//! against a simulated plant and check that a deliberately wrong law is noticed.
//!
//! Absent on purpose: Kafka, clocks, stored formats, and the token buckets by which workers enforce what is decided.
pub mod allocation;
pub mod grants;
pub mod law;
pub mod memory;
pub mod pressure;
pub mod quotas;
pub mod special;

pub use allocation::{Source, allocate};
pub use grants::{Capped, Grantee, grant, grant_among};
pub use law::{Group, Law, Mode, Sample, Why};
pub use memory::Shrinking;
pub use pressure::{Pressure, PressureLaw};
pub use quotas::{Taker, top_up};

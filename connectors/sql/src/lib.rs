//! What every SQL end shares: the sink engine with its offset table, the batch source engine, values as literals, error classes, names of tables.
//!
//! A system gives two things: a [`Dialect`] (pure text) and a [`Database`] whose sessions run text. The engine writes
//! statements, decides what an answer leads to and keeps the guarantee. Reading order: [`session`] -> [`dialect`] ->
//! [`cell`] -> [`sink`] -> [`source`].
//!
//! Values are written as literals by the dialect, never by a connector: one statement carries thousands of rows without a
//! prepared form per size, can be halved by slices when a row in it is bad, and costs no allocation per value.
//!
//! Absent on purpose: connections, TLS, codes of particular servers, Kafka.
pub mod branches;
pub mod calendar;
pub mod cell;
pub mod config;
pub mod dialect;
pub mod error;
pub mod session;
pub mod sink;
pub mod source;
pub mod table;
pub mod url;

pub use branches::Branches;
pub use dialect::Dialect;
pub use error::{Error, SqlError, Trouble};
pub use session::{Database, Session};

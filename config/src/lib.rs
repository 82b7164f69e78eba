//! What is declared: properties, typed settings, validation report, secrets.
//!
//! A plug-in declares its settings once with [`settings!`]; from that declaration come the parser, the defaults, the
//! validation report in Kafka Connect's answer format and the option table of its reference page. Every problem of a
//! configuration is reported at once, per key. Reading order: [`Properties`] -> [`KeyDef`] -> [`ConfigValue`] ->
//! [`Settings`] -> [`ValidationReport`].
//!
//! Absent on purpose: I/O other than resolving references, tokio, Kafka.

mod key;
mod properties;
mod report;
mod secret;
mod settings;
mod value;

pub use key::{Importance, KeyDef, KeyType, Validity, Width};
pub use properties::Properties;
pub use report::ValidationReport;
pub use secret::Secret;
pub use settings::{Reader, Settings, parse};
pub use value::{ConfigValue, Millis, Prefixed};

//! What is declared: properties, typed settings, validation report, secrets.
//!
//! A plug-in declares its settings once with [`settings!`]; from that declaration come the parser, the defaults, the
//! validation report in Kafka Connect's answer format and the option table of its reference page. Every problem of a
//! configuration is reported at once, per key. Reading order: [`Properties`] -> [`KeyDef`] -> [`ConfigValue`] ->
//! [`Settings`] -> [`ValidationReport`]; then the framework's own keys: [`connector`], [`flow`] and [`worker`].
//!
//! Absent on purpose: I/O other than resolving references, tokio, Kafka.

pub mod check;
pub mod connector;
pub mod flow;
pub mod infos;
mod key;
mod nearest;
mod posted;
mod properties;
mod properties_file;
mod reference;
mod report;
mod secret;
mod settings;
mod table;
mod value;
pub mod worker;

pub use check::shortened;
pub use infos::{ConfigInfo, ConfigInfos, KeyInfo, ValueInfo};
pub use key::{Importance, KeyDef, KeyType, Validity, Width};
pub use nearest::nearest;
pub use posted::{Members, Posted, PostedError, text_of};
pub use properties::Properties;
pub use properties_file::PropertiesError;
pub use reference::{EnvLookup, ProviderError, ReferenceError, Resolved, Resolver};
pub use report::ValidationReport;
pub use secret::{Secret, without_passwords};
pub use settings::{Reader, Settings, parse};
pub use table::option_table;
pub use value::{ConfigValue, Millis, Prefixed};

//! The one shape of what is particular about keys of elastic flow.
use super::Direction;
use crate::key::KeyDef;
use crate::properties::Properties;
use crate::report::ValidationReport;
use crate::settings::{Settings, parse};

/// Keys that are read together, and what is particular about some of them.
pub(super) struct Concern {
    /// All of them.
    pub(super) keys: fn() -> &'static [KeyDef],
    /// What is wrong with their values, by key.
    pub(super) check: fn(&Properties) -> ValidationReport,
    /// Those that change while tasks run.
    pub(super) live: &'static [&'static str],
    /// Those that are read as they are stored, by workers that do not resolve references.
    pub(super) stored: &'static [&'static str],
    /// Those that mean nothing to a sink.
    pub(super) sources_alone: Alone,
    /// Those that mean nothing to a source.
    pub(super) sinks_alone: Alone,
}

/// Keys that one direction has alone.
pub(super) struct Alone {
    pub(super) keys: &'static [&'static str],
    /// Why, or what the other direction has in their place.
    pub(super) why: &'static str,
}

/// Both directions have all of them.
const NONE: Alone = Alone { keys: &[], why: "" };

impl Concern {
    /// Keys with nothing particular about them.
    pub(super) const fn of<S: Settings>() -> Self {
        Self { keys: S::keys, check: check::<S>, live: &[], stored: &[], sources_alone: NONE, sinks_alone: NONE }
    }

    /// Why a key means nothing to a connector of a direction; `None` where it means something, or is another concern's.
    pub(super) fn means_nothing(&self, key: &str, to: Direction) -> Option<String> {
        let (alone, whose) = match to {
            Direction::Sink => (&self.sources_alone, "sources"),
            Direction::Source => (&self.sinks_alone, "sinks"),
        };
        alone.keys.contains(&key).then(|| format!("{key} is for {whose}: {}", alone.why))
    }
}

fn check<S: Settings>(settings: &Properties) -> ValidationReport {
    parse::<S>(settings).err().unwrap_or_default()
}

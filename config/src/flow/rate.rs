//! Static rates.
use super::bound;
use super::concern::{Alone, Concern};
use crate::key::KeyType;
use crate::settings;
use crate::value::{ConfigValue, Millis};

/// Rates.
pub(super) const CONCERN: Concern = Concern {
    live: &["flow.rate.records", "flow.rate.bytes", "flow.rate.snapshot.records", "flow.rate.snapshot.bytes"],
    sources_alone: Alone {
        keys: &["flow.rate.snapshot.records", "flow.rate.snapshot.bytes"],
        why: "a sink takes no snapshots; use flow.rate.records or flow.rate.bytes",
    },
    ..Concern::of::<RateSettings>()
};

/// As the default says.
const BURST_MS: u64 = 250;

settings! {
    /// How fast a connector may go at most.
    pub struct RateSettings {
        /// Most records a second of the whole connector, split over its tasks: sent by a source, read by a sink. -1: no limit. Changes without a restart.
        "flow.rate.records" => records: Rate { default: "-1", group: "Flow" },
        /// Most bytes a second of the whole connector, serialised keys and values, split over its tasks. -1: no limit. Changes without a restart.
        "flow.rate.bytes" => bytes: Rate { default: "-1", group: "Flow" },
        /// Most records a second of snapshots and batch reads; they then do not count for flow.rate.records. -1: flow.rate.records holds for them too. Changes without a restart.
        "flow.rate.snapshot.records" => snapshot_records: Rate { default: "-1", group: "Flow" },
        /// Most bytes a second of snapshots and batch reads; they then do not count for flow.rate.bytes. -1: flow.rate.bytes holds for them too. Changes without a restart.
        "flow.rate.snapshot.bytes" => snapshot_bytes: Rate { default: "-1", group: "Flow" },
        /// How much may go at once after a pause, as time at the full rate.
        "flow.rate.burst.ms" => burst: Millis { default: "250", group: "Flow", valid: Validity::Range(50.0, 10_000.0) },
    }
}

impl RateSettings {
    /// Without limit.
    pub fn free() -> Self {
        let none = Rate(None);
        Self { records: none, bytes: none, snapshot_records: none, snapshot_bytes: none, burst: Millis(BURST_MS) }
    }

    /// Rates of a changing stream.
    pub fn stream(&self) -> Rates {
        Rates { records: self.records.per_second(), bytes: self.bytes.per_second() }
    }

    /// Rates of snapshots and batch reads of their own.
    pub fn snapshot(&self) -> Rates {
        Rates { records: self.snapshot_records.per_second(), bytes: self.snapshot_bytes.per_second() }
    }
}

/// A rate per second in both units; `None` is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Records.
    pub records: Option<f64>,
    /// Bytes.
    pub bytes: Option<f64>,
}

impl Rates {
    /// Without limit.
    pub const FREE: Self = Self { records: None, bytes: None };

    /// A part of it, such as what one of several tasks may have.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { records: self.records.map(|r| r * share), bytes: self.bytes.map(|r| r * share) }
    }
}

/// A rate as a key has it: -1 for none, else at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(Option<u64>);

impl Rate {
    /// Most of a rate: more than any machine does.
    const MOST: u64 = 1_000_000_000_000;

    /// The rate; `None` is without limit.
    #[expect(clippy::cast_precision_loss, reason = "at most 10^12")]
    pub fn per_second(self) -> Option<f64> {
        self.0.map(|rate| rate as f64)
    }
}

impl ConfigValue for Rate {
    const KIND: KeyType = KeyType::Long;

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "Value must be -1 for no limit, or from 1 to {} a second; to stop a connector, pause it",
                Self::MOST
            )
        };
        bound::read(text, 1..=Self::MOST, wrong).map(Self)
    }
}

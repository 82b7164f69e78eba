//! Keys of rates that follow lag, and of hard caps.
use super::bound;
use super::concern::{Alone, Concern};
use crate::key::KeyType;
use crate::value::{ConfigValue, Millis};
use crate::{choice, settings};

/// The leader reads all of them anew each period.
const LIVE: &[&str] = &[
    "flow.priority",
    "flow.weight",
    "flow.floor.bytes",
    "flow.lag.control",
    "flow.lag.target.ms",
    "flow.lag.groups",
    "flow.cap.bytes",
    "flow.cap.counts",
    "flow.cap.action",
];

/// Rates that follow lag, and caps.
pub(super) const CONCERN: Concern = Concern {
    live: LIVE,
    stored: LIVE,
    sources_alone: Alone {
        keys: &[
            "flow.priority",
            "flow.weight",
            "flow.floor.bytes",
            "flow.lag.groups",
            "flow.cap.bytes",
            "flow.cap.counts",
            "flow.cap.action",
        ],
        why: "on a sink flow.lag.target.ms and flow.lag.control say how it takes part",
    },
    ..Concern::of::<LagSettings>()
};

choice! {
    /// `flow.cap.action`.
    pub enum CapAction {
        /// The source is held before the cap could be passed.
        Hold = "hold",
        /// The source goes on, and people are told.
        Alarm = "alarm",
    }
}

choice! {
    /// `flow.lag.control`.
    pub enum LagControl {
        /// Limits are enforced.
        Auto = "auto",
        /// Limits are computed and shown, and not enforced.
        Observe = "observe",
        /// The connector takes no part.
        Off = "off",
    }
}

settings! {
    /// How a connector takes part in rates that follow lag.
    pub struct LagSettings {
        /// Which sources go first when their consumers cannot take all of them: 9 is the most important. A sink that reads topics of several takes the important ones first. Changes without a restart.
        "flow.priority" => priority: i32 { default: "5", group: "Flow", valid: Validity::Range(0.0, 9.0) },
        /// Share of a source among those of its priority. Changes without a restart.
        "flow.weight" => weight: f64 { default: "1", group: "Flow", valid: Validity::Range(0.1, 100.0) },
        /// Bytes per second below which a source is never limited, but by a cap. 2 % of the consumer's capacity divided by its sources, at least a record in 10 s, if not set. Changes without a restart.
        "flow.floor.bytes" => floor: Option<u64> { group: "Flow" },
        /// Whether lag slows the source down: auto, observe (computed and shown alone) or off. off on a sink: its lag slows nobody down. Changes without a restart.
        "flow.lag.control" => control: LagControl { default: "auto", group: "Flow" },
        /// On a sink: how far behind it may be, as the time it needs to catch up; at least five sample intervals of the worker. On a source: the same for groups of flow.lag.groups. Changes without a restart.
        "flow.lag.target.ms" => target: Millis { default: "10000", group: "Flow", valid: Validity::Range(1_000.0, 86_400_000.0) },
        /// Consumer groups outside this cluster whose lag on the topics of this source counts. Changes without a restart.
        "flow.lag.groups" => groups: Vec<String> { default: "", group: "Flow" },
        /// Most unconsumed bytes of each topic that this source writes, keys and values as serialised; it is held before they could be passed. -1: no cap. Changes without a restart.
        "flow.cap.bytes" => cap: Cap { default: "-1", group: "Flow" },
        /// Which sinks count for a cap, by their state: some of running, paused, failed and stopped. What a sink in another state has not consumed holds no source. Where sources of a topic differ, a state counts that one of them names. Groups of flow.lag.groups count as running. Changes without a restart.
        "flow.cap.counts" => counts: CapCounts { default: "running,paused,failed", group: "Flow" },
        /// What happens at a cap: hold (the source waits, and never passes it) or alarm (it goes on; RETENTION_RISK says how much is above the cap). Changes without a restart.
        "flow.cap.action" => action: CapAction { default: "hold", group: "Flow" },
    }
}

/// A cap as its key has it: -1 for none, else at least 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap(Option<u64>);

impl Cap {
    /// Smallest cap: batches on their way must fit.
    const LEAST: u64 = 1_048_576;

    /// The cap; `None` is none.
    pub fn bytes(self) -> Option<u64> {
        self.0
    }
}

impl LagSettings {
    /// The cap that holds the source, if there is one.
    pub fn holding_cap(&self) -> Option<u64> {
        self.cap.bytes().filter(|_| self.action == CapAction::Hold)
    }
}

/// States of sinks that count for a cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapCounts(Vec<&'static str>);

impl CapCounts {
    /// What there is to choose from.
    const STATES: [&'static str; 4] = ["running", "paused", "failed", "stopped"];

    /// Whether a sink in a state counts; what follows the first word of the state is for people.
    pub fn has(&self, state: &str) -> bool {
        state.split_whitespace().next().is_some_and(|first| self.0.contains(&first))
    }

    /// What either counts.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(Self::STATES.into_iter().filter(|state| self.has(state) || other.has(state)).collect())
    }
}

impl Default for CapCounts {
    /// All but stopped ones.
    fn default() -> Self {
        Self(Self::STATES.into_iter().filter(|state| *state != "stopped").collect())
    }
}

impl ConfigValue for CapCounts {
    const KIND: KeyType = KeyType::List;

    fn read(text: &str) -> Result<Self, String> {
        let state = |word: &str| {
            let known = Self::STATES.into_iter().find(|state| state.eq_ignore_ascii_case(word));
            known.ok_or_else(|| format!("Value must be a list of some of {}", Self::STATES.join(", ")))
        };
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let states: Vec<_> = words.map(state).collect::<Result<_, _>>()?;
        if states.is_empty() {
            return Err("Value must name at least one state; flow.cap.bytes=-1 takes the cap away".to_owned());
        }
        Ok(Self(states))
    }
}

impl ConfigValue for Cap {
    const KIND: KeyType = KeyType::Long;

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("Value must be -1 for no cap, or at least {} (1 MiB)", Self::LEAST);
        bound::read(text, Self::LEAST..=u64::MAX, wrong).map(Self)
    }
}

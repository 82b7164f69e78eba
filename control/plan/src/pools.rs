//! Worker pools: which workers a task may run on, what each has room for, and what a pool keeps back.
//!
//! Every worker serves one pool, every task belongs to one, and a task runs on workers of its pool alone, unless the pool
//! borrows from others. What finds no room waits: its place is no slot but the reason why there is none, [`QUEUED`] or
//! [`PREEMPTED`].
use crate::place::Slot;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The pool of workers and connectors that name none.
pub const DEFAULT_POOL: &str = "default";
/// In the place of a slot: no worker has room.
pub const QUEUED: Slot = -1;
/// In the place of a slot: a more important task has taken the room.
pub const PREEMPTED: Slot = -2;
/// A waiting task takes the place of tasks at least so many priorities below it.
pub const CLASSES_BELOW: u8 = 2;

/// What a worker offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Pool that it serves.
    pub pool: String,
    /// Capacity units; `None` for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// Bytes of memory that tasks may reserve; `None` for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl Default for Room {
    fn default() -> Self {
        Self { pool: DEFAULT_POOL.to_owned(), units: None, memory: None }
    }
}

impl Room {
    /// Whether it says nothing beyond what is taken for granted.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// Part of a whole, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct Share(u16);

impl Share {
    /// What is left of a number without this share, rounded up.
    pub fn rest_of(self, whole: u64) -> u64 {
        let kept = whole.saturating_mul(u64::from(self.0)) / 1000;
        whole.saturating_sub(kept)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / 1000.0
    }
}

impl TryFrom<f64> for Share {
    type Error = String;
    fn try_from(share: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("share is {share}, expected 0 to 1"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        Ok(Self((share * 1000.0).round() as u16))
    }
}

/// Room that less important tasks leave free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    /// Tasks of this priority and above may use it.
    pub priority: u8,
    /// Part of the pool's capacity units.
    pub share: Share,
}

/// Rules of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Room kept for important tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Reserved>,
    /// Pools whose free room its tasks may use; tasks of those pools go first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borrow: Vec<String>,
    /// Most tasks of the pool that have a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tasks: Option<u32>,
}

/// What a task asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Capacity units, at least 1.
    pub weight: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Its pool.
    pub pool: Arc<str>,
    /// 9 is most important.
    pub priority: u8,
    /// Whether it may be stopped for a more important task that waits.
    pub preemptible: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { weight: 1, memory: 0, pool: DEFAULT_POOL.into(), priority: 5, preemptible: true }
    }
}

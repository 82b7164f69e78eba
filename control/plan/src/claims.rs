//! What workers say of their leases, and what follows when it is all put together.
//!
//! Workers speak in rows of a topic with several partitions: rows of two workers arrive in any order, and the row of a
//! worker that has died stays. So each row has a number above every number that its worker had read, which orders rows
//! where one was written in knowledge of the other: of two workers that name the same slot, or leadership, the one with
//! the higher number has it.
use crate::place::Slot;
use crate::pools::Room;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a worker has said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Where other workers reach its REST endpoint.
    pub url: String,
    /// Slots that it holds a lease on.
    pub slots: Vec<Slot>,
    /// Whether it leads the group.
    pub leads: bool,
    /// What it offers.
    #[serde(default, skip_serializing_if = "Room::is_plain")]
    pub room: Room,
    /// Above every number that it had read.
    #[serde(default)]
    pub number: i64,
}

/// Who holds what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders {
    /// Slots of each worker that has said anything, without those that a later row gives to another one.
    pub slots: BTreeMap<String, BTreeSet<Slot>>,
    /// The worker that leads.
    pub leader: Option<String>,
}

impl Holders {
    /// Puts together what has been said; the order in which it was read does not matter.
    pub fn of(claims: &BTreeMap<String, Claim>) -> Self {
        let mut newest: Vec<(&String, &Claim)> = claims.iter().collect();
        newest.sort_by(|(a, x), (b, y)| y.number.cmp(&x.number).then(a.cmp(b)));
        let mut taken = BTreeSet::new();
        let mut holders = Self::default();
        for (worker, claim) in newest {
            let slots = claim.slots.iter().copied().filter(|slot| taken.insert(*slot)).collect();
            holders.slots.insert(worker.clone(), slots);
            if claim.leads && holders.leader.is_none() {
                holders.leader = Some(worker.clone());
            }
        }
        holders
    }

    /// The worker that holds a slot.
    pub fn holder(&self, slot: Slot) -> Option<&str> {
        self.slots.iter().find(|(_, slots)| slots.contains(&slot)).map(|(worker, _)| worker.as_str())
    }
}

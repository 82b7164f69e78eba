//! A group: its offsets and whichever kind of members it has.
use super::classic::Classic;
use super::modern::Modern;
use crate::code::{self, Code};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// An offset a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<String>,
}

/// An offset inside an open transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) committed: Committed,
}

#[derive(Debug)]
pub(crate) struct Group {
    /// Set before every use: see [`State`](crate::state::State).
    pub(crate) now: Duration,
    pub(crate) offsets: BTreeMap<(String, i32), Committed>,
    /// Offsets of open transactions by producer id.
    pub(crate) pending_offsets: HashMap<i64, Vec<Pending>>,
    pub(crate) classic: Classic,
    pub(crate) modern: Modern,
    pub(crate) members_max: usize,
}

impl Group {
    pub(crate) fn new(members_max: usize) -> Self {
        Group {
            now: Duration::ZERO,
            offsets: BTreeMap::new(),
            pending_offsets: HashMap::new(),
            classic: Classic::default(),
            modern: Modern::default(),
            members_max,
        }
    }

    /// Nothing would be lost with it.
    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
            && self.pending_offsets.is_empty()
            && !self.has_members()
            && self.classic.pending.is_empty()
    }

    pub(crate) fn has_members(&self) -> bool {
        !self.classic.members.is_empty() || !self.modern.members.is_empty()
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.offsets.retain(|at, _| at.0 != topic);
        self.pending_offsets.values_mut().for_each(|all| all.retain(|p| p.topic != topic));
    }

    /// Whether an open transaction may still change this offset.
    pub(crate) fn undecided(&self, topic: &str, partition: i32) -> bool {
        self.pending_offsets.values().flatten().any(|p| p.topic == topic && p.partition == partition)
    }

    pub(crate) fn tick(&mut self) {
        self.modern.tick(self.now);
        self.classic.tick(self.now);
    }

    pub(crate) fn protocol_type(&self) -> &str {
        if self.modern.members.is_empty() { &self.classic.protocol_type } else { "consumer" }
    }

    pub(crate) fn state_name(&self) -> &'static str {
        if self.modern.members.is_empty() { self.classic.phase.name() } else { self.modern.state_name() }
    }

    /// Whether this member may commit offsets. Without members anybody may.
    pub(crate) fn may_commit(&self, generation: i32, member: &str, instance: Option<&str>) -> Result<(), Code> {
        if !self.modern.members.is_empty() {
            return self.modern.may_commit(member, generation);
        }
        if generation < 0 && member.is_empty() {
            return if self.classic.members.is_empty() { Ok(()) } else { Err(code::UNKNOWN_MEMBER_ID) };
        }
        self.classic.may_commit(generation, member, instance)
    }
}

//! The classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup; static members included.
//!
//! A rebalance waits in `Preparing` until every member has joined or the longest rebalance time-out is over, then in
//! `Completing` for the leader's assignment. A waiting member holds a channel; who is dropped from the group is told through it.
use crate::code::{self, Code};
use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{HeartbeatRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::oneshot::{Receiver, Sender, channel};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    #[default]
    Empty,
    Preparing,
    Completing,
    Stable,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::Preparing => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }
}

/// An answer, at once or later.
#[derive(Debug)]
pub(crate) enum Reply<R> {
    Now(R),
    Wait(Receiver<R>),
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    /// Name and metadata, in the member's order of preference.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    pub(super) seen: Duration,
    pub(super) joining: Option<Sender<JoinGroupResponse>>,
    pub(super) syncing: Option<Sender<SyncGroupResponse>>,
}

impl Member {
    /// Metadata for a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|p| p.0 == protocol).map(|p| p.1.clone()).unwrap_or_default()
    }

    pub(super) fn speaks(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|p| p.0 == protocol)
    }

    /// Tells whoever waits that this member is not what it was.
    pub(super) fn dismiss(&mut self, why: Code) {
        if let Some(waiting) = self.joining.take() {
            drop(waiting.send(join_error(why, &self.id)));
        }
        if let Some(waiting) = self.syncing.take() {
            drop(waiting.send(sync_error(why)));
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Classic {
    pub(crate) phase: Phase,
    pub(super) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(crate) members: Vec<Member>,
    /// Instance id -> member id.
    pub(super) statics: HashMap<String, String>,
    /// Ids that were handed out and not used yet, and when they lapse.
    pub(crate) pending: BTreeMap<String, Duration>,
    /// When a rebalance goes on without those who are missing.
    deadline: Duration,
    /// A first generation waits so long for more members.
    not_before: Duration,
}

pub(crate) fn text(s: impl Into<String>) -> StrBytes {
    StrBytes::from_string(s.into())
}

pub(crate) fn join_error(why: Code, member: &str) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(why)
        .with_generation_id(-1)
        .with_member_id(text(member))
        .with_protocol_name(Some(text("")))
        .with_protocol_type(None)
}

pub(crate) fn sync_error(why: Code) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(why)
}

impl Classic {
    pub(super) fn member(&mut self, id: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.id == id)
    }

    fn has(&self, id: &str) -> bool {
        self.members.iter().any(|m| m.id == id)
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// A static member is who its instance says.
    pub(super) fn check_instance(&self, id: &str, instance: Option<&str>) -> Result<(), Code> {
        match instance.map(|i| self.statics.get(i)) {
            Some(None) => Err(code::UNKNOWN_MEMBER_ID),
            Some(Some(owner)) if owner != id => Err(code::FENCED_INSTANCE_ID),
            _ => Ok(()),
        }
    }

    fn check(&self, id: &str, instance: Option<&str>, generation: i32) -> Result<(), Code> {
        self.check_instance(id, instance)?;
        if !self.has(id) {
            return Err(code::UNKNOWN_MEMBER_ID);
        }
        if generation == self.generation { Ok(()) } else { Err(code::ILLEGAL_GENERATION) }
    }

    pub(super) fn may_commit(&self, generation: i32, id: &str, instance: Option<&str>) -> Result<(), Code> {
        self.check(id, instance, generation)?;
        if self.phase == Phase::Completing { Err(code::REBALANCE_IN_PROGRESS) } else { Ok(()) }
    }

    /// A commit shows that the member is alive.
    pub(crate) fn touch(&mut self, id: &str, now: Duration) {
        if let Some(m) = self.member(id) {
            m.seen = now;
        }
    }

    /// What a joined member is told; the leader learns of all the others.
    pub(super) fn joined(&self, id: &str, leader: &str, skip_assignment: bool) -> JoinGroupResponse {
        let protocol = self.protocol.clone().unwrap_or_default();
        let describe = |m: &Member| {
            JoinGroupResponseMember::default()
                .with_member_id(text(&m.id))
                .with_group_instance_id(m.instance.as_ref().map(text))
                .with_metadata(m.metadata(&protocol))
        };
        let members = if leader == id { self.members.iter().map(describe).collect() } else { vec![] };
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(Some(text(&self.protocol_type)))
            .with_protocol_name(Some(text(protocol)))
            .with_leader(text(leader))
            .with_member_id(text(id))
            .with_skip_assignment(skip_assignment)
            .with_members(members)
    }

    /// Begins a rebalance.
    pub(super) fn prepare(&mut self, now: Duration, wait_for_more: Duration) {
        for m in &mut self.members {
            m.assignment = Bytes::new();
            if let Some(waiting) = m.syncing.take() {
                drop(waiting.send(sync_error(code::REBALANCE_IN_PROGRESS)));
            }
        }
        self.phase = Phase::Preparing;
        self.not_before = now + wait_for_more;
        self.deadline = now.saturating_add(self.members.iter().map(|m| m.rebalance).max().unwrap_or_default());
    }

    /// Ends the waiting for members if nobody is missing, or time is up.
    pub(super) fn try_complete(&mut self, now: Duration) {
        if self.phase != Phase::Preparing || now < self.not_before {
            return;
        }
        let all_here = self.members.iter().all(|m| m.joining.is_some()) && self.pending.is_empty();
        if all_here || now >= self.deadline {
            self.complete(now);
        }
    }

    fn complete(&mut self, now: Duration) {
        self.members.retain(|m| m.joining.is_some() || m.instance.is_some());
        self.generation = self.generation.wrapping_add(1).max(1);
        self.protocol = self.elect_protocol();
        self.leader = self.elect_leader();
        let Some(leader) = self.leader.clone() else {
            self.phase = Phase::Empty;
            return;
        };
        self.phase = Phase::Completing;
        let answers: Vec<_> = self.members.iter().map(|m| self.joined(&m.id, &leader, false)).collect();
        for (m, answer) in self.members.iter_mut().zip(answers) {
            m.seen = now;
            if let Some(waiting) = m.joining.take() {
                drop(waiting.send(answer));
            }
        }
    }

    /// The protocol most members prefer among those that all speak.
    fn elect_protocol(&self) -> Option<String> {
        let first = self.members.first()?;
        let common: Vec<&String> =
            first.protocols.iter().map(|p| &p.0).filter(|p| self.members.iter().all(|m| m.speaks(p))).collect();
        let votes = |p: &str| {
            let favourite =
                |m: &Member| m.protocols.iter().map(|x| &x.0).find(|x| common.contains(x)).is_some_and(|x| x == p);
            self.members.iter().filter(|m| favourite(m)).count()
        };
        common.iter().max_by_key(|p| votes(p)).map(|p| (*p).clone())
    }

    /// The leader stays as long as it takes part.
    fn elect_leader(&self) -> Option<String> {
        let here = |m: &&Member| m.joining.is_some();
        let same = self.members.iter().filter(here).find(|m| self.is_leader(&m.id));
        same.or_else(|| self.members.iter().find(here)).or_else(|| self.members.first()).map(|m| m.id.clone())
    }

    pub(crate) fn sync(&mut self, r: &SyncGroupRequest, now: Duration) -> Reply<SyncGroupResponse> {
        let id = r.member_id.as_str();
        if let Err(why) = self.check(id, r.group_instance_id.as_deref(), r.generation_id) {
            return Reply::Now(sync_error(why));
        }
        if r.protocol_name.as_deref().is_some_and(|p| Some(p) != self.protocol.as_deref()) {
            return Reply::Now(sync_error(code::INCONSISTENT_GROUP_PROTOCOL));
        }
        self.touch(id, now);
        match self.phase {
            Phase::Stable => Reply::Now(self.synced(self.members.iter().find(|m| m.id == id))),
            Phase::Completing => {
                let (tell, told) = channel();
                if let Some(m) = self.member(id) {
                    m.syncing = Some(tell);
                }
                if self.is_leader(id) {
                    self.assign(r, now);
                }
                Reply::Wait(told)
            }
            Phase::Empty | Phase::Preparing => Reply::Now(sync_error(code::REBALANCE_IN_PROGRESS)),
        }
    }

    /// Takes the leader's assignment and tells everybody who waits.
    fn assign(&mut self, r: &SyncGroupRequest, now: Duration) {
        for a in &r.assignments {
            if let Some(m) = self.member(&a.member_id) {
                m.assignment = Bytes::copy_from_slice(&a.assignment);
            }
        }
        self.phase = Phase::Stable;
        let answers: Vec<_> = self.members.iter().map(|m| self.synced(Some(m))).collect();
        for (m, answer) in self.members.iter_mut().zip(answers) {
            m.seen = now;
            if let Some(waiting) = m.syncing.take() {
                drop(waiting.send(answer));
            }
        }
    }

    fn synced(&self, member: Option<&Member>) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(Some(text(&self.protocol_type)))
            .with_protocol_name(self.protocol.as_ref().map(text))
            .with_assignment(member.map(|m| m.assignment.clone()).unwrap_or_default())
    }

    pub(crate) fn heartbeat(&mut self, r: &HeartbeatRequest, now: Duration) -> Result<(), Code> {
        self.check(&r.member_id, r.group_instance_id.as_deref(), r.generation_id)?;
        self.touch(&r.member_id, now);
        if self.phase == Phase::Preparing { Err(code::REBALANCE_IN_PROGRESS) } else { Ok(()) }
    }

    pub(crate) fn leave(&mut self, id: &str, instance: Option<&str>, now: Duration) -> Result<(), Code> {
        let id = match instance.map(|i| self.statics.get(i)) {
            Some(None) => return Err(code::UNKNOWN_MEMBER_ID),
            Some(Some(owner)) if !id.is_empty() && owner != id => return Err(code::FENCED_INSTANCE_ID),
            Some(Some(owner)) => owner.clone(),
            None => id.to_owned(),
        };
        if self.pending.remove(&id).is_some() {
            return Ok(());
        }
        if !self.has(&id) {
            return Err(code::UNKNOWN_MEMBER_ID);
        }
        self.remove(&id, now);
        Ok(())
    }

    fn remove(&mut self, id: &str, now: Duration) {
        let Some(i) = self.members.iter().position(|m| m.id == id) else { return };
        let mut m = self.members.remove(i);
        if let Some(instance) = &m.instance {
            self.statics.remove(instance);
        }
        m.dismiss(code::UNKNOWN_MEMBER_ID);
        if matches!(self.phase, Phase::Stable | Phase::Completing) {
            self.prepare(now, Duration::ZERO);
        }
        self.try_complete(now);
    }

    /// Ends sessions and waiting times.
    pub(super) fn tick(&mut self, now: Duration) {
        self.pending.retain(|_, lapses| *lapses > now);
        let late = |m: &&Member| m.joining.is_none() && m.seen.saturating_add(m.session) < now;
        let dead: Vec<String> = self.members.iter().filter(late).map(|m| m.id.clone()).collect();
        for id in dead {
            self.remove(&id, now);
        }
        self.try_complete(now);
    }
}

#[cfg(test)]
#[path = "classic_tests.rs"]
mod tests;

//! JoinGroup: who asks, and what becomes of them.
use super::classic::{Classic, Member, Phase, Reply, join_error};
use super::group::Group;
use crate::code::{self, Code};
use bytes::Bytes;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use std::time::Duration;
use tokio::sync::oneshot::channel;

/// Longest session a member may ask for, as Kafka's `group.max.session.timeout.ms` allows at most.
const SESSION_MAX_MS: i32 = 3_600_000;

/// A request to join, freed of its wire form.
#[derive(Debug)]
pub(crate) struct Join {
    version: i16,
    client: String,
    id: String,
    instance: Option<String>,
    protocol_type: String,
    protocols: Vec<(String, Bytes)>,
    session: Duration,
    rebalance: Duration,
}

/// What the broker does with a request to join.
enum Verdict {
    /// Answer at once.
    Answer(Box<JoinGroupResponse>),
    /// Take part in the next generation under this id.
    TakePart(String),
}

impl Join {
    /// Reads a request; a session that is too short or too long is refused.
    pub(crate) fn parse(r: &JoinGroupRequest, version: i16, client: &str) -> Result<Join, Code> {
        if !(1..=SESSION_MAX_MS).contains(&r.session_timeout_ms) {
            return Err(code::INVALID_SESSION_TIMEOUT);
        }
        let ms = |n: i32| Duration::from_millis(u64::try_from(n).unwrap_or_default());
        let rebalance = if r.rebalance_timeout_ms > 0 { r.rebalance_timeout_ms } else { r.session_timeout_ms };
        Ok(Join {
            version,
            client: client.into(),
            id: r.member_id.to_string(),
            instance: r.group_instance_id.as_ref().map(ToString::to_string),
            protocol_type: r.protocol_type.to_string(),
            // Copied, as it is kept: a slice would keep the whole request.
            protocols: r.protocols.iter().map(|p| (p.name.to_string(), Bytes::copy_from_slice(&p.metadata))).collect(),
            session: ms(r.session_timeout_ms),
            rebalance: ms(rebalance),
        })
    }

    fn member(&self, id: &str, now: Duration) -> Member {
        Member {
            id: id.into(),
            instance: self.instance.clone(),
            client: self.client.clone(),
            session: self.session,
            rebalance: self.rebalance,
            protocols: self.protocols.clone(),
            assignment: Bytes::new(),
            seen: now,
            joining: None,
            syncing: None,
        }
    }
}

impl Group {
    /// Lets a member join; a first generation waits `initial` for more of them.
    pub(crate) fn join(&mut self, j: &Join, initial: Duration) -> Reply<JoinGroupResponse> {
        let refused = |why| Reply::Now(join_error(why, &j.id));
        if !self.modern.members.is_empty() || !self.classic.compatible(j) {
            return refused(code::INCONSISTENT_GROUP_PROTOCOL);
        }
        let newcomer = j.id.is_empty() || self.classic.pending.contains_key(&j.id);
        if newcomer && self.classic.members.len() >= self.members_max {
            return refused(code::GROUP_MAX_SIZE_REACHED);
        }
        match self.classic.judge(j, self.now) {
            Err(why) => refused(why),
            Ok(Verdict::Answer(answer)) => Reply::Now(*answer),
            Ok(Verdict::TakePart(id)) => self.classic.take_part(&id, j, initial, self.now),
        }
    }
}

impl Classic {
    /// Whether the group speaks any of the member's protocols.
    fn compatible(&self, j: &Join) -> bool {
        let shared = |p: &(String, Bytes)| self.members.iter().all(|m| m.speaks(&p.0));
        let same = self.protocol_type == j.protocol_type && j.protocols.iter().any(shared);
        self.members.is_empty() || self.phase == Phase::Empty || same
    }

    fn judge(&mut self, j: &Join, now: Duration) -> Result<Verdict, Code> {
        if j.id.is_empty() {
            return Ok(self.newcomer(j, now));
        }
        self.check_instance(&j.id, j.instance.as_deref())?;
        if self.pending.remove(&j.id).is_some() {
            self.add(&j.id, j, now);
            return Ok(Verdict::TakePart(j.id.clone()));
        }
        self.known(j, now)
    }

    /// Without an id: a static member that is back, a dynamic one that needs an id first, or an old client.
    fn newcomer(&mut self, j: &Join, now: Duration) -> Verdict {
        let id = format!("{}-{}", j.instance.as_deref().unwrap_or(&j.client), uuid::Uuid::new_v4());
        if let Some(old) = j.instance.as_ref().and_then(|i| self.statics.get(i).cloned()) {
            return self.replace_static(&old, id, j, now);
        }
        if j.instance.is_none() && j.version >= 4 {
            self.pending.insert(id.clone(), now + j.session);
            return Verdict::Answer(Box::new(join_error(code::MEMBER_ID_REQUIRED, &id)));
        }
        self.add(&id, j, now);
        Verdict::TakePart(id)
    }

    /// A static member was restarted: it keeps its place under another id, and the older process is shut out.
    fn replace_static(&mut self, old: &str, id: String, j: &Join, now: Duration) -> Verdict {
        let (was_leader, protocol) = (self.is_leader(old), self.protocol.clone().unwrap_or_default());
        let stable = self.phase == Phase::Stable;
        let Some(m) = self.member(old) else {
            return Verdict::Answer(Box::new(join_error(code::UNKNOWN_MEMBER_ID, "")));
        };
        m.dismiss(code::FENCED_INSTANCE_ID);
        let next = j.member(&id, now);
        let undisturbed = stable && m.speaks(&protocol) && m.metadata(&protocol) == next.metadata(&protocol);
        let assignment = m.assignment.clone();
        *m = Member { assignment, ..next };
        if let Some(instance) = &j.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        if was_leader {
            self.leader = Some(id.clone());
        }
        if !undisturbed {
            return Verdict::TakePart(id);
        }
        // Older clients would compute an assignment if told that they lead: they are told the id they had.
        let leader = if was_leader && j.version < 9 { old } else { self.leader.as_deref().unwrap_or_default() };
        Verdict::Answer(Box::new(self.joined(&id, leader, was_leader && j.version >= 9)))
    }

    /// A member joins again: at once if nothing has changed for it.
    fn known(&mut self, j: &Join, now: Duration) -> Result<Verdict, Code> {
        let leads = self.is_leader(&j.id);
        let m = self.member(&j.id).ok_or(code::UNKNOWN_MEMBER_ID)?;
        let same = m.protocols == j.protocols;
        m.protocols.clone_from(&j.protocols);
        m.seen = now;
        let at_once = same && (self.phase == Phase::Completing || (self.phase == Phase::Stable && !leads));
        if at_once {
            let leader = self.leader.as_deref().unwrap_or_default();
            return Ok(Verdict::Answer(Box::new(self.joined(&j.id, leader, false))));
        }
        Ok(Verdict::TakePart(j.id.clone()))
    }

    fn add(&mut self, id: &str, j: &Join, now: Duration) {
        if let Some(instance) = &j.instance {
            self.statics.insert(instance.clone(), id.into());
        }
        let member = j.member(id, now);
        self.members.push(member);
    }

    fn take_part(&mut self, id: &str, j: &Join, initial: Duration, now: Duration) -> Reply<JoinGroupResponse> {
        if self.protocol_type.is_empty() || self.members.len() == 1 {
            self.protocol_type.clone_from(&j.protocol_type);
        }
        if self.phase != Phase::Preparing {
            let wait = if self.phase == Phase::Empty { initial } else { Duration::ZERO };
            self.prepare(now, wait);
        }
        let (tell, told) = channel();
        if let Some(m) = self.member(id) {
            m.joining = Some(tell);
        }
        self.try_complete(now);
        Reply::Wait(told)
    }
}

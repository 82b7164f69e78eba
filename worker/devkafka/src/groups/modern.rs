//! The protocol of KIP-848: members heartbeat, the broker assigns. One sticky uniform assignor, no regex subscriptions.
//!
//! Invariant: a partition goes to its new owner only after the old one has acknowledged the revocation or is gone.
use crate::code::{self, Code};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// `group.consumer.heartbeat.interval.ms`; Kafka's default is 5,000.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(1_000);
/// `group.consumer.session.timeout.ms`; Kafka's default is 45,000.
pub(crate) const SESSION: Duration = Duration::from_millis(10_000);
/// Epoch of a static member that leaves and will be back.
pub(crate) const LEAVE_STATIC: i32 = -2;

/// Topic and partition.
pub(crate) type Place = (String, i32);

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) epoch: i32,
    previous_epoch: i32,
    pub(crate) subscribed: BTreeSet<String>,
    /// What the member has been told to own.
    pub(crate) owned: BTreeSet<Place>,
    /// Taken from `owned`, not yet acknowledged.
    revoking: BTreeSet<Place>,
    seen: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Modern {
    pub(crate) epoch: i32,
    pub(crate) members: BTreeMap<String, Member>,
    pub(crate) target: BTreeMap<String, BTreeSet<Place>>,
    /// Partition counts of the subscribed topics when `target` was computed.
    counts: BTreeMap<String, i32>,
}

/// A heartbeat, freed of its wire form.
#[derive(Debug)]
pub(crate) struct Beat {
    pub(crate) member: String,
    pub(crate) epoch: i32,
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) subscribed: Option<BTreeSet<String>>,
    pub(crate) owned: Option<BTreeSet<Place>>,
    pub(crate) now: Duration,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) epoch: i32,
    /// What to own, if the member does not know it yet.
    pub(crate) assignment: Option<BTreeSet<Place>>,
}

impl Modern {
    /// Answers a heartbeat. `topics` are the partition counts of all topics.
    pub(crate) fn heartbeat(&mut self, b: Beat, topics: &BTreeMap<String, i32>) -> Result<Answer, Code> {
        if b.epoch < 0 {
            return self.leave(&b);
        }
        let joined = if b.epoch == 0 { self.join(&b)? } else { self.verify(&b).map(|()| false)? };
        let m = self.members.get_mut(&b.member).ok_or(code::UNKNOWN_MEMBER_ID)?;
        m.seen = b.now;
        let resubscribed = b.subscribed.filter(|s| *s != m.subscribed).map(|s| m.subscribed = s).is_some();
        let full = b.epoch == 0 || b.owned.is_some();
        if let Some(owned) = b.owned {
            m.revoking.retain(|p| owned.contains(p));
        }
        let counts = self.subscribed_counts(topics);
        if joined || resubscribed || counts != self.counts {
            self.epoch = self.epoch.saturating_add(1);
            self.counts = counts;
            self.assign();
        }
        let moved = self.reconcile(&b.member);
        let m = self.members.get(&b.member).ok_or(code::UNKNOWN_MEMBER_ID)?;
        Ok(Answer { epoch: m.epoch, assignment: (full || moved).then(|| m.owned.clone()) })
    }

    /// A static member that will be back keeps its partitions until its session ends.
    fn leave(&mut self, b: &Beat) -> Result<Answer, Code> {
        let m = self.members.get_mut(&b.member).ok_or(code::UNKNOWN_MEMBER_ID)?;
        if b.epoch == LEAVE_STATIC {
            m.epoch = LEAVE_STATIC;
        } else {
            self.remove(&b.member);
        }
        Ok(Answer { epoch: b.epoch, assignment: None })
    }

    /// Whether the members changed.
    fn join(&mut self, b: &Beat) -> Result<bool, Code> {
        if let Some(old) = self.twin(b)? {
            let m = self.members.remove(&old).ok_or(code::UNKNOWN_MEMBER_ID)?;
            let target = self.target.remove(&old).unwrap_or_default();
            self.target.insert(b.member.clone(), target);
            self.members.insert(b.member.clone(), Member { epoch: 0, previous_epoch: 0, ..m });
            return Ok(false);
        }
        if let Some(m) = self.members.get_mut(&b.member) {
            (m.epoch, m.previous_epoch) = (0, 0);
            m.owned.clear();
            m.revoking.clear();
            return Ok(false);
        }
        let m = Member {
            instance: b.instance.clone(),
            client: b.client.clone(),
            epoch: 0,
            previous_epoch: 0,
            subscribed: BTreeSet::new(),
            owned: BTreeSet::new(),
            revoking: BTreeSet::new(),
            seen: b.now,
        };
        self.members.insert(b.member.clone(), m);
        Ok(true)
    }

    /// The member id under which this instance was here before; an instance that is still here is not replaced.
    fn twin(&self, b: &Beat) -> Result<Option<String>, Code> {
        let Some(instance) = &b.instance else { return Ok(None) };
        let same = |(id, m): &(&String, &Member)| m.instance.as_ref() == Some(instance) && **id != b.member;
        match self.members.iter().find(same) {
            None => Ok(None),
            Some((_, m)) if m.epoch != LEAVE_STATIC => Err(code::UNRELEASED_INSTANCE_ID),
            Some((id, _)) => Ok(Some(id.clone())),
        }
    }

    /// The previous epoch is accepted too: the answer that raised it may have been lost.
    fn verify(&self, b: &Beat) -> Result<(), Code> {
        match self.members.get(&b.member) {
            None => Err(code::UNKNOWN_MEMBER_ID),
            Some(m) if b.epoch == m.epoch || b.epoch == m.previous_epoch => Ok(()),
            Some(_) => Err(code::FENCED_MEMBER_EPOCH),
        }
    }

    fn subscribed_counts(&self, topics: &BTreeMap<String, i32>) -> BTreeMap<String, i32> {
        let wanted = self.members.values().flat_map(|m| &m.subscribed);
        wanted.filter_map(|t| topics.get(t).map(|n| (t.clone(), *n))).collect()
    }

    /// Sticky and uniform: keeps what it can, hands out the rest, then evens out to a difference of one.
    fn assign(&mut self) {
        let all: BTreeSet<Place> = self.counts.iter().flat_map(|(t, n)| (0..*n).map(move |p| (t.clone(), p))).collect();
        let mut next: BTreeMap<String, BTreeSet<Place>> =
            self.members.keys().map(|m| (m.clone(), BTreeSet::new())).collect();
        let mut free = all.clone();
        for (m, old) in &self.target {
            let (Some(n), Some(x)) = (next.get_mut(m), self.members.get(m)) else { continue };
            n.extend(old.iter().filter(|p| x.subscribed.contains(&p.0) && free.contains(*p)).cloned());
            free.retain(|p| !n.contains(p));
        }
        for p in free {
            if let Some(m) = self.least(&next, &p.0) {
                next.entry(m).or_default().insert(p);
            }
        }
        while let Some((from, to, p)) = self.uneven(&next) {
            next.entry(from).or_default().remove(&p);
            next.entry(to).or_default().insert(p);
        }
        self.target = next;
    }

    /// The subscriber of a topic that has least.
    fn least(&self, next: &BTreeMap<String, BTreeSet<Place>>, topic: &str) -> Option<String> {
        let able = self.members.iter().filter(|(_, m)| m.subscribed.contains(topic));
        able.min_by_key(|(id, _)| next.get(*id).map_or(0, BTreeSet::len)).map(|(id, _)| id.clone())
    }

    /// A partition that would make things more even elsewhere.
    fn uneven(&self, next: &BTreeMap<String, BTreeSet<Place>>) -> Option<(String, String, Place)> {
        next.iter().find_map(|(from, ps)| {
            let first_of_each: BTreeMap<&str, &Place> = ps.iter().rev().map(|p| (p.0.as_str(), p)).collect();
            first_of_each.values().find_map(|p| {
                let to = self.least(next, &p.0)?;
                let has = next.get(&to).map_or(0, BTreeSet::len);
                (ps.len() > has + 1).then(|| (from.clone(), to, (*p).clone()))
            })
        })
    }

    /// Moves one member a step towards its target; true if what it owns has changed.
    fn reconcile(&mut self, id: &str) -> bool {
        let target = self.target.get(id).cloned().unwrap_or_default();
        let others = self.members.iter().filter(|(m, _)| *m != id);
        let taken: BTreeSet<Place> = others.flat_map(|(_, m)| m.owned.union(&m.revoking)).cloned().collect();
        let epoch = self.epoch;
        let Some(m) = self.members.get_mut(id).filter(|m| m.revoking.is_empty()) else { return false };
        m.revoking = m.owned.difference(&target).cloned().collect();
        if !m.revoking.is_empty() {
            m.owned.retain(|p| target.contains(p));
            return true;
        }
        if m.epoch != epoch {
            (m.previous_epoch, m.epoch) = (m.epoch, epoch);
        }
        let before = m.owned.len();
        m.owned.extend(target.into_iter().filter(|p| !taken.contains(p)));
        m.owned.len() != before
    }

    fn remove(&mut self, id: &str) {
        self.members.remove(id);
        self.target.remove(id);
        self.epoch = self.epoch.saturating_add(1);
        self.assign();
    }

    /// Removes members whose session is over.
    pub(super) fn tick(&mut self, now: Duration) {
        let late = |m: &Member| m.seen + SESSION < now;
        let dead: Vec<String> = self.members.iter().filter(|(_, m)| late(m)).map(|(id, _)| id.clone()).collect();
        for id in dead {
            self.remove(&id);
        }
    }

    pub(super) fn may_commit(&self, id: &str, epoch: i32) -> Result<(), Code> {
        match self.members.get(id) {
            None => Err(code::UNKNOWN_MEMBER_ID),
            Some(m) if m.epoch != epoch => Err(code::STALE_MEMBER_EPOCH),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn state_name(&self) -> &'static str {
        let settled = |(id, m): (&String, &Member)| m.revoking.is_empty() && self.target.get(id) == Some(&m.owned);
        match (self.members.is_empty(), self.members.iter().all(settled)) {
            (true, _) => "Empty",
            (_, true) => "Stable",
            _ => "Reconciling",
        }
    }
}

#[cfg(test)]
#[path = "modern_tests.rs"]
mod tests;

//! The coordinator of the worker group: members with sessions, partitions that move when they were let go, static members.
use super::network::Link;
use super::trace::trace;
use async_trait::async_trait;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_kafka::ports::{Consumed, Consumer, GroupMetadata, KafkaError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) const SESSION: Duration = Duration::from_secs(10);
pub(super) const SLOTS: i32 = 8;
const LOOK_EVERY: Duration = Duration::from_millis(250);

type Part = (bool, i32);

fn at(part: Part) -> TopicPartition {
    TopicPartition { topic: if part.0 { "workers-leader".into() } else { "workers-slots".into() }, partition: part.1 }
}

fn all(parts: &BTreeSet<Part>) -> Vec<TopicPartition> {
    parts.iter().map(|part| at(*part)).collect()
}

struct Member {
    instance: String,
    link: Arc<Link>,
    seen: Instant,
    events: VecDeque<Consumed>,
    asked_back: VecDeque<BTreeSet<Part>>,
    arrived: Arc<Notify>,
    /// Another process has taken its place.
    fenced: bool,
    /// Its session has expired.
    gone: bool,
}

impl Member {
    fn tell(&mut self, event: Consumed) {
        trace(|| {
            let (kind, parts) = match &event {
                Consumed::Assigned(parts) => ("is given", parts),
                Consumed::Revoked(parts) => ("is asked for", parts),
                Consumed::Lost(parts) => ("has lost", parts),
                Consumed::Records(..) | Consumed::Gone(..) => return String::new(),
            };
            let numbers: Vec<String> = parts
                .iter()
                .map(|p| format!("{}{}", if p.topic.ends_with('r') { "L" } else { "" }, p.partition))
                .collect();
            format!("  {} {kind} {}", self.instance, numbers.join(" "))
        });
        self.events.push_back(event);
        self.arrived.notify_one();
    }
}

#[derive(Default)]
struct State {
    members: BTreeMap<u64, Member>,
    owners: BTreeMap<Part, u64>,
    last: u64,
}

/// The coordinator.
#[derive(Clone)]
pub(super) struct Coordinator {
    state: Arc<Mutex<State>>,
    /// Whether owners are asked to let go before a partition moves.
    asks: bool,
}

impl Coordinator {
    pub(super) fn new(asks: bool) -> Self {
        Self { state: Arc::default(), asks }
    }

    /// Looks at sessions and evens out, for ever.
    pub(super) async fn run(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut state = self.state.lock().unwrap();
            state.expire();
            state.give_out();
            state.even_out(self.asks);
        }
    }
}

impl State {
    fn alive(&self) -> Vec<u64> {
        self.members.iter().filter(|(_, m)| !m.fenced && !m.gone).map(|(id, _)| *id).collect()
    }

    fn of(&self, member: u64) -> BTreeSet<Part> {
        self.owners.iter().filter(|(_, owner)| **owner == member).map(|(part, _)| *part).collect()
    }

    fn expire(&mut self) {
        let now = Instant::now();
        for id in self.alive() {
            let owned = self.of(id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            if member.link.beats() {
                member.seen = now;
            } else if now - member.seen > SESSION {
                member.gone = true;
                member.events.clear();
                member.asked_back.clear();
                member.tell(Consumed::Lost(all(&owned)));
                self.owners.retain(|_, owner| *owner != id);
            }
        }
    }

    /// Partitions that nobody has go to whoever has fewest.
    fn give_out(&mut self) {
        let alive = self.alive();
        let parts = (0..SLOTS).map(|slot| (false, slot)).chain([(true, 0)]);
        let free: Vec<Part> = parts.filter(|part| !self.owners.contains_key(part)).collect();
        let mut given: BTreeMap<u64, BTreeSet<Part>> = BTreeMap::new();
        for part in free {
            let Some(id) = alive.iter().min_by_key(|id| self.of(**id).len()).copied() else { return };
            self.owners.insert(part, id);
            given.entry(id).or_default().insert(part);
        }
        for (id, parts) in given {
            if let Some(member) = self.members.get_mut(&id) {
                member.tell(Consumed::Assigned(all(&parts)));
            }
        }
    }

    /// One partition at a time from whoever has most to whoever has fewest.
    fn even_out(&mut self, asks: bool) {
        let alive = self.alive();
        let moving = self.members.values().any(|member| !member.asked_back.is_empty());
        let most = alive.iter().max_by_key(|id| self.of(**id).len()).copied();
        let fewest = alive.iter().min_by_key(|id| self.of(**id).len()).copied();
        let (Some(most), Some(fewest)) = (most, fewest) else { return };
        let (have, has) = (self.of(most), self.of(fewest).len());
        if moving || have.len() < has + 2 {
            return;
        }
        let parts: BTreeSet<Part> = have.iter().rev().take((have.len() - has) / 2).copied().collect();
        let Some(member) = self.members.get_mut(&most) else { return };
        member.tell(Consumed::Revoked(all(&parts)));
        if asks {
            member.asked_back.push_back(parts);
        } else {
            self.owners.retain(|part, _| !parts.contains(part));
        }
    }
}

/// A member as its worker has it.
pub(super) struct SimConsumer {
    coordinator: Coordinator,
    link: Arc<Link>,
    instance: String,
    id: u64,
}

impl SimConsumer {
    pub(super) fn join(coordinator: &Coordinator, instance: String, link: &Arc<Link>) -> Self {
        let mut joined = Self { coordinator: coordinator.clone(), link: Arc::clone(link), instance, id: 0 };
        joined.register();
        joined
    }

    /// Becomes a member; one of the same name is fenced and what it had is this one's.
    fn register(&mut self) {
        let mut state = self.coordinator.state.lock().unwrap();
        state.last += 1;
        self.id = state.last;
        let before = state.members.iter_mut().find(|(_, m)| m.instance == self.instance && !m.fenced && !m.gone);
        let mut kept = BTreeSet::new();
        if let Some((id, member)) = before {
            member.fenced = true;
            member.asked_back.clear();
            member.arrived.notify_one();
            let id = *id;
            kept = state.of(id);
            state.owners.extend(kept.iter().map(|part| (*part, self.id)));
        }
        let (link, arrived) = (Arc::clone(&self.link), Arc::new(Notify::new()));
        let (events, asked_back) = (VecDeque::new(), VecDeque::new());
        let (instance, seen) = (self.instance.clone(), Instant::now());
        let mut member = Member { instance, link, seen, events, asked_back, arrived, fenced: false, gone: false };
        if !kept.is_empty() {
            member.tell(Consumed::Assigned(all(&kept)));
        }
        state.members.insert(self.id, member);
    }

    fn with<T>(&self, look: impl FnOnce(&mut Member) -> T) -> T {
        look(self.coordinator.state.lock().unwrap().members.get_mut(&self.id).unwrap())
    }
}

#[async_trait]
impl Consumer for SimConsumer {
    async fn next(&mut self) -> Result<Consumed, KafkaError> {
        loop {
            // A worker that is cut off learns that it was expelled once it is back.
            self.link.reaches().await;
            let arrived = self.with(|member| Arc::clone(&member.arrived));
            let (event, fenced, gone) = self.with(|m| (m.events.pop_front(), m.fenced, m.gone));
            match event {
                _ if fenced => return Err(KafkaError::Fenced),
                Some(event) => {
                    if gone {
                        self.register();
                    }
                    return Ok(event);
                }
                None => arrived.notified().await,
            }
        }
    }
    async fn start_at(&mut self, _: &BTreeMap<TopicPartition, Option<Offset>>) -> Result<(), KafkaError> {
        Ok(())
    }
    async fn confirm_revoked(&mut self) -> Result<(), KafkaError> {
        self.link.pass().await.map_err(|_| KafkaError::Retriable("no answer".to_owned()))?;
        let mut state = self.coordinator.state.lock().unwrap();
        let parts = state.members.get_mut(&self.id).and_then(|member| member.asked_back.pop_front());
        let (parts, id) = (parts.unwrap_or_default(), self.id);
        state.owners.retain(|part, owner| !(*owner == id && parts.contains(part)));
        Ok(())
    }
    async fn stable_offsets(
        &self,
        _: &[TopicPartition],
        _: Duration,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, KafkaError> {
        Ok(BTreeMap::new())
    }
    async fn commit(&mut self, _: &ConsumedOffsets) -> Result<(), KafkaError> {
        let lost = |_| KafkaError::Retriable("no answer".to_owned());
        self.link.pass().await.map_err(lost)?;
        // A commit maintains the session like a heartbeat, as Kafka's coordinators have it.
        let (fenced, gone) = self.with(|member| {
            member.seen = Instant::now();
            (member.fenced, member.gone)
        });
        self.link.pass().await.map_err(lost)?;
        match (fenced, gone) {
            (true, _) => Err(KafkaError::Fenced),
            (_, true) => Err(KafkaError::Abortable("unknown member".to_owned())),
            _ => Ok(()),
        }
    }
    fn group_metadata(&self) -> Option<GroupMetadata> {
        Some(GroupMetadata(bytes::Bytes::new()))
    }
    fn pause(&mut self, _: &[TopicPartition]) -> Result<(), KafkaError> {
        Ok(())
    }
    fn resume(&mut self, _: &[TopicPartition]) -> Result<(), KafkaError> {
        Ok(())
    }
}

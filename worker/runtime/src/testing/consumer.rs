//! Group consumer of the fake: cooperative, one event at a time.
use super::clients::within;
use super::state::{FakeKafka, Member, Status};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_kafka::ports::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Records of one event.
const FETCH: usize = 500;

pub(crate) struct FakeConsumer {
    kafka: FakeKafka,
    group: String,
    member: u64,
    positions: BTreeMap<TopicPartition, usize>,
    paused: BTreeSet<TopicPartition>,
    revoking: BTreeSet<TopicPartition>,
    ranks: BTreeMap<String, u8>,
    most: usize,
}

impl FakeConsumer {
    pub(super) fn join(kafka: &FakeKafka, group: &str, subscription: &Subscription) -> Self {
        let topics = match subscription {
            Subscription::Topics(topics) => topics.clone(),
            Subscription::Pattern(pattern) => {
                let pattern = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
                kafka.lock().topics.keys().filter(|t| pattern.is_match(t)).cloned().collect()
            }
        };
        let member = kafka.change(|s| {
            s.members += 1;
            let member = Member { topics, ..Member::default() };
            s.groups.entry(group.to_owned()).or_default().members.insert(s.members, member);
            s.balance(group);
            s.members
        });
        let (positions, paused, revoking, ranks) = Default::default();
        Self { kafka: kafka.clone(), group: group.to_owned(), member, positions, paused, revoking, ranks, most: FETCH }
    }

    pub(super) fn read_metadata(metadata: &GroupMetadata) -> (String, u64) {
        let text = String::from_utf8_lossy(&metadata.0).into_owned();
        let (member, group) = text.split_once(' ').unwrap();
        (group.to_owned(), member.parse().unwrap())
    }
}

impl Drop for FakeConsumer {
    fn drop(&mut self) {
        self.kafka.change(|s| {
            if let Some(group) = s.groups.get_mut(&self.group) {
                group.members.remove(&self.member);
            }
            s.balance(&self.group);
        });
    }
}

enum Seen {
    Lost(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Assigned(Vec<TopicPartition>),
    Records(TopicPartition, usize, Vec<InRecord>),
    Gone(TopicPartition, usize),
}

#[async_trait]
impl Consumer for FakeConsumer {
    async fn next(&mut self) -> Result<Consumed, KafkaError> {
        let (group, id) = (self.group.clone(), self.member);
        let (positions, paused, revoking) = (&self.positions, &self.paused, &self.revoking);
        let (most, rank) = (self.most, |tp: &TopicPartition| self.ranks.get(&*tp.topic).copied().unwrap_or(5));
        let seen = self
            .kafka
            .wait(|s| {
                let taken: BTreeSet<TopicPartition> =
                    s.groups[&group].members.values().flat_map(|m| m.owned.iter().cloned()).collect();
                let member = s.groups.get_mut(&group)?.members.get_mut(&id)?;
                if !member.lost.is_empty() {
                    return Some(Seen::Lost(std::mem::take(&mut member.lost).into_iter().collect()));
                }
                let gone: Vec<_> = member.owned.difference(&member.target).cloned().collect();
                if revoking.is_empty() && !gone.is_empty() {
                    return Some(Seen::Revoked(gone));
                }
                let new: Vec<_> = member.target.difference(&taken).cloned().collect();
                if !new.is_empty() {
                    member.owned.extend(new.iter().cloned());
                    return Some(Seen::Assigned(new));
                }
                let mut ready: Vec<_> = member.owned.iter().cloned().collect();
                ready.sort_by_key(|tp| std::cmp::Reverse(rank(tp)));
                ready.into_iter().filter(|tp| !paused.contains(tp) && !revoking.contains(tp)).find_map(|tp| {
                    let from = *positions.get(&tp)?;
                    if !(s.begins.get(&tp).copied().unwrap_or(0)..=s.log(&tp).len()).contains(&from) {
                        return Some(Seen::Gone(tp, from));
                    }
                    let records: Vec<_> = s.visible(s.log(&tp), from).into_iter().take(most).collect();
                    let next = records.last()?.0;
                    Some(Seen::Records(tp, next, records.into_iter().map(|(_, r)| r).collect()))
                })
            })
            .await;
        Ok(match seen {
            Seen::Lost(gone) => {
                self.positions.retain(|tp, _| !gone.contains(tp));
                Consumed::Lost(gone)
            }
            Seen::Revoked(gone) => {
                self.revoking.extend(gone.iter().cloned());
                Consumed::Revoked(gone)
            }
            Seen::Assigned(new) => Consumed::Assigned(new),
            Seen::Gone(tp, from) => {
                self.positions.remove(&tp);
                Consumed::Gone(tp, Offset(from as i64))
            }
            Seen::Records(tp, next, records) => {
                self.positions.insert(tp.clone(), next);
                Consumed::Records(tp, records)
            }
        })
    }

    async fn prefer(&mut self, topics: &BTreeMap<String, u8>) -> Result<bool, KafkaError> {
        self.ranks.clone_from(topics);
        Ok(true)
    }

    fn take_at_most(&mut self, records: usize) {
        self.most = records.min(FETCH);
    }

    async fn start_at(&mut self, at: &BTreeMap<TopicPartition, Option<Offset>>) -> Result<(), KafkaError> {
        for (tp, offset) in at {
            let stored = self.kafka.lock().offsets.get(&self.group).and_then(|o| o.get(tp)).copied();
            let begin = self.kafka.lock().begins.get(tp).copied().unwrap_or(0);
            let from = offset.or(stored).map_or(begin, |o| usize::try_from(o.0).unwrap());
            self.positions.insert(tp.clone(), from);
        }
        Ok(())
    }

    async fn confirm_revoked(&mut self) -> Result<(), KafkaError> {
        let gone = std::mem::take(&mut self.revoking);
        self.positions.retain(|tp, _| !gone.contains(tp));
        self.kafka.change(|s| {
            let group = s.groups.get_mut(&self.group).unwrap();
            group.members.get_mut(&self.member).unwrap().owned.retain(|tp| !gone.contains(tp));
        });
        Ok(())
    }

    async fn stable_offsets(
        &self,
        of: &[TopicPartition],
        max: Duration,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, KafkaError> {
        let read = self.kafka.wait(|s| {
            let undecided = s.transactions.iter().filter(|t| t.status == Status::Open).any(|t| {
                t.offsets.iter().any(|(group, o)| *group == self.group && of.iter().any(|tp| o.contains_key(tp)))
            });
            let stored = s.offsets.get(&self.group);
            let of = of.iter().map(|tp| (tp.clone(), stored.and_then(|o| o.get(tp)).copied()));
            (!undecided).then(|| of.collect())
        });
        within(max, read).await
    }

    async fn commit(&mut self, offsets: &ConsumedOffsets) -> Result<(), KafkaError> {
        self.kafka.change(|s| {
            let member = s.groups.get(&self.group).and_then(|g| g.members.get(&self.member));
            if !member.is_some_and(|m| offsets.0.keys().all(|tp| m.owned.contains(tp))) {
                return Err(KafkaError::Retriable("the member has lost the partition".to_owned()));
            }
            s.offsets.entry(self.group.clone()).or_default().extend(offsets.0.clone());
            Ok(())
        })
    }

    fn group_metadata(&self) -> Option<GroupMetadata> {
        Some(GroupMetadata(Bytes::from(format!("{} {}", self.member, self.group))))
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError> {
        self.paused.extend(partitions.iter().cloned());
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError> {
        self.paused.retain(|tp| !partitions.contains(tp));
        self.kafka.change(|_| ());
        Ok(())
    }
}

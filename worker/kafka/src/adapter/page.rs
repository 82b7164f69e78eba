//! A part of one partition, for people who look at it.
use super::batch::Gathering;
use super::client::Alive;
use super::errors;
use super::groupless::Groupless;
use super::producer::call;
use super::settings::Settings;
use crate::native::{Code, EventKind, Handle, Partitions, Queue, Refusal, Topic};
use crate::ports::{KafkaError, RecordPage};
use elasticflow_api::context::Limits;
use elasticflow_api::position::{Offset, TopicPartition};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) at: &'a TopicPartition,
    pub(crate) from: Option<Offset>,
    pub(crate) max: Limits,
}

/// Reads a page with a client of its own.
pub(crate) async fn read(
    wanted: Wanted<'_>,
    settings: &Settings,
    alive: &Arc<Alive>,
) -> Result<RecordPage, KafkaError> {
    let (name, partition) = (Arc::clone(&wanted.at.topic), wanted.at.partition);
    let doing = format!("cannot read partition {partition} of topic `{name}`");
    let Groupless { handle, complaints, client, records, ready } = Groupless::start(settings, alive)?;
    let (asked, limit) = (Arc::clone(&name), settings.call_limit);
    let known = call(&handle, move |handle| is_there(handle, &asked, partition, limit)).await?;
    known.map_err(|refusal| complaints.0.explain(&doing, &refusal))?;
    let refused = |refusal: Refusal| errors::refused_plainly(&doing, &refusal);
    let topic = Topic::open(&handle, &name).map_err(refused)?;
    let from = wanted.from.map_or(Partitions::BEGINNING, |offset| offset.0);
    handle.read_from(&topic, partition, from, &records).map_err(refused)?;
    let reading =
        Reading { gathering: Gathering::new(wanted.at.clone(), 0), taken: (0, 0), next: wanted.from, max: wanted.max };
    let page = match tokio::time::timeout(limit, reading.run((&records, &ready), &doing)).await {
        Ok(page) => page,
        Err(_) => Err(complaints.0.explain(&doing, &Refusal::of(Code::OperationTimedOut))),
    };
    // Both before the client.
    drop((topic, records, client));
    page
}

fn is_there(handle: &Arc<Handle>, topic: &str, partition: i32, limit: Duration) -> Result<(), Refusal> {
    match handle.metadata(Some(topic), limit)?.topics.get(topic) {
        Some(Ok(partitions)) if (0..*partitions).contains(&partition) => Ok(()),
        Some(Err(code)) => Err(Refusal::of(*code)),
        _ => Err(Refusal::of(Code::UnknownTopicOrPartition)),
    }
}

struct Reading {
    gathering: Gathering,
    /// Records and bytes.
    taken: (usize, usize),
    next: Option<Offset>,
    max: Limits,
}

impl Reading {
    async fn run(mut self, (records, ready): (&Queue, &Notify), doing: &str) -> Result<RecordPage, KafkaError> {
        loop {
            if let Some(is_end) = self.take(records, doing)? {
                let (_, records) = self.gathering.finish();
                return Ok(RecordPage { records, next: self.next.unwrap_or(Offset(0)), is_end });
            }
            ready.notified().await;
        }
    }

    /// Takes what the library has; `Some` when the page is full or, with true, when the partition has no more.
    fn take(&mut self, records: &Queue, doing: &str) -> Result<Option<bool>, KafkaError> {
        while let Some(mut event) = records.poll(Duration::ZERO) {
            if event.kind() == EventKind::Error {
                if event.code() == Code::PartitionEOF {
                    self.next = event.partition().map(|row| Offset(row.offset)).or(self.next);
                    return Ok(Some(true));
                }
                passing(doing, &event.refusal())?;
                continue;
            }
            let Some(message) = event.next_message() else { continue };
            if message.code() != Code::NoError {
                passing(doing, &Refusal::of(message.code()))?;
                continue;
            }
            let size = message.key().map_or(0, <[u8]>::len) + message.value().map_or(0, <[u8]>::len);
            let (count, bytes) = (self.taken.0 + 1, self.taken.1 + size);
            if count > 1 && (count > self.max.records || bytes > self.max.bytes) {
                return Ok(Some(false));
            }
            self.taken = (count, bytes);
            self.next = Some(Offset(message.offset() + 1));
            self.gathering.push(message, true);
            if count >= self.max.records {
                return Ok(Some(false));
            }
        }
        Ok(None)
    }
}

/// The library goes on by itself after what may pass.
fn passing(doing: &str, refusal: &Refusal) -> Result<(), KafkaError> {
    match errors::refused_plainly(doing, refusal) {
        KafkaError::Retriable(why) => {
            tracing::debug!("{why}");
            Ok(())
        }
        error => Err(error),
    }
}

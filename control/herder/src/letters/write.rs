//! Putting letters again, or aside.
use super::browse::Search;
use super::states::States;
use super::view::Letter;
use super::{Addressee, LETTERS_MAX, LetterOutcome, LetterRequest, Letters, Skipped, failed, patch};
use crate::error::HerderError;
use bytes::Bytes;
use elasticflow_kafka::ports::{
    ClientProperties, CommitError, KafkaError, OutRecord, SendError, TopicSpec, TransactionalProducer,
};
use elasticflow_protocol::{LetterState, ReplayEntry, Replayed};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What happens to letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// They are put again.
    Replay,
    /// A person has dealt with them otherwise.
    Discard,
}

impl Letters {
    /// Does what is asked, in one transaction; the second answer says whether the sink has to be started again to see the
    /// replay topic, which it does not know yet.
    pub(crate) async fn write(
        &self,
        of: &Addressee,
        request: &LetterRequest,
        deed: Deed,
    ) -> Result<(LetterOutcome, bool), HerderError> {
        of.topic()?;
        if deed == Deed::Replay && !of.is_sink {
            let text = "dead letters of a source are not put again: mend the cause, then rewind the source's offsets or snapshot the rows anew";
            return Err(HerderError::BadRequest(text.to_owned()));
        }
        if deed == Deed::Replay && of.config.value("flow.batch.publish").is_some_and(|how| how.trim() == "atomic") {
            let text =
                "dead letters of a sink of atomic batches are not put again: mend the cause and run the batch again";
            return Err(HerderError::BadRequest(text.to_owned()));
        }
        let _one = self.writing.lock().await;
        let mut producer = if request.dry_run { None } else { Some(self.producer(of).await?) };
        // After the fence: nobody else can write any more.
        let states = self.states(of).await?;
        let (letters, mut outcome) = self.chosen(of, &states, request).await?;
        let mut entries = Vec::new();
        for (id, record) in &letters {
            let letter = Letter { id: id.clone(), record };
            let (name, state) = (id.to_string(), states.of(&id.to_string()));
            match entry(&letter, state, deed, request.patch.as_ref()) {
                Ok(entry) => entries.push((name, entry)),
                Err(reason) => outcome.skipped.push(Skipped { id: name, reason }),
            }
        }
        match &mut producer {
            Some(producer) if !entries.is_empty() => {
                self.send(of, producer.as_mut(), entries, &mut outcome).await?;
            }
            _ => outcome.done.extend(entries.into_iter().map(|(id, _)| id)),
        }
        let is_unseen = deed == Deed::Replay && !request.dry_run && !states.is_read && !outcome.done.is_empty();
        Ok((outcome, is_unseen))
    }

    /// The letters that are meant, and an answer to fill.
    async fn chosen(
        &self,
        of: &Addressee,
        states: &States,
        request: &LetterRequest,
    ) -> Result<(Vec<(elasticflow_protocol::LetterId, elasticflow_kafka::ports::InRecord)>, LetterOutcome), HerderError>
    {
        let mut outcome = LetterOutcome { dry_run: request.dry_run, ..LetterOutcome::default() };
        if request.ids.len() > LETTERS_MAX {
            return Err(HerderError::BadRequest(format!("ids: at most {LETTERS_MAX} in one request")));
        }
        if request.ids.is_empty() {
            let search = Search { filter: &request.filter, cursor: request.cursor.as_deref(), limit: LETTERS_MAX };
            let found = self.find(of, states, search).await?;
            outcome.next = found.next;
            return Ok((found.letters, outcome));
        }
        let mut letters = Vec::new();
        for id in &request.ids {
            match self.fetch(of, id).await {
                Ok(letter) => letters.push(letter),
                Err(HerderError::NotFound(reason)) => outcome.skipped.push(Skipped { id: id.clone(), reason }),
                Err(error) => return Err(error),
            }
        }
        Ok((letters, outcome))
    }

    /// A producer that has fenced whoever wrote before.
    async fn producer(&self, of: &Addressee) -> Result<Box<dyn TransactionalProducer>, HerderError> {
        let topic = self.replay_topic(of);
        let spec = TopicSpec {
            name: topic.clone(),
            partitions: 1,
            replication: self.cx.options.config_topic.replication,
            configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        self.kafka.admin().ensure_topic(&spec).await.map_err(|e| failed("create the replay topic", &e))?;
        let at_once = ClientProperties::from([("linger.ms".to_owned(), "0".to_owned())]);
        let made = self.kafka.transactional_producer(&topic, &at_once);
        let mut producer = made.map_err(|e| failed("make a producer of replays", &e))?;
        producer.init().await.map_err(|e| failed("fence earlier writers of replays", &e))?;
        Ok(producer)
    }

    async fn send(
        &self,
        of: &Addressee,
        producer: &mut dyn TransactionalProducer,
        entries: Vec<(String, ReplayEntry)>,
        outcome: &mut LetterOutcome,
    ) -> Result<(), HerderError> {
        let doing = "write replays";
        producer.begin().map_err(|e| failed(doing, &e))?;
        let topic = self.replay_topic(of);
        for (id, entry) in entries {
            let value = entry.encode();
            let (key, value) = (Some(id.as_bytes()), Some(value.as_slice()));
            let record = OutRecord { topic: &topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
            match queue(record, producer).await {
                Ok(()) => outcome.done.push(id),
                Err(KafkaError::Record(reason)) => outcome.skipped.push(Skipped { id, reason }),
                Err(error) => {
                    // Tidies up early; without it the next writer's fence does.
                    let _ = producer.abort().await;
                    return Err(failed(doing, &error));
                }
            }
        }
        producer.commit().await.map_err(|error| match error {
            CommitError::Unknown(why) => HerderError::Failed(format!(
                "it is not known whether the replays were written ({why}); ask again: what was written is not written twice"
            )),
            other => HerderError::Failed(format!("the replays were not written: {other}")),
        })
    }
}

async fn queue(record: OutRecord<'_>, producer: &mut dyn TransactionalProducer) -> Result<(), KafkaError> {
    loop {
        match producer.send(record) {
            Ok(_) => return Ok(()),
            Err(SendError::Full) => producer.room().await?,
            Err(SendError::Kafka(error)) => return Err(error),
        }
    }
}

/// What is written for a letter, or why nothing is.
fn entry(letter: &Letter<'_>, state: LetterState, deed: Deed, patch: Option<&Json>) -> Result<ReplayEntry, String> {
    if deed == Deed::Discard {
        let is_open = state == LetterState::Open;
        return if is_open { Ok(ReplayEntry::Discarded) } else { Err(format!("it is {}", state.name())) };
    }
    if !state.may_be_replayed() {
        return Err(format!("it is {}", state.name()));
    }
    let Some((topic, partition, offset)) = letter.place() else {
        return Err(
            "it does not say where it was read; set errors.deadletterqueue.context.headers.enable=true".to_owned()
        );
    };
    if letter.lacks_value() && patch.is_none() {
        return Err("its value was too large to be kept; give the whole value as a patch, or put it aside".to_owned());
    }
    let record = letter.record;
    let value = match patch {
        None => record.value.clone(),
        Some(patch) => {
            let text = record.value.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
            Some(Bytes::from(patch::merged(text, patch)))
        }
    };
    Ok(ReplayEntry::Put(Replayed {
        topic,
        partition,
        offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.clone(),
        value,
        headers: letter.own_headers().into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
    }))
}

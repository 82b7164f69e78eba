//! Pages of letters.
use super::states::States;
use super::view::Letter;
use super::{Addressee, LETTERS_MAX, LetterFilter, LetterPage, LetterQuery, LetterView, Letters, failed};
use crate::error::HerderError;
use elasticflow_api::context::Limits;
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_kafka::ports::InRecord;
use elasticflow_protocol::LetterId;

/// Most that one request reads, whatever the filter leaves of it.
const SCAN_MAX: Limits = Limits { records: 5_000, bytes: 5 << 20 };

/// Where a page ends: partition and offset of the next letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    partition: i32,
    from: Option<i64>,
}

impl Cursor {
    fn parse(text: Option<&str>) -> Result<Self, HerderError> {
        let Some(text) = text else { return Ok(Self { partition: 0, from: None }) };
        let parsed = text.split_once('-').and_then(|(partition, from)| {
            Some(Self { partition: partition.parse().ok()?, from: Some(from.parse().ok()?) })
        });
        parsed.ok_or_else(|| HerderError::BadRequest("cursor: expected the next of an answer before".to_owned()))
    }

    fn text(self) -> String {
        format!("{}-{}", self.partition, self.from.unwrap_or(0))
    }
}

/// What is looked for.
pub(super) struct Search<'a> {
    pub(super) filter: &'a LetterFilter,
    pub(super) cursor: Option<&'a str>,
    pub(super) limit: usize,
}

/// Letters that were found.
pub(super) struct Found {
    pub(super) letters: Vec<(LetterId, InRecord)>,
    pub(super) next: Option<String>,
}

impl Letters {
    pub(crate) async fn list(&self, of: &Addressee, query: &LetterQuery) -> Result<LetterPage, HerderError> {
        let topic = of.topic()?.to_owned();
        let states = self.states(of).await?;
        let limit = query.limit.clamp(1, LETTERS_MAX);
        let search = Search { filter: &query.filter, cursor: query.cursor.as_deref(), limit };
        let found = self.find(of, &states, search).await?;
        let errors = found.letters.iter().map(|(id, record)| {
            let letter = Letter { id: id.clone(), record };
            letter.view(states.of(&id.to_string()), query.contents)
        });
        Ok(LetterPage { topic, errors: errors.collect(), next: found.next })
    }

    pub(crate) async fn one(&self, of: &Addressee, id: &str, contents: bool) -> Result<LetterView, HerderError> {
        let (id, record) = self.fetch(of, id).await?;
        let states = self.states(of).await?;
        let state = states.of(&id.to_string());
        Ok(Letter { id, record: &record }.view(state, contents))
    }

    /// One letter of a connector.
    pub(super) async fn fetch(&self, of: &Addressee, id: &str) -> Result<(LetterId, InRecord), HerderError> {
        let topic = of.topic()?;
        let absent = || HerderError::NotFound(format!("connector {} has no dead letter {id}", of.name));
        let id = LetterId::parse(id).filter(|id| id.topic == topic).ok_or_else(absent)?;
        let at = TopicPartition { topic: topic.into(), partition: id.partition };
        if self.partitions(topic).await? <= id.partition {
            return Err(absent());
        }
        let one = Limits { records: 1, bytes: SCAN_MAX.bytes };
        let page =
            self.kafka.read(&at, Some(Offset(id.offset)), one).await.map_err(|e| failed("read a dead letter", &e))?;
        let record = page.records.into_iter().find(|record| record.offset.0 == id.offset).ok_or_else(absent)?;
        let is_mine = Letter { id: id.clone(), record: &record }.is_of(&of.name);
        if is_mine { Ok((id, record)) } else { Err(absent()) }
    }

    async fn partitions(&self, topic: &str) -> Result<i32, HerderError> {
        let there = self.kafka.admin().partitions_of(topic).await.map_err(|e| failed("look a topic up", &e))?;
        Ok(there.unwrap_or(0))
    }

    /// Letters that a filter names, from a cursor on.
    pub(super) async fn find(&self, of: &Addressee, states: &States, search: Search<'_>) -> Result<Found, HerderError> {
        let topic = of.topic()?;
        let partitions = self.partitions(topic).await?;
        let mut cursor = Cursor::parse(search.cursor)?;
        let (mut letters, mut left) = (Vec::new(), SCAN_MAX.records);
        while cursor.partition < partitions {
            let at = TopicPartition { topic: topic.into(), partition: cursor.partition };
            let most = Limits { records: left, bytes: SCAN_MAX.bytes };
            let page = self.kafka.read(&at, cursor.from.map(Offset), most).await;
            let page = page.map_err(|e| failed("read dead letters", &e))?;
            left = left.saturating_sub(page.records.len());
            for record in page.records {
                cursor.from = Some(record.offset.0 + 1);
                let id = LetterId { topic: topic.to_owned(), partition: cursor.partition, offset: record.offset.0 };
                let letter = Letter { id: id.clone(), record: &record };
                if letter.is_of(&of.name) && letter.passes(search.filter, states.of(&id.to_string())) {
                    letters.push((id, record));
                }
                if letters.len() >= search.limit {
                    return Ok(Found { letters, next: Some(cursor.text()) });
                }
            }
            if page.is_end {
                cursor = Cursor { partition: cursor.partition + 1, from: None };
            } else {
                cursor.from = Some(page.next.0);
                return Ok(Found { letters, next: Some(cursor.text()) });
            }
            if left == 0 {
                break;
            }
        }
        let next = (cursor.partition < partitions).then(|| cursor.text());
        Ok(Found { letters, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { partition: 2, from: Some(17) };
        assert_eq!(Cursor::parse(Some(&cursor.text())).unwrap(), cursor);
        assert!(Cursor::parse(Some("x")).is_err());
    }
}

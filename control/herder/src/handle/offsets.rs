//! Positions of connectors: told, altered, and moved over records that are gone.
use super::HerderHandle;
use crate::answer::{ConnectorOffsets, OffsetChange};
use crate::command::{Alter, Command};
use crate::error::HerderError;
use elasticflow_protocol::{Gone, Loss};
use serde_json::{Map, Value as Json, json};

impl HerderHandle {
    /// Committed positions, in every state.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn offsets(&self, name: &str) -> Result<ConnectorOffsets, HerderError> {
        self.ask(|answer| Command::Offsets { name: name.to_owned(), answer }).await
    }

    /// Alters positions of a stopped connector; the answer is Connect's message.
    ///
    /// # Errors
    /// `BadRequest` when there is nothing to alter, the connector is not stopped or an entry is not usable; `NotFound`.
    pub async fn alter_offsets(&self, name: &str, changes: Vec<OffsetChange>) -> Result<String, HerderError> {
        if changes.is_empty() {
            let text = "Partitions / offsets need to be provided for an alter offsets request";
            return Err(HerderError::BadRequest(text.to_owned()));
        }
        self.lead().await?;
        self.ask(|answer| Command::AlterOffsets {
            name: name.to_owned(),
            alter: Alter { changes: Some(changes), after_loss: false },
            answer,
        })
        .await
    }

    /// Forgets every position of a stopped connector; the answer is Connect's message.
    ///
    /// # Errors
    /// `BadRequest` when the connector is not stopped; `NotFound`.
    pub async fn reset_offsets(&self, name: &str) -> Result<String, HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::AlterOffsets {
            name: name.to_owned(),
            alter: Alter { changes: None, after_loss: false },
            answer,
        })
        .await
    }

    /// Records that were deleted before the connector read them.
    ///
    /// # Errors
    /// `NotFound`; `BadRequest` for a source.
    pub async fn loss(&self, name: &str) -> Result<Loss, HerderError> {
        self.ask(|answer| Command::Loss { name: name.to_owned(), answer }).await
    }

    /// Moves a sink over records that are gone, if they are as many as the caller says, and starts its failed tasks again.
    ///
    /// # Errors
    /// `Conflict` when nothing is gone, when it is another number, or while a task runs.
    pub async fn accept_loss(&self, name: &str, records: u64) -> Result<Loss, HerderError> {
        self.lead().await?;
        let loss = self.loss(name).await?;
        refuse_number(name, &loss, records)?;
        let alter = Alter { changes: Some(loss.partitions.iter().map(after).collect()), after_loss: true };
        self.ask(|answer| Command::AlterOffsets { name: name.to_owned(), alter, answer }).await?;
        tracing::warn!(connector = name, records, "a loss is accepted: {loss}");
        if !self.tasks(name).await?.is_empty() {
            self.restart(name, true, true).await?;
        }
        Ok(loss)
    }
}

fn refuse_number(name: &str, loss: &Loss, records: u64) -> Result<(), HerderError> {
    if loss.is_none() {
        let text =
            format!("connector {name} has lost nothing: the next record of each partition is there, or still to come");
        return Err(HerderError::Conflict(text));
    }
    if loss.records != records {
        return Err(HerderError::Conflict(format!(
            "records: connector {name} has lost {}, not {records}; nothing is changed. {loss}",
            loss.records
        )));
    }
    Ok(())
}

/// The position after what is gone.
fn after(gone: &Gone) -> OffsetChange {
    let object = |value: Json| value.as_object().cloned().unwrap_or_else(Map::new);
    OffsetChange {
        partition: Some(object(json!({ "kafka_topic": gone.topic, "kafka_partition": gone.partition }))),
        offset: Some(object(json!({ "kafka_offset": gone.earliest }))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_number_is_accepted() {
        let loss = Loss::of(Gone::of("t", 0, 3, (10, 12)));
        assert!(refuse_number("c", &loss, 7).is_ok());
        let refused = refuse_number("c", &loss, 6).unwrap_err();
        assert_eq!(refused.status(), 409);
        assert_eq!(
            refused.to_string(),
            "records: connector c has lost 7, not 6; nothing is changed. t-0: expected offset 3, earliest 10, 7 records lost"
        );
        let refused = refuse_number("c", &Loss::default(), 0).unwrap_err().to_string();
        assert!(refused.contains("has lost nothing"), "{refused}");
    }

    #[test]
    fn a_partition_goes_on_at_the_first_record_that_is_there() {
        let again = after(&Gone::of("t", 2, 20, (0, 5)).unwrap());
        assert_eq!(Json::Object(again.offset.unwrap()), json!({"kafka_offset": 0}));
        assert_eq!(Json::Object(again.partition.unwrap()), json!({"kafka_topic": "t", "kafka_partition": 2}));
    }
}

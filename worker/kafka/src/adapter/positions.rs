//! Where a consumer reads: partitions are started at an offset, moved, or begun where the group or its settings say.
use super::consumer::RdConsumer;
use super::errors;
use super::producer::call;
use crate::native::Partitions;
use crate::ports::{Consumer, KafkaError};
use elasticflow_api::position::TopicPartition;
use std::collections::BTreeMap;

impl RdConsumer {
    /// Ends the rebalance that gave `rows`.
    pub(super) fn assign(&mut self, rows: &BTreeMap<TopicPartition, i64>) -> Result<(), KafkaError> {
        let what = "cannot start partitions";
        let list = self.list(what, rows)?;
        let handle = self.client.handle();
        rows.keys()
            .try_for_each(|at| self.lanes.place(handle, at))
            .and_then(|()| handle.assign(&list))
            .map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))?;
        self.active.extend(rows.keys().cloned());
        self.next.extend(known(rows));
        self.given.clear();
        Ok(())
    }

    /// Moves partitions that are being read already.
    pub(super) async fn seek(&mut self, rows: BTreeMap<TopicPartition, i64>) -> Result<(), KafkaError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.taken.retain(|(at, _)| !rows.contains_key(at));
        self.gone.retain(|(at, _)| !rows.contains_key(at));
        self.next.retain(|at, _| !rows.contains_key(at));
        self.next.extend(known(&rows));
        let what = "cannot move the position";
        let list = self.list(what, &rows)?;
        let limit = self.limit;
        call(self.handle(), move |handle| handle.seek(&list, limit))
            .await?
            .map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))
    }

    /// Where given partitions start for which the owner names no offset: at the committed one, or, where the group has none,
    /// as `auto.offset.reset` says.
    pub(super) async fn begin_unread(&self, rows: &mut BTreeMap<TopicPartition, i64>) -> Result<(), KafkaError> {
        let unnamed = rows.iter().filter(|(_, offset)| **offset == Partitions::COMMITTED);
        let unnamed: Vec<_> = unnamed.map(|(at, _)| at.clone()).collect();
        let committed = self.stable_offsets(&unnamed, self.limit).await?;
        for at in unnamed.into_iter().filter(|at| !matches!(committed.get(at), Some(Some(_)))) {
            let begin = self.begin.ok_or_else(|| {
                KafkaError::Config(format!(
                    "consumer group `{}` has no offset for {}-{}, and auto.offset.reset=none says that it must have one: alter the offsets of the connector, or set earliest or latest",
                    self.group, at.topic, at.partition
                ))
            })?;
            rows.insert(at, begin);
        }
        Ok(())
    }

    /// Where a partition without a given offset starts when it is moved: at the committed offset, else at the beginning.
    pub(super) async fn committed_or_beginning(
        &self,
        at: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        let committed = self.stable_offsets(at, self.limit).await?;
        Ok(committed.into_iter().map(|(at, offset)| (at, offset.map_or(Partitions::BEGINNING, |o| o.0))).collect())
    }
}

/// Those that are offsets, and no places that have a name.
fn known(rows: &BTreeMap<TopicPartition, i64>) -> impl Iterator<Item = (TopicPartition, i64)> {
    rows.iter().filter(|(_, offset)| **offset >= 0 || **offset == Partitions::BEGINNING).map(|(at, o)| (at.clone(), *o))
}

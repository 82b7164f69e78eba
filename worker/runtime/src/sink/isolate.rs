//! A batch that the destination refused as a whole: halved until the bad records stand alone.
//!
//! About `2 * log2(n)` calls a bad record. The order of a partition is kept: what stands before a bad record is put before
//! that record is judged, and what stands behind it afterwards.
use super::batches::Marked;
use super::cycle::Cycle;
use super::intake::{Gathered, Judging};
use super::pending::shown;
use crate::error::TaskError;
use elasticflow_api::sink::SinkBatch;
use elasticflow_api::{ConnectorError, ErrorClass};

/// A part of the batch that is still to be put.
struct Part {
    gathered: Gathered,
    /// The record is bad: only its offset moves.
    is_passed: bool,
}

impl Cycle {
    /// Puts what can be put and hands the rest to the error policy; answers how many records were put.
    pub(super) async fn isolate(&mut self, refused: Marked, error: ConnectorError) -> Result<usize, TaskError> {
        let Marked { mark, gathered: refused } = refused;
        tracing::info!(task = %self.task.spec.id, records = refused.records, %error, "a batch was refused; it is halved to find the bad records");
        let (mut put, mut bad) = (0, 0);
        let mut waiting = Vec::new();
        let mut failed = Some((refused, error));
        loop {
            if let Some((gathered, error)) = failed.take() {
                self.split(gathered, error, &mut bad, &mut waiting).await?;
            }
            let Some(part) = waiting.pop() else { return Ok(put) };
            let mut batch = self.intake.batch(part.gathered.clone(), Judging::Before).await?;
            let counts = self.stage(mark.as_ref(), &part.gathered, &batch.consumed).await?;
            if part.is_passed || !counts {
                batch.records.clear();
            }
            let count = batch.records.len();
            match self.put_again(batch).await? {
                Ok(()) => put += count,
                Err(error) if part.is_passed => return Err(error.into()),
                Err(error) => failed = Some((part.gathered, error)),
            }
        }
    }

    /// Halves what was refused; a record alone is judged.
    async fn split(
        &mut self,
        gathered: Gathered,
        error: ConnectorError,
        bad: &mut usize,
        waiting: &mut Vec<Part>,
    ) -> Result<(), TaskError> {
        let Some(origin) = gathered.only(&self.intake.replays) else {
            let mut later = gathered;
            let first = later.take(later.records / 2, usize::MAX);
            waiting.push(Part { gathered: later, is_passed: false });
            waiting.push(Part { gathered: first, is_passed: false });
            return Ok(());
        };
        *bad += 1;
        let most = self.settings.isolate_max;
        if *bad > most {
            let message =
                format!("more than errors.batch.isolate.max={most} records of one batch are bad, the last: {error}");
            return Err(ConnectorError { message, ..error }.into());
        }
        self.intake.rejects.isolated(&origin, &error).await?;
        waiting.push(Part { gathered, is_passed: true });
        Ok(())
    }

    /// The inner error says that a record is bad; every other ends the instance.
    async fn put_again(&mut self, batch: SinkBatch) -> Result<Result<(), ConnectorError>, TaskError> {
        let letters = self.intake.rejects.waiting();
        let put_again = self.sink.task().put(batch, &self.cx);
        match shown(&self.task, &self.flow, "put", put_again).await {
            Err(error) if error.class == ErrorClass::Record && !self.intake.rejects.has_refused() => {
                self.intake.rejects.forget_after(letters);
                Ok(Err(error))
            }
            ended => Ok(Ok(ended?)),
        }
    }
}

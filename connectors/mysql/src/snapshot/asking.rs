//! What the reader of chunks is asked for, and from when on the changes of a table go out.
use super::{Phase, Snapshot, key_names};
use crate::capture::Capture;
use crate::chunk::{Ask, Following, is_chunkable};
use crate::error::{Error, Result};
use crate::table::Table;
use crate::window::Window;
use std::collections::HashSet;
use std::sync::Arc;

/// Most keys noted for one chunk; more changes than that, and the chunk is read again.
const KEYS_MAX: usize = 1_000_000;

impl Snapshot {
    /// Asks for the next chunk; opens its window.
    pub(super) async fn ask(&mut self, capture: &mut Capture) -> Result<()> {
        while let Some((db, name)) = self.tables.front().cloned() {
            let table = match &self.current {
                Some(table) => Some(Arc::clone(table)),
                None => capture.tables.for_snapshot(&mut capture.control, &db, &name).await?,
            };
            let Some(table) = table else {
                self.table_done(capture);
                continue;
            };
            self.current = Some(Arc::clone(&table));
            let whole = !is_chunkable(&table);
            capture.watch.overtaken = false;
            if !whole {
                self.learn_about(capture, &table).await?;
                self.learn_maximum(capture, &table).await?;
                self.check_key(&table)?;
                capture.watch.gated.remove(&table.id);
                // From here on its changes go out, after a new start too: a row that was told of must not be forgotten again.
                self.progress.table = Some((db, name));
                capture.watch.window = Some(Window::new(Arc::clone(&table.id), KEYS_MAX));
            }
            let following = self.following();
            let covers = (capture.gtids.clone(), capture.log.at().clone());
            let filter = self.progress.adhoc.as_ref().and_then(|a| a.filters.iter().find(|(t, _)| **t == *table.id));
            let filter = filter.map(|(_, filter)| filter.clone());
            let rows_max = if self.is_initial() { usize::MAX } else { self.config.adhoc_rows };
            let rows_max = rows_max.min(self.pace.rows_max());
            // Notifications tell keys by their values.
            let directly = capture.direct.is_some() && !capture.notes.is_on();
            let after = self.progress.key.clone();
            let end = self.end.clone();
            let ask = Ask { table, after, end, whole, filter, rows_max, covers, directly, following };
            // A reader that takes nothing more has told why before: that is heard next.
            let heard = self.asks.send(ask).await.is_ok();
            self.phase = if whole && heard { Phase::Holding } else { Phase::Reading };
            return Ok(());
        }
        // Nothing left: an empty chunk ends the snapshot.
        let rows = Vec::new().into_iter();
        self.phase = Phase::Sending { rows, next: None, more: false, outdated: HashSet::new() };
        Ok(())
    }

    /// The tables after the first.
    fn following(&mut self) -> Following {
        let tables = &self.tables;
        let listed = self.listed.get_or_insert_with(|| tables.iter().cloned().collect());
        Following::new(listed, listed.len().saturating_sub(tables.len()) + 1)
    }

    /// The key by which the table is read must stay the same from chunk to chunk.
    fn check_key(&self, table: &Table) -> Result<()> {
        let names = key_names(table);
        if self.progress.key.is_some() && self.progress.columns != names {
            return Err(Error::Snapshot {
                table: table.id.to_string(),
                reason: "its key changed while it was read; reset the connector's offsets to begin anew".to_owned(),
            });
        }
        Ok(())
    }
}

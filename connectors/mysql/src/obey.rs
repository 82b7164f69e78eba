//! What the task does with signals.
use crate::config::CdcConfig;
use crate::error::Result;
use crate::filters::Filters;
use crate::information;
use crate::progress::Adhoc;
use crate::signal::{Order, Signal};
use crate::snapshot::Snapshot;
use crate::task::Running;
use elasticflow_cdc::filter::Patterns;
use elasticflow_cdc::notify::Stage;
use std::sync::Arc;

/// Longest part of a signal in words for people.
const WORDS_MAX: usize = 120;

impl Running {
    /// Follows the signals that have come.
    pub(crate) async fn obey(&mut self, config: &Arc<CdcConfig>) -> Result<()> {
        for signal in std::mem::take(&mut self.capture.signals) {
            let refused = match signal.order() {
                Ok(order) => self.follow(config, &signal, order).await?.map(str::to_owned),
                Err(reason) => Some(reason),
            };
            if let Some(reason) = &refused {
                tracing::warn!(id = signal.id, reason, "a signal is not followed");
            }
            self.last_signal = Some(told(&signal, refused.as_deref()));
        }
        Ok(())
    }

    /// Does what is asked; the answer says why not, if it cannot be done.
    async fn follow(&mut self, config: &Arc<CdcConfig>, signal: &Signal, order: Order) -> Result<Option<&'static str>> {
        tracing::info!(id = signal.id, kind = signal.kind, "following a signal");
        match (order, &mut self.snapshot) {
            (Order::Execute { tables, blocking, conditions }, _) => {
                let adhoc = self.asked_for(config, (&tables, &conditions), blocking).await?;
                if adhoc.tables.is_empty() {
                    return Ok(Some("no captured table matches its data-collections"));
                }
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.enqueue(adhoc);
                } else {
                    self.snapshot = Some(Snapshot::adhoc(config, adhoc, Arc::clone(&self.wake)));
                }
            }
            (Order::Stop(tables), Some(snapshot)) => {
                snapshot.drop_tables(&tables);
                snapshot.tell(&mut self.capture, Stage::Aborted);
            }
            (Order::Pause, Some(snapshot)) if !snapshot.is_initial() => {
                snapshot.pause(true);
                snapshot.tell(&mut self.capture, Stage::Paused);
            }
            (Order::Resume, Some(snapshot)) if !snapshot.is_initial() => {
                snapshot.pause(false);
                snapshot.tell(&mut self.capture, Stage::Resumed);
            }
            (Order::Stop(_) | Order::Pause | Order::Resume, _) => {
                return Ok(Some("no snapshot that a signal has asked for runs"));
            }
            (Order::Log(message), _) => tracing::info!(id = signal.id, message, "a signal asks for this line"),
            (Order::Nothing, _) => {}
        }
        Ok(None)
    }

    async fn asked_for(
        &mut self,
        config: &CdcConfig,
        (patterns, conditions): (&[Patterns], &[(Patterns, String)]),
        blocking: bool,
    ) -> Result<Adhoc> {
        let filters = Filters::of_task(config)?;
        let all = information::tables(self.capture.control.session().await?).await?;
        let named = |p: &Patterns, (db, name): &(String, String)| p.matches(&format!("{db}.{name}"));
        let mut adhoc = Adhoc { blocking, ..Adhoc::default() };
        // In the order of the signal; a table named twice is read once.
        for pattern in patterns {
            for table in all.iter().filter(|t| named(pattern, t) && filters.table(&t.0, &t.1)) {
                if adhoc.tables.contains(table) {
                    continue;
                }
                adhoc.tables.push(table.clone());
                let condition = conditions.iter().find(|(p, _)| named(p, table));
                adhoc.filters.extend(condition.map(|(_, filter)| (format!("{}.{}", table.0, table.1), filter.clone())));
            }
        }
        Ok(adhoc)
    }
}

/// What became of a signal, in words for the status.
fn told(signal: &Signal, refused: Option<&str>) -> String {
    let short = |text: &str| text.chars().take(WORDS_MAX).collect::<String>();
    let (id, kind) = (short(&signal.id), short(&signal.kind));
    match refused {
        None => format!("the last signal, {kind} {id}, is followed"),
        Some(reason) => format!("the last signal, {kind} {id}, is not followed: {}", short(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_with_what_became_of_it_and_never_at_length() {
        let signal = Signal { id: "7".to_owned(), kind: "stop-snapshot".to_owned(), data: String::new() };
        assert_eq!(told(&signal, None), "the last signal, stop-snapshot 7, is followed");
        assert!(told(&signal, Some("none runs")).ends_with("is not followed: none runs"));
        let long = Signal { id: "x".repeat(5000), ..signal };
        assert!(told(&long, Some(&"y".repeat(5000))).len() < 500);
    }
}

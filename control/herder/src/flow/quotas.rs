//! Quotas by window: what each task may have moved in all, so that a connector never moves more than its quota.
//!
//! What is left of a window is given out ahead, a little to each task, more to one that uses it: the leader counts what it
//! has given as used until a report says otherwise. What was given to an instance that is gone counts as used: nobody
//! knows how much of it was. A row of the flow topic holds the count, so that it goes on over restarts, rebalances and
//! the death of the leader; without a leader, tasks use what they have and wait.
use super::board::Board;
use super::leading::Lead;
use super::meters::{Measured, Meter};
use crate::answer::RunState;
use crate::view::ConnectorView;
use elasticflow_config::flow::{QuotaAction, QuotaSettings, QuotaWindow, settings_of};
use elasticflow_config::{Properties, parse};
use elasticflow_flow::{Taker, top_up};
use elasticflow_store::flow::{FlowRecord, QuotaRow, QuotaTask, VERSION};
use std::collections::{BTreeMap, BTreeSet};

/// Least and most that a task gets before it has used anything: records, bytes.
const FIRST: [(u64, u64); 2] = [(1, 1_000), (4_096, 1_048_576)];
/// The keys that make a quota.
const KEYS: [&str; 2] = ["quota.records", "quota.bytes"];

/// Records and bytes.
pub(crate) type Both = [u64; 2];

/// What the leader remembers between periods.
#[derive(Default)]
pub(crate) struct Quotas {
    /// What the newest instance of each task had moved at the period before.
    seen: BTreeMap<(String, u32), (u64, Both)>,
    /// Windows in which a connector was stopped.
    stopped: BTreeMap<String, i64>,
}

/// The quota of a connector, of its own or by the worker's defaults; `None` without one.
pub(crate) fn quota_of(config: &Properties, worker: &Properties) -> Option<QuotaSettings> {
    let is_set = |key: &&str| {
        let own = config.value(&format!("flow.{key}")).is_some();
        own || worker.value(&format!("flow.default.{key}")).is_some()
    };
    KEYS.iter().any(is_set).then_some(())?;
    parse::<QuotaSettings>(&settings_of(config, worker)).ok().filter(QuotaSettings::is_set)
}

/// Whether tasks of a connector wait for what they are given.
pub(crate) fn waits_for_quota(connector: &ConnectorView, worker: &Properties) -> bool {
    quota_of(&connector.config, worker).is_some_and(|quota| quota.holds())
}

fn moved(meter: &Meter) -> Both {
    [meter.report.records, meter.report.bytes]
}

/// What a row's window has seen moved so far.
pub(crate) fn used(row: &QuotaRow, measured: &Measured) -> Both {
    let mut used = row.used;
    for task in &row.tasks {
        let meter = measured.tasks.get(&task.task).filter(|m| m.report.instance == task.instance);
        let now = meter.map_or(task.from, moved);
        for (sum, (now, from)) in used.iter_mut().zip(now.into_iter().zip(task.from)) {
            *sum += now.saturating_sub(from);
        }
    }
    used
}

/// Whether nothing is left of a window.
pub(crate) fn is_used_up(row: &QuotaRow, used: Both) -> bool {
    row.most.iter().zip(used).any(|(most, used)| most.is_some_and(|most| used >= most))
}

impl Quotas {
    /// What has been counted, and what each task gets further.
    fn next(
        &self,
        name: &str,
        settings: &QuotaSettings,
        (old, measured): (Option<&QuotaRow>, &Measured),
        now_ms: i64,
    ) -> QuotaRow {
        let span = settings.span(now_ms);
        let (window, zone) = (settings.window.word().to_owned(), settings.zone.name().to_owned());
        let known = old.filter(|row| row.window == window && row.zone == zone);
        // A clock that was put back does not begin a window a second time.
        let same = known.filter(|row| row.start_ms >= span.start_ms);
        let (start_ms, end_ms) = same.map_or((span.start_ms, span.end_ms), |row| (row.start_ms, row.end_ms));
        let mut row = QuotaRow {
            v: VERSION,
            window,
            zone,
            start_ms,
            end_ms,
            resets: end_ms.map(|end| settings.zone.tell(end)).unwrap_or_default(),
            most: settings.most(),
            holds: settings.holds(),
            used: same.map_or([0, 0], |row| row.used),
            tasks: Vec::new(),
        };
        for task in same.iter().flat_map(|row| &row.tasks) {
            let lives = measured.tasks.get(&task.task).is_some_and(|m| m.report.instance == task.instance);
            if !lives {
                self.settle(name, task, &mut row.used);
            }
        }
        for (index, meter) in &measured.tasks {
            let before = old.and_then(|row| row.tasks.iter().find(|t| t.task == *index));
            let before = before.filter(|task| task.instance == meter.report.instance);
            row.tasks.push(self.task(name, meter, (before, same.is_some(), old.is_some()), &row));
        }
        self.give(name, &mut row, measured);
        row
    }

    /// An instance is gone: what it was given counts as used, or what was seen of it where nothing is given.
    fn settle(&self, name: &str, task: &QuotaTask, used: &mut Both) {
        let seen = self.seen.get(&(name.to_owned(), task.task)).filter(|(instance, _)| *instance == task.instance);
        let seen = seen.map_or(task.from, |(_, moved)| *moved);
        for (at, sum) in used.iter_mut().enumerate() {
            let last = task.granted.get(at).copied().flatten().unwrap_or(0).max(seen[at]);
            *sum += last.saturating_sub(task.from[at]);
        }
    }

    /// A task as the window begins for it, or as it stands.
    fn task(
        &self,
        name: &str,
        meter: &Meter,
        (before, is_same, is_known): (Option<&QuotaTask>, bool, bool),
        row: &QuotaRow,
    ) -> QuotaTask {
        let (task, instance, now) = (meter.report.task, meter.report.instance, moved(meter));
        let seen = self.seen.get(&(name.to_owned(), task)).filter(|(of, _)| *of == instance).map(|(_, moved)| *moved);
        let from = match before {
            Some(before) if is_same => before.from,
            // What was moved since the last look may belong to this window.
            Some(_) => seen.unwrap_or(now),
            // Tasks that need not wait have begun by themselves.
            None if is_known && !row.holds && seen.is_none() => [0, 0],
            None => now,
        };
        let given = |at: usize| {
            let most = row.most.get(at).copied().flatten().filter(|_| row.holds);
            let had = before.and_then(|before| before.granted.get(at).copied().flatten());
            most.map(|_| had.unwrap_or(now[at]).max(from[at]))
        };
        QuotaTask { task, instance, from, granted: [given(0), given(1)] }
    }

    /// Gives further units of what is left.
    fn give(&self, name: &str, row: &mut QuotaRow, measured: &Measured) {
        let used = used(row, measured);
        for (at, (first, used)) in FIRST.into_iter().zip(used).enumerate() {
            let Some(most) = row.most[at].filter(|_| row.holds) else { continue };
            let taker = |task: &QuotaTask| {
                let now = measured.tasks.get(&task.task).map_or(0, |meter| moved(meter)[at]);
                let seen = self.seen.get(&(name.to_owned(), task.task)).filter(|(of, _)| *of == task.instance);
                let before = seen.map_or(task.from[at], |(_, moved)| moved[at]);
                let outstanding = task.granted[at].unwrap_or(0).saturating_sub(now);
                Taker { outstanding, used: now.saturating_sub(before) }
            };
            let takers: Vec<Taker> = row.tasks.iter().map(taker).collect();
            let given: u64 = takers.iter().map(|taker| taker.outstanding).sum();
            let left = most.saturating_sub(used).saturating_sub(given);
            for (task, further) in row.tasks.iter_mut().zip(top_up(left, most, first, &takers)) {
                task.granted[at] = task.granted[at].map(|granted| granted.saturating_add(further));
            }
        }
    }

    fn remember(&mut self, name: &str, measured: &Measured) {
        for (task, meter) in &measured.tasks {
            self.seen.insert((name.to_owned(), *task), (meter.report.instance, moved(meter)));
        }
    }
}

impl Lead {
    /// One period of quotas: rows that have changed.
    pub(crate) fn quotas(&mut self) -> Vec<FlowRecord> {
        let (mut rows, mut kept, mut stop) = (Vec::new(), BTreeSet::new(), Vec::new());
        let board = self.board.lock();
        let connectors = self.handle.view.connectors.read();
        for (name, view) in connectors.iter() {
            let Some(settings) = quota_of(&view.config, &self.handle.context.options.worker) else { continue };
            let is_stopped = view.status.as_ref().is_some_and(|status| status.state == RunState::Stopped);
            if is_stopped && settings.window == QuotaWindow::Run {
                continue;
            }
            kept.insert(name.clone());
            let (old, measured) = (board.quotas.get(name), board.meters.connector(name));
            let new = self.quota_memory.next(name, &settings, (old, &measured), self.clock.wall_ms());
            self.quota_memory.remember(name, &measured);
            if is_used_up(&new, used(&new, &measured)) && !is_stopped && settings.action == QuotaAction::Stop {
                stop.push((name.clone(), new.start_ms));
            }
            if old != Some(&new) {
                rows.push(FlowRecord::Quota { connector: name.clone(), row: Some(new) });
            }
        }
        let gone = board.quotas.keys().filter(|name| !kept.contains(*name));
        rows.extend(gone.map(|name| FlowRecord::Quota { connector: name.clone(), row: None }));
        drop((board, connectors));
        self.quota_memory.seen.retain(|(name, _), _| kept.contains(name));
        self.stop_used_up(stop);
        rows
    }

    /// `flow.quota.action=stop`, once a window.
    fn stop_used_up(&mut self, stop: Vec<(String, i64)>) {
        for (name, start_ms) in stop {
            if self.quota_memory.stopped.insert(name.clone(), start_ms) == Some(start_ms) {
                continue;
            }
            let handle = self.handle.clone();
            tracing::warn!(connector = name, "its quota is used up: it is stopped");
            // A period does not wait for what everybody has to read.
            tokio::spawn(async move {
                if let Err(error) = handle.stop(&name).await {
                    tracing::warn!(connector = name, %error, "it could not be stopped; it waits for its next window");
                }
            });
        }
    }
}

/// What is said of a quota that is used up.
pub(crate) fn tell(row: &QuotaRow, used: Both) -> String {
    let of = |(at, unit): (usize, &str)| Some(format!("{} of {} {unit}", used[at], row.most[at]?));
    let parts: Vec<String> = [(0, "records"), (1, "bytes")].into_iter().filter_map(of).collect();
    let reset = match (row.end_ms, row.resets.as_str()) {
        (Some(_), resets) => format!("the next window begins at {resets}"),
        (None, _) => "it begins anew when the connector has been stopped".to_owned(),
    };
    format!("{} of the window of {} are used; {reset}", parts.join(" and "), row.window)
}

/// What that rests on.
pub(crate) fn numbers(row: &QuotaRow, used: Both) -> BTreeMap<String, f64> {
    let of = |(at, unit): (usize, &str)| {
        let most = row.most[at]?;
        Some([(format!("used_{unit}"), used[at] as f64), (format!("quota_{unit}"), most as f64)])
    };
    [(0, "records"), (1, "bytes")].into_iter().filter_map(of).flatten().collect()
}

/// Connectors whose window has nothing left.
pub(crate) fn used_up(board: &Board) -> impl Iterator<Item = (&String, String)> {
    board.quotas.iter().filter_map(|(name, row)| {
        let used = used(row, &board.meters.connector(name));
        is_used_up(row, used).then(|| (name, tell(row, used)))
    })
}

#[cfg(test)]
#[path = "quotas_tests.rs"]
mod tests;

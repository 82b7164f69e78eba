//! Joins flow control and the limits of the runtime, which do not know each other.
use crate::memory::Memory;
use crate::processors::Processors;
use elasticflow_api::clock::Clock;
use elasticflow_api::position::TaskId;
use elasticflow_config::flow::{FlowState, Rates, ReasonCode};
use elasticflow_herder::flow::{FlowPort, Order, Overruled, TaskFlow};
use elasticflow_runtime::{Allowance, Control, Forced, Runtime, TaskLimit};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Least rate that is ordered, bytes per second: a rate of nothing would be no rate at all.
const RATE_LEAST: f64 = 1.0;

/// The runtime as flow control sees it.
pub(crate) struct RuntimeFlow {
    runtime: Runtime,
    clock: Arc<dyn Clock>,
    /// Limits that were there at the last look, with the number of the instance that each belongs to.
    known: Mutex<BTreeMap<TaskId, (Arc<TaskLimit>, u64)>>,
    processors: Mutex<Processors>,
    memory: Memory,
}

impl RuntimeFlow {
    pub(crate) fn new(runtime: Runtime, clock: Arc<dyn Clock>, memory: Memory) -> Self {
        Self { runtime, clock, known: Mutex::default(), processors: Mutex::default(), memory }
    }
}

/// Longest text of a failure in a report.
const SAID_MAX: usize = 300;

impl RuntimeFlow {
    /// What is to be said of a reason beside its words: what the system at the other end has said, while its breaker is not
    /// closed; how much memory is used.
    fn said(&self, task: &TaskId, reason: Option<ReasonCode>) -> Option<String> {
        if reason == Some(ReasonCode::MemoryPressure) {
            let (used, most) = self.memory.used()?;
            return Some(format!(
                "{:.0} MB of the {:.0} MB that the worker may use",
                used as f64 / 1e6,
                most as f64 / 1e6
            ));
        }
        let breaker = self.runtime.breaker(task).filter(|_| reason == Some(ReasonCode::Breaker))?;
        breaker.last_failure().map(|said| said.chars().take(SAID_MAX).collect())
    }

    /// A breaker that is told what it does already is left alone: to be told begins it anew.
    fn overrule(&self, task: &TaskId, breaker: Option<Overruled>) {
        let forced = match breaker {
            None => Forced::Auto,
            Some(Overruled::Open) => Forced::Open,
            Some(Overruled::Closed) => Forced::Closed,
        };
        if let Some(breaker) = self.runtime.breaker(task).filter(|breaker| breaker.forced() != forced) {
            breaker.force(forced);
        }
    }
}

impl FlowPort for RuntimeFlow {
    fn tasks(&self) -> Vec<TaskFlow> {
        let mut known = self.known.lock();
        let before = std::mem::take(&mut *known);
        let now = u64::try_from(self.clock.wall_ms()).unwrap_or_default();
        let mut flows = Vec::new();
        for (task, limit) in self.runtime.limits() {
            let older = before.get(&task);
            // Wall time, so that numbers grow also from one worker to the next.
            let instance = match older {
                Some((same, instance)) if Arc::ptr_eq(same, &limit) => *instance,
                older => now.max(older.map_or(0, |(_, instance)| instance + 1)),
            };
            let report = limit.report();
            flows.push(TaskFlow {
                task: task.clone(),
                instance,
                records: report.records,
                bytes: report.bytes,
                arrived: report.arrived,
                blocked: report.blocked,
                state: report.state.word(),
                reason: report.reason.filter(|_| report.state != FlowState::Free).map(ReasonCode::code),
                detail: self.said(&task, report.reason),
            });
            known.insert(task, (limit, instance));
        }
        flows
    }

    fn load(&self) -> Option<f64> {
        self.processors.lock().load(self.clock.monotonic())
    }

    fn memory(&self) -> Option<f64> {
        let (used, most) = self.memory.used()?;
        Some(used as f64 / most as f64)
    }

    fn order(&self, task: &TaskId, order: &Order) {
        self.overrule(task, order.breaker);
        let Some(limit) = self.runtime.limit(task) else { return };
        limit.set_precedence(Arc::clone(&order.precedence));
        limit.set_control(Control {
            rates: Rates { records: None, bytes: order.bytes_per_second.map(|rate| rate.max(RATE_LEAST)) },
            granted_bytes: order.granted_bytes,
            quota: Allowance { records: order.quota.records, bytes: order.quota.bytes },
            held: None,
            halvings: order.halvings,
            reason: order.reason.as_deref().and_then(ReasonCode::of),
        });
    }
}

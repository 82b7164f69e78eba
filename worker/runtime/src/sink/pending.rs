//! What has been put and waits for the destination, shown in the task's status: a sink that waits for a lock, for room or
//! for a right is RUNNING, and not done.
use super::flow::Flow;
use crate::event::TaskState;
use crate::supervise::Supervision;
use std::future::Future;
use std::time::Duration;

/// A call that lasts longer is shown. Above what a busy destination takes for a large batch, below what a person waits.
const SHOWN_AFTER: Duration = Duration::from_secs(3);

/// Status of a task whose records are read and not final.
pub(super) fn pending(reason: &str) -> TaskState {
    TaskState::Pending { trace: format!("commit_pending: {reason}") }
}

/// Waits for a call of the sink; while it lasts too long, the status says so and why, as far as the sink has said it.
pub(super) async fn shown<T>(task: &Supervision, flow: &Flow, doing: &'static str, call: impl Future<Output = T>) -> T {
    let (ended, is_shown) = told(task, flow, |reason| pending(&format!("{doing}: {reason}")), call).await;
    if is_shown {
        task.report_target();
    }
    ended
}

/// Waits for the start of the sink, as [`shown`]; the task does not run meanwhile.
pub(super) async fn starting<T>(task: &Supervision, flow: &Flow, start: impl Future<Output = T>) -> T {
    told(task, flow, |reason| TaskState::Starting { trace: format!("starting: {reason}") }, start).await.0
}

async fn told<T>(
    task: &Supervision,
    flow: &Flow,
    state: impl Fn(String) -> TaskState,
    call: impl Future<Output = T>,
) -> (T, bool) {
    let clock = &task.services.options.clock;
    let mut call = std::pin::pin!(call);
    let mut is_shown = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut call => {
                flow.forget_reason();
                return (ended, is_shown);
            }
            () = clock.sleep(SHOWN_AFTER) => {
                is_shown = true;
                task.report(state(flow.reason().unwrap_or_else(|| "the destination has not answered yet".to_owned())));
            }
        }
    }
}

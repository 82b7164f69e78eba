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
    let clock = &task.services.options.clock;
    let mut call = std::pin::pin!(call);
    let mut is_shown = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut call => {
                flow.forget_reason();
                if is_shown {
                    task.report_target();
                }
                return ended;
            }
            () = clock.sleep(SHOWN_AFTER) => {
                is_shown = true;
                let reason = flow.reason().unwrap_or_else(|| "the destination has not answered yet".to_owned());
                task.report(pending(&format!("{doing}: {reason}")));
            }
        }
    }
}

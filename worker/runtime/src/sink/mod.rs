//! The sink loop.
use crate::error::TaskError;
use crate::supervise::Supervision;
use std::sync::Arc;

pub(crate) async fn run(_: Arc<Supervision>) -> Result<(), TaskError> {
    Err(TaskError::Config("sink tasks are not part of this build".to_owned()))
}

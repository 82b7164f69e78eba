//! A consumer without a group: none is left behind and none has to be permitted.
use super::client::{Alive, Client, Complaints};
use super::settings::Settings;
use crate::native::{EventKind, Handle, Kind, Queue};
use crate::ports::KafkaError;
use std::sync::Arc;
use tokio::sync::Notify;

/// The parts of one, to be taken apart: records are dropped before the client.
pub(super) struct Groupless {
    pub(super) handle: Arc<Handle>,
    pub(super) complaints: Arc<Complaints>,
    pub(super) client: Client,
    /// Where records arrive.
    pub(super) records: Queue,
    /// Told when something has arrived.
    pub(super) ready: Arc<Notify>,
}

impl Groupless {
    pub(super) fn start(settings: &Settings, alive: &Arc<Alive>) -> Result<Self, KafkaError> {
        let no_queue = || KafkaError::Fatal("a Kafka client has no queue".to_owned());
        let handle = settings.start(Kind::Consumer, EventKind::CONSUMER)?;
        let complaints = Arc::new(Complaints::default());
        let client = Client::run(handle.main_queue().ok_or_else(no_queue)?, Arc::clone(&complaints) as _, alive)?;
        let mut records = handle.fresh_queue().ok_or_else(no_queue)?;
        let ready = Arc::new(Notify::new());
        records.notify(&ready);
        Ok(Self { handle, complaints, client, records, ready })
    }
}

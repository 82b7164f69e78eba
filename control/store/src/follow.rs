//! Reading an internal topic to its end.
use elasticflow_kafka::ports::{KafkaError, LogRecord, TopicLog};

/// Hands over every record up to the end that the log has when this begins, then returns. Cancel-safe: what was handed
/// over stays so, the next call goes on behind it.
///
/// # Errors
/// Whatever the log answers; `Fatal` means that the log must be opened anew and read from its start.
pub async fn read_to_end(log: &dyn TopicLog, mut take: impl FnMut(LogRecord) + Send) -> Result<(), KafkaError> {
    let end = log.read_to_end();
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            reached = &mut end => return reached,
            record = log.next() => take(record?),
        }
    }
}

//! Follows one file by the byte.
use super::file_of;
use crate::blocking::Blocking;
use crate::error::Error;
use async_trait::async_trait;
use bytes::BytesMut;
use elasticflow_api::ConnectorError;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::context::{ConnectorContext, Limits, SourceContext};
use elasticflow_api::data::{Datum, Kind, Record, Schema, SchemaRef, Text, Value};
use elasticflow_api::error::Result;
use elasticflow_api::position::{SourceOffset, SourcePartition, SourcePosition};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::source::{SourceBatch, SourceConnector, SourceRecord, SourceTask};
use elasticflow_config::settings;
use serde_json::{Map, Value as Json};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// Class of the task in Apache's answers.
const TASK_CLASS: &str = "org.apache.kafka.connect.file.FileStreamSourceTask";
/// Bytes read at once.
const PIECE_BYTES: usize = 64 << 10;
/// Longest line.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Wait when there is nothing to read.
const IDLE: Duration = Duration::from_millis(100);

settings! {
    /// Settings of `FileStreamSourceConnector`.
    pub struct FileStreamSourceConfig {
        /// File to follow; needed, because standard input is not read.
        "file" => file: Option<String> { importance: High, order: -1 },
        /// Topic of the lines.
        "topic" => topic: String { importance: High, order: -1, valid: Validity::Check(not_empty) },
        /// Most lines of a batch.
        "batch.size" => batch_size: i32 { default: "2000", importance: Low, order: -1 },
    }
}

fn not_empty(text: &str) -> std::result::Result<(), String> {
    if text.trim().is_empty() { Err("String must be non-empty".to_owned()) } else { Ok(()) }
}

/// The source connector.
pub struct FileStreamSource;

impl SourceConnector for FileStreamSource {
    const NAME: &'static str = "filestream";
    type Config = FileStreamSourceConfig;
    type Task = Task;

    fn guarantee(&self, config: &FileStreamSourceConfig) -> Guarantee {
        if config.file.is_some() { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
    }

    async fn validate(&self, _: &FileStreamSourceConfig, _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }

    async fn plan(&self, config: &FileStreamSourceConfig, _: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        file_of(config.file.as_ref())?;
        Ok(vec![TaskConfig([("task.class".to_owned(), TASK_CLASS.to_owned())].into())])
    }

    fn task(&self, config: &FileStreamSourceConfig, _: TaskConfig) -> Result<Task> {
        let path = file_of(config.file.as_ref())?;
        let partition = Map::from_iter([("filename".to_owned(), Json::from(path.as_str()))]);
        Ok(Task {
            batch_size: usize::try_from(config.batch_size).unwrap_or(1).max(1),
            topic: Arc::from(config.topic.as_str()),
            partition: Arc::new(SourcePartition(partition)),
            lines: Blocking::empty(),
            path,
        })
    }

    fn check_offset(
        &self,
        _: &FileStreamSourceConfig,
        partition: Option<&Map<String, Json>>,
        offset: Option<&Map<String, Json>>,
    ) -> Result<()> {
        let Some(partition) = partition.filter(|partition| !partition.is_empty()) else { return Ok(()) };
        if !partition.contains_key("filename") {
            return Err(unusable("Partition objects should contain the key 'filename'"));
        }
        let Some(offset) = offset else { return Ok(()) };
        match offset.get("position").map(Json::as_i64) {
            None => Err(unusable("Offset objects should either be null or contain the key 'position'")),
            Some(None) => {
                Err(unusable("The value for the 'position' key in the offset is expected to be a Long value"))
            }
            Some(Some(..0)) => {
                Err(unusable("The value for the 'position' key in the offset should be a non-negative value"))
            }
            Some(Some(_)) => Ok(()),
        }
    }
}

/// Apache's words for a position that cannot be one.
fn unusable(text: &str) -> ConnectorError {
    Error::Config(text.to_owned()).into()
}

/// The one task.
pub struct Task {
    path: String,
    topic: Arc<str>,
    batch_size: usize,
    partition: Arc<SourcePartition>,
    lines: Blocking<Follower>,
}

#[async_trait]
impl SourceTask for Task {
    async fn start(&mut self, cx: &SourceContext) -> Result<()> {
        let position = match cx.offsets.get(&self.partition)? {
            None => 0,
            Some(stored) => stored.0.get("position").and_then(Json::as_u64).ok_or_else(|| Error::Definite {
                code: "FILE-0024",
                text: "Offset position is the incorrect type: it must be a number of bytes; alter it through the offsets endpoint".to_owned(),
            })?,
        };
        let schema = Schema {
            kind: Kind::String,
            name: None,
            version: None,
            optional: false,
            default: None,
            doc: None,
            parameters: [].into(),
        };
        self.lines.set(Follower {
            path: self.path.clone(),
            topic: Arc::clone(&self.topic),
            partition: Arc::clone(&self.partition),
            schema: Arc::new(schema),
            file: None,
            position,
            held: BytesMut::new(),
        });
        Ok(())
    }

    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch> {
        let limits = Limits { records: cx.batch_max.records.min(self.batch_size), ..cx.batch_max };
        let now_ms = cx.clock.wall_ms();
        let records = self.lines.call(move |lines| lines.read(limits, now_ms)).await?;
        if records.is_empty() {
            cx.clock.sleep(IDLE.min(cx.poll_max)).await;
        }
        Ok(SourceBatch { records, ..SourceBatch::default() })
    }

    async fn stop(&mut self) {
        self.lines.clear();
    }
}

/// Reads on where it stopped.
struct Follower {
    path: String,
    topic: Arc<str>,
    partition: Arc<SourcePartition>,
    schema: SchemaRef,
    file: Option<File>,
    /// First byte of the line that has not ended.
    position: u64,
    /// Bytes from there on.
    held: BytesMut,
}

impl Follower {
    fn read(&mut self, limits: Limits, now_ms: i64) -> std::result::Result<Vec<SourceRecord>, Error> {
        let mut records = Vec::new();
        if !self.open()? {
            return Ok(records);
        }
        let mut bytes = 0;
        while records.len() < limits.records.max(1) && bytes < limits.bytes.max(1) {
            match line_of(&self.held) {
                Some((line, whole)) => {
                    let mut taken = self.held.split_to(whole).freeze();
                    taken.truncate(line);
                    bytes += line;
                    self.position += whole as u64;
                    // What is not UTF-8 becomes U+FFFD, as in Java.
                    let text = Text::try_from(taken.clone())
                        .unwrap_or_else(|_| String::from_utf8_lossy(&taken).into_owned().into());
                    records.push(self.record(text, now_ms));
                }
                None if self.fill()? => {}
                None => break,
            }
        }
        Ok(records)
    }

    /// False while the file is not there.
    fn open(&mut self) -> std::result::Result<bool, Error> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(Error::at(format!("cannot open {}", self.path))(error)),
            }
        }
        Ok(true)
    }

    fn fill(&mut self) -> std::result::Result<bool, Error> {
        let Some(file) = &self.file else { return Ok(false) };
        let failed = || Error::with::<std::io::Error>(|| format!("cannot read {}", self.path));
        let from = self.position + self.held.len() as u64;
        if file.metadata().map_err(failed())?.len() < from {
            return Err(Error::Changed { file: self.path.clone(), byte: from, how: "it is shorter" });
        }
        if self.held.len() > LINE_BYTES_MAX {
            let text = format!(
                "{}: the line at byte {} is longer than {LINE_BYTES_MAX} bytes; use FileSourceConnector",
                self.path, self.position
            );
            return Err(Error::Definite { code: "FILE-0029", text });
        }
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read_at(&mut piece, from).map_err(failed())?;
        self.held.extend_from_slice(piece.get(..read).unwrap_or_default());
        Ok(read > 0)
    }

    fn record(&self, line: Text, now_ms: i64) -> SourceRecord {
        let offset = Map::from_iter([("position".to_owned(), Json::from(self.position))]);
        let value = Datum { schema: Some(Arc::clone(&self.schema)), value: Value::String(line) };
        SourceRecord {
            record: Record {
                topic: Arc::clone(&self.topic),
                partition: None,
                key: Datum { schema: None, value: Value::Null },
                value,
                headers: Vec::new(),
                timestamp_ms: Some(now_ms),
            },
            position: Some(SourcePosition {
                partition: Arc::clone(&self.partition),
                offset: Arc::new(SourceOffset(offset)),
            }),
        }
    }
}

/// Length of the first line, without and with its end; a CR at the end of what is there may be half of CR LF.
fn line_of(held: &[u8]) -> Option<(usize, usize)> {
    let at = memchr::memchr2(b'\n', b'\r', held)?;
    match (held.get(at), held.get(at + 1)) {
        (Some(b'\n'), _) => Some((at, at + 1)),
        (_, Some(b'\n')) => Some((at, at + 2)),
        (_, Some(_)) => Some((at, at + 1)),
        (_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_cannot_be_one_is_refused_in_apaches_words() {
        let config = FileStreamSourceConfig { file: Some("f".to_owned()), topic: "t".to_owned(), batch_size: 1 };
        let check = |partition: &str, offset: &str| {
            let object = |text: &str| serde_json::from_str::<Option<Map<String, Json>>>(text).unwrap();
            let (partition, offset) = (object(partition), object(offset));
            let checked = FileStreamSource.check_offset(&config, partition.as_ref(), offset.as_ref());
            checked.err().map(|error| error.message).unwrap_or_default()
        };
        let file = r#"{"filename":"f"}"#;
        assert_eq!(check(file, r#"{"position":0}"#), "");
        assert_eq!(check(file, "null"), "");
        for (partition, offset, said) in [
            (r#"{"file":"f"}"#, r#"{"position":0}"#, "'filename'"),
            (file, r#"{"nopos":2}"#, "contain the key 'position'"),
            (file, r#"{"position":-1}"#, "non-negative"),
            (file, r#"{"position":"x"}"#, "a Long value"),
        ] {
            assert!(check(partition, offset).contains(said), "{partition} {offset}");
        }
    }

    #[test]
    fn a_line_ends_as_java_reads_it() {
        for (held, line) in [
            (&b"a\nb"[..], Some((1, 2))),
            (b"a\r\nb", Some((1, 3))),
            (b"a\rb", Some((1, 2))),
            (b"a\r", None),
            (b"a", None),
            (b"\n", Some((0, 1))),
        ] {
            assert_eq!(line_of(held), line);
        }
    }
}

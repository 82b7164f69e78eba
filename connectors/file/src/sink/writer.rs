//! Records into parts, and parts into a prepared unit.
use super::batches::{COUNTS, DATA};
use super::encode::{Encoded, Encoder};
use super::manifest::{Finished, MANIFEST, Manifest, Token};
use super::names::{directory, final_directory, final_name};
use super::part::Part;
use super::staging::{Open, Staging};
use crate::config::{Packing, Partitioner, SinkConfig};
use crate::error::{Error, bad};
use elasticflow_api::RecordError;
use elasticflow_api::context::{Errant, SinkFlow};
use elasticflow_api::data::{Datum, Kind, Value};
use elasticflow_api::position::{TaskId, TopicPartition, UnitId};
use elasticflow_api::sink::{Handle, SinkRecord};
use elasticflow_formats::string::write_text;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// What a put needs of the runtime.
pub(crate) struct Around {
    pub(crate) errant: Arc<dyn Errant>,
    pub(crate) flow: Arc<dyn SinkFlow>,
    pub(crate) now_ms: i64,
}

/// Writes the parts of one unit after another.
pub(crate) struct Writer {
    config: SinkConfig,
    encoder: Encoder,
    staging: Staging,
    open: Option<Open>,
    parts: Vec<Part>,
    finished: Vec<(TopicPartition, Finished)>,
    /// Names the next part.
    number: u64,
    /// Counts records, to know which part has waited longest.
    tick: u64,
    /// Directory of the batch that is staged, below `output.path`.
    batch: Option<String>,
    /// Records of batches that the next unit covers, those that are left out included.
    counts: BTreeMap<(String, TopicPartition), u64>,
}

impl Writer {
    /// Of a task, whose values come as JSON texts or not; what its ended predecessors have left is removed.
    pub(crate) fn new(config: SinkConfig, id: &TaskId, as_text: bool) -> Result<Self, Error> {
        let encoder = Encoder::new(&config, as_text).map_err(Error::Config)?;
        let staging = Staging::open(Path::new(&config.output_path), id)?;
        staging.sweep()?;
        staging.prune()?;
        Ok(Self {
            config,
            encoder,
            staging,
            open: None,
            parts: Vec::new(),
            finished: Vec::new(),
            number: 0,
            tick: 0,
            batch: None,
            counts: BTreeMap::new(),
        })
    }

    /// Directs what follows to the directory of a batch.
    pub(crate) fn direct_to(&mut self, batch: String, records: &BTreeMap<TopicPartition, u64>) -> Result<(), Error> {
        if self.batch.as_ref() != Some(&batch) {
            while !self.parts.is_empty() {
                self.finish(0)?;
            }
            self.batch = Some(batch.clone());
        }
        for (at, count) in records {
            *self.counts.entry((batch.clone(), at.clone())).or_default() += count;
        }
        Ok(())
    }

    /// Writes records; bad ones go to the error policy.
    pub(crate) fn put(&mut self, records: &[SinkRecord], around: &Around) -> Result<(), Error> {
        for record in records {
            let written = match folder(&self.config, record) {
                Ok(folder) => self.write(record, folder, around)?,
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                around.errant.reject(record, error)?;
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        record: &SinkRecord,
        folder: String,
        around: &Around,
    ) -> Result<Result<(), RecordError>, Error> {
        let at = self.part(record, folder, around)?;
        self.tick += 1;
        let Some(part) = self.parts.get_mut(at) else { return Err(Error::Bug("a part is gone".to_owned())) };
        part.used = self.tick;
        let start = part.buffer.len();
        if part.records == 0 && start == 0 {
            part.schema = self.encoder.file_schema(&record.record.value).cloned();
            self.encoder.begin(part.schema.as_ref(), &mut part.buffer);
        }
        match self.encoder.line(&record.record.value, &mut part.buffer) {
            Err(error) => return Ok(Err(error)),
            Ok(Encoded::LeftOut) => return Ok(Ok(())),
            Ok(Encoded::Written) => {}
        }
        part.appended(start, record.origin.offset.0, record.record.timestamp_ms)?;
        if part.records >= self.config.flush_size || part.bytes >= self.config.file_bytes_max {
            self.finish(at)?;
            around.flow.request_commit();
        }
        Ok(Ok(()))
    }

    /// Index of the part that a record goes to.
    fn part(&mut self, record: &SinkRecord, folder: String, around: &Around) -> Result<usize, Error> {
        let at = &record.origin.at;
        let is_of = |part: &Part| part.at == *at && part.folder == folder;
        if let Some(found) = self.parts.iter().position(is_of) {
            let is_over = |part: &Part| self.is_over(part, around.now_ms);
            if self.parts.get(found).is_some_and(|part| self.fits(part, record) && !is_over(part)) {
                return Ok(found);
            }
            if self.parts.get(found).is_some_and(is_over) {
                around.flow.request_commit();
            }
            self.finish(found)?;
        }
        if self.parts.len() >= self.config.open_max {
            let oldest = self.parts.iter().enumerate().min_by_key(|(_, part)| part.used).map(|(index, _)| index);
            self.finish(oldest.unwrap_or(0))?;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.staging.begin(around.now_ms)?,
        };
        let open = self.open.insert(open);
        let name = format!("{}.part", self.number);
        self.number += 1;
        let file = open
            .dir
            .create_file(&name)
            .map_err(Error::with(|| format!("cannot make a file in {}", open.dir.path().display())))?;
        let mut part = Part::new(file, name, self.config.compression, at.clone(), folder)?;
        part.opened_ms = around.now_ms;
        self.parts.push(part);
        Ok(self.parts.len() - 1)
    }

    /// Whether a file has taken records for as long as it may. The decision fixes what was committed, so the clock may say so.
    fn is_over(&self, part: &Part, now_ms: i64) -> bool {
        let most = self.config.rotate_schedule_ms;
        most > 0 && part.records > 0 && now_ms.saturating_sub(part.opened_ms) >= most
    }

    /// Whether a record may join a part: its time, and its schema where the format has one for the whole file.
    fn fits(&self, part: &Part, record: &SinkRecord) -> bool {
        if part.records == 0 {
            return true;
        }
        let interval = self.config.rotate_interval_ms;
        let is_in_time = match (part.first_timestamp_ms, record.record.timestamp_ms) {
            (Some(first), Some(this)) if interval > 0 => this.saturating_sub(first) < interval,
            _ => true,
        };
        let is_same = match (&part.schema, self.encoder.file_schema(&record.record.value)) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own == other,
            (None, None) => true,
            // A value without a schema is bad whatever the file.
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        is_in_time && is_same
    }

    /// Ends a part.
    fn finish(&mut self, index: usize) -> Result<(), Error> {
        let part = self.parts.swap_remove(index);
        if part.records == 0 {
            if let Some(open) = &self.open {
                let failed = Error::with::<io::Error>(|| format!("cannot remove {}", part.name));
                open.dir.remove_file(&part.name).map_err(failed)?;
            }
            return Ok(());
        }
        let packed = match self.config.compression {
            Packing::None => "",
            Packing::Gzip => ".gz",
            Packing::Zstd => ".zst",
        };
        let suffix = format!("{}{packed}", self.encoder.suffix());
        let topic = &part.at.topic;
        let name = final_name(&self.config, topic, part.at.partition, (part.first, part.last), &suffix);
        let folder = match self.config.partitioner.0 {
            Partitioner::Default => format!("partition={}", part.at.partition),
            Partitioner::Field => part.folder.clone(),
        };
        let target = match &self.batch {
            None => format!("{}/{name}", final_directory(&self.config, topic, &folder)),
            Some(batch) => format!("{batch}/{DATA}/{}/{folder}/{name}", directory(topic)),
        };
        let at = part.at.clone();
        let finished = part.finish(target)?;
        self.finished.push((at, finished));
        Ok(())
    }

    /// Drops what was written of partitions that are gone.
    pub(crate) fn close(&mut self, gone: &[TopicPartition]) -> Result<(), Error> {
        let mut names: Vec<String> = Vec::new();
        self.parts.retain(|part| {
            !gone.contains(&part.at) || {
                names.push(part.name.clone());
                false
            }
        });
        self.counts.retain(|(_, at), _| !gone.contains(at));
        self.finished.retain(|(at, file)| {
            !gone.contains(at) || {
                names.push(file.part.clone());
                false
            }
        });
        let Some(open) = &self.open else { return Ok(()) };
        for name in names {
            open.dir.remove_file(&name).map_err(Error::with(|| format!("cannot remove {name}")))?;
        }
        Ok(())
    }

    /// Makes everything since the last unit durable under the unit's name; nothing of it is visible.
    pub(crate) fn prepare(&mut self, unit: &UnitId) -> Result<Option<Handle>, Error> {
        while !self.parts.is_empty() {
            self.finish(0)?;
        }
        if self.finished.is_empty() && self.counts.is_empty() {
            return Ok(None);
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.staging.begin(0)?,
        };
        let mut files: Vec<Finished> = std::mem::take(&mut self.finished).into_iter().map(|(_, file)| file).collect();
        files.extend(self.write_counts(&open, unit)?);
        let manifest = Manifest::new(files).to_bytes()?;
        self.name_unit(&open, &manifest, unit)
            .map_err(Error::with(|| format!("cannot prepare a unit in {}", open.dir.path().display())))?;
        let token = Token::new(&self.config.output_path, &self.staging.path, crc32c::crc32c(&manifest));
        Ok(Some(Handle { unit: unit.clone(), token: token.to_bytes()? }))
    }

    /// One file a batch, with the number of records that the unit covers.
    fn write_counts(&mut self, open: &Open, unit: &UnitId) -> Result<Vec<Finished>, Error> {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for ((batch, _), count) in std::mem::take(&mut self.counts) {
            *sums.entry(batch).or_default() += count;
        }
        let mut files = Vec::new();
        for (at, (batch, sum)) in sums.into_iter().enumerate() {
            let (part, bytes) = (format!("count-{at}.part"), sum.to_string().into_bytes());
            let failed = || Error::with::<io::Error>(|| format!("cannot write in {}", open.dir.path().display()));
            let mut file = open.dir.create_file(&part).map_err(failed())?;
            file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed())?;
            let name = format!("{}-{}-{}", unit.task.0, unit.owner.0, unit.commit.0);
            let target = format!("{batch}/{COUNTS}/{name}");
            let (length, crc32c) = (bytes.len() as u64, crc32c::crc32c(&bytes));
            files.push(Finished { part, target, length, crc32c, first: 0, last: 0, records: 0 });
        }
        Ok(files)
    }

    fn name_unit(&self, open: &Open, manifest: &[u8], unit: &UnitId) -> io::Result<()> {
        let mut file = open.dir.create_file(MANIFEST)?;
        file.write_all(manifest)?;
        file.sync_all()?;
        open.dir.sync()?;
        let owner = self.staging.task.child_made(unit.owner.0.to_string(), 0o700)?;
        self.staging.task.rename_dir(&open.name, &owner, unit.commit.0.to_string())?;
        owner.sync()?;
        self.staging.task.sync()
    }

    /// Removes what was written and not prepared.
    pub(crate) fn discard(&mut self) -> Result<(), Error> {
        self.parts.clear();
        self.finished.clear();
        self.counts.clear();
        match self.open.take() {
            Some(open) => self.staging.discard(&open),
            None => Ok(()),
        }
    }

    /// Forgets all but the last committed units.
    pub(crate) fn prune(&self) -> Result<(), Error> {
        self.staging.prune()
    }
}

/// Folder of a record within its topic.
fn folder(config: &SinkConfig, record: &SinkRecord) -> Result<String, RecordError> {
    match config.partitioner.0 {
        // Named when the part ends: it says nothing that the part's topic and partition do not.
        Partitioner::Default => Ok(String::new()),
        Partitioner::Field => {
            let folders: Result<Vec<String>, RecordError> =
                config.partition_fields.iter().map(|name| field_folder(name, &record.record.value)).collect();
            Ok(folders?.join("/"))
        }
    }
}

fn field_folder(name: &str, value: &Datum) -> Result<String, RecordError> {
    let found = match (&value.value, value.schema.as_ref().map(|schema| &schema.kind)) {
        (Value::Struct(row), Some(Kind::Struct(fields))) => {
            let at = fields.iter().position(|field| *field.name == *name);
            at.and_then(|at| Some((row.values.get(at)?, fields.get(at).map(|field| field.schema.as_ref()))))
        }
        (Value::Map(pairs), _) => {
            let is_named = |key: &Value| matches!(key, Value::String(text) if **text == *name);
            pairs.iter().find(|(key, _)| is_named(key)).map(|(_, value)| (value, None))
        }
        _ => None,
    };
    let Some((value, schema)) = found else {
        return Err(bad(format!("the value has no field {name}, which partition.field.name needs")));
    };
    let mut text = String::new();
    write_text(value, schema, &mut text);
    Ok(directory(&format!("{name}={text}")))
}

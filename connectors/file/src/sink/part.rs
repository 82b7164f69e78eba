//! A file being written where nobody looks.
use super::manifest::Finished;
use crate::config::Packing;
use crate::error::Error;
use bytes::BytesMut;
use elasticflow_api::data::SchemaRef;
use elasticflow_api::position::TopicPartition;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::Write;

/// Bytes kept before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// A file being written.
pub(crate) struct Part {
    pub(crate) at: TopicPartition,
    /// What the partitioner says.
    pub(crate) folder: String,
    /// Schema of its rows, where the format has one for the whole file.
    pub(crate) schema: Option<SchemaRef>,
    /// Encoded and not yet written.
    pub(crate) buffer: BytesMut,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) records: u64,
    /// Bytes before compression.
    pub(crate) bytes: u64,
    pub(crate) first_timestamp_ms: Option<i64>,
    /// By the clock.
    pub(crate) opened_ms: i64,
    pub(crate) used: u64,
    pub(crate) name: String,
    output: Output,
}

/// A file with a running checksum of what it holds.
struct Checked {
    file: File,
    length: u64,
    crc32c: u32,
}

enum Output {
    Plain(Checked),
    Gzip(Box<GzEncoder<Checked>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Checked>>),
}

impl Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes.get(..written).unwrap_or_default());
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Part {
    /// Of an empty file.
    pub(crate) fn new(
        file: File,
        name: String,
        packing: Packing,
        at: TopicPartition,
        folder: String,
    ) -> Result<Self, Error> {
        let checked = Checked { file, length: 0, crc32c: 0 };
        let output = match packing {
            Packing::None => Output::Plain(checked),
            Packing::Gzip => Output::Gzip(Box::new(GzEncoder::new(checked, Level::default()))),
            Packing::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(checked, zstd::DEFAULT_COMPRESSION_LEVEL);
                Output::Zstd(Box::new(encoder.map_err(Error::with(|| format!("cannot compress {name}")))?))
            }
        };
        Ok(Self {
            at,
            folder,
            schema: None,
            buffer: BytesMut::new(),
            first: i64::MAX,
            last: i64::MIN,
            records: 0,
            bytes: 0,
            first_timestamp_ms: None,
            opened_ms: 0,
            used: 0,
            name,
            output,
        })
    }

    /// Counts a record whose bytes were appended to the buffer from `start` on.
    pub(crate) fn appended(&mut self, start: usize, offset: i64, timestamp_ms: Option<i64>) -> Result<(), Error> {
        self.bytes += (self.buffer.len() - start) as u64;
        self.first = self.first.min(offset);
        self.last = self.last.max(offset);
        self.records += 1;
        self.first_timestamp_ms = self.first_timestamp_ms.or(timestamp_ms);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = match &mut self.output {
            Output::Plain(file) => file.write_all(&self.buffer),
            Output::Gzip(encoder) => encoder.write_all(&self.buffer),
            Output::Zstd(encoder) => encoder.write_all(&self.buffer),
        };
        written.map_err(Error::with(|| format!("cannot write {}", self.name)))?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes the bytes durable.
    pub(crate) fn finish(mut self, target: String) -> Result<Finished, Error> {
        self.flush()?;
        let failed = || Error::with::<std::io::Error>(|| format!("cannot make {} durable", self.name));
        let checked = match self.output {
            Output::Plain(checked) => checked,
            Output::Gzip(encoder) => encoder.finish().map_err(failed())?,
            Output::Zstd(encoder) => encoder.finish().map_err(failed())?,
        };
        checked.file.sync_all().map_err(failed())?;
        Ok(Finished {
            part: self.name.clone(),
            target,
            length: checked.length,
            crc32c: checked.crc32c,
            first: self.first,
            last: self.last,
            records: self.records,
        })
    }
}

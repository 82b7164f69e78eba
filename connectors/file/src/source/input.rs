//! Bytes of a file in pieces, from a position on.
use crate::error::Error;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

/// Bytes read at once.
const PIECE_BYTES: usize = 256 << 10;
/// Uncompressed bytes above which the ratio of a compressed file is judged.
const BOMB_BYTES: u64 = 100 << 20;
/// Largest ratio of uncompressed to compressed bytes.
const BOMB_RATIO: u64 = 200;

enum Stream {
    Plain(File),
    Gzip { decoder: Box<MultiGzDecoder<File>>, compressed_len: u64 },
}

/// Bytes of a file in pieces.
pub(crate) struct Input {
    stream: Stream,
    /// First byte not read from the stream.
    at: u64,
    scratch: Vec<u8>,
    name: String,
}

impl Input {
    /// An uncompressed file from a byte on.
    pub(crate) fn plain(file: File, from: u64, name: &str) -> Self {
        Self { stream: Stream::Plain(file), at: from, scratch: Vec::new(), name: name.to_owned() }
    }

    /// A compressed file from a byte of its uncompressed data on; what comes before it is decompressed and dropped.
    pub(crate) fn gzip(file: File, from: u64, name: &str) -> Result<Self, Error> {
        let compressed_len = file.metadata().map_err(Error::with(|| format!("cannot look at {name}")))?.len();
        let decoder = Box::new(MultiGzDecoder::new(file));
        let stream = Stream::Gzip { decoder, compressed_len };
        let mut input = Self { stream, at: 0, scratch: Vec::new(), name: name.to_owned() };
        while input.at < from {
            let wanted = usize::try_from(from - input.at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            if input.read(wanted)? == 0 {
                return Err(Error::Changed { file: name.to_owned(), byte: from, how: "it is shorter" });
            }
        }
        Ok(input)
    }

    /// First byte not yet handed out.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The bytes not used yet and those that follow them; `None` at the end of the file as it is at present.
    pub(crate) fn more(&mut self, unused: &[u8]) -> Result<Option<Bytes>, Error> {
        // A record longer than a piece is read in pieces that double, so that its bytes are copied twice on average.
        let read = self.read(PIECE_BYTES.max(unused.len()))?;
        if read == 0 {
            return Ok(None);
        }
        let fresh = self.scratch.get(..read).unwrap_or_default();
        if unused.is_empty() {
            return Ok(Some(Bytes::copy_from_slice(fresh)));
        }
        let mut joined = Vec::with_capacity(unused.len() + fresh.len());
        joined.extend_from_slice(unused);
        joined.extend_from_slice(fresh);
        Ok(Some(Bytes::from(joined)))
    }

    fn read(&mut self, most: usize) -> Result<usize, Error> {
        if self.scratch.len() < most {
            self.scratch.resize(most, 0);
        }
        let into = self.scratch.get_mut(..most).unwrap_or_default();
        let read = loop {
            let answer = match &mut self.stream {
                Stream::Plain(file) => file.read_at(into, self.at),
                Stream::Gzip { decoder, .. } => decoder.read(into),
            };
            match answer {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                answer => break answer,
            }
        };
        let read = read.map_err(|error| self.failed(error))?;
        self.at += read as u64;
        self.refuse_bombs()?;
        Ok(read)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        let is_data = matches!(
            source.kind(),
            std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
        );
        if is_data && matches!(self.stream, Stream::Gzip { .. }) {
            return Error::Definite {
                code: "FILE-0025",
                text: format!(
                    "{} is not whole gzip data after {} uncompressed bytes; replace the file",
                    self.name, self.at
                ),
            };
        }
        Error::Io { context: format!("cannot read {}", self.name), source }
    }

    fn refuse_bombs(&self) -> Result<(), Error> {
        match &self.stream {
            Stream::Gzip { compressed_len, .. }
                if self.at > BOMB_BYTES && self.at > compressed_len.saturating_mul(BOMB_RATIO) =>
            {
                Err(Error::Definite {
                    code: "FILE-0026",
                    text: format!(
                        "{} grows more than {BOMB_RATIO} fold when it is decompressed; decompress it by hand if that is meant",
                        self.name
                    ),
                })
            }
            _ => Ok(()),
        }
    }
}

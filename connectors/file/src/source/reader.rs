//! One file: from a place in it to records, up to its end as it is at present.
use super::decode::{Decode, Row, Step};
use super::input::Input;
use super::options::Options;
use super::place::{FINGERPRINT_BYTES, Place, fingerprint, head};
use super::preamble::Beginning;
use crate::config::Compression;
use crate::dir::{Identity, identity};
use crate::error::Error;
use bytes::{Buf, Bytes};
use std::fs::File;
use std::io::Seek;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Longest bad record whose bytes are told: a dead letter must fit into a Kafka record.
const BAD_BYTES_MAX: u64 = 900_000;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// What a file has next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A record; the place is the one after it.
    Record(Row),
    /// Nothing more at present.
    End,
}

/// A file being read.
pub(crate) struct Reader {
    name: Arc<str>,
    options: Arc<Options>,
    file: File,
    is_gzip: bool,
    /// `None` while the file does not hold what comes before its first record.
    stream: Option<Stream>,
    place: Place,
    /// The place after a bad record that was told and not passed over yet.
    after_bad: Option<Place>,
    head: Vec<u8>,
    /// The bytes up to the next line feed belong to a record that was too long, or began before the place.
    skipping: bool,
}

struct Stream {
    input: Input,
    piece: Bytes,
    decode: Box<dyn Decode>,
}

impl Reader {
    /// Opens a file at a place.
    pub(crate) fn open(file: File, name: &Arc<str>, place: Place, options: &Arc<Options>) -> Result<Self, Error> {
        let head = head(&file, FINGERPRINT_BYTES).map_err(Error::with(|| format!("cannot read {name}")))?;
        let is_gzip = match options.compression {
            Compression::None => false,
            Compression::Gzip => true,
            Compression::Auto => head.starts_with(GZIP_MAGIC),
        };
        let (name, options) = (Arc::clone(name), Arc::clone(options));
        Ok(Self { name, options, file, is_gzip, stream: None, place, after_bad: None, head, skipping: false })
    }

    /// From here on to the next line feed nothing is a record.
    pub(crate) fn skip_to_next_line(&mut self) {
        self.skipping = true;
    }

    /// The file has another name.
    pub(crate) fn rename(&mut self, name: &Arc<str>) {
        self.name = Arc::clone(name);
    }

    /// The same file from its first byte on.
    pub(crate) fn reopened(&self, identity: &Identity) -> Result<Self, Error> {
        let file = self.file.try_clone().map_err(Error::with(|| format!("cannot open {} again", self.name)))?;
        Self::open(file, &self.name, Place::beginning(identity), &self.options)
    }

    /// Where reading stands: after the last record.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Path below the directory.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether the file is compressed.
    pub(crate) fn is_gzip(&self) -> bool {
        self.is_gzip
    }

    /// Whether the file begins as it did when it was opened.
    pub(crate) fn begins_as_before(&self) -> Result<bool, Error> {
        let now = head(&self.file, self.head.len() as u64);
        Ok(now.map_err(Error::with(|| format!("cannot read {}", self.name)))? == self.head)
    }

    /// What the open file looks like at present.
    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        identity(&self.file).map_err(Error::with(|| format!("cannot look at {}", self.name)))
    }

    /// Passes over the bad record that the last call told, and gives its bytes where they can be read again cheaply.
    pub(crate) fn pass_bad(&mut self) -> Option<Bytes> {
        let from = self.place.byte;
        self.place = self.after_bad.take()?;
        self.raw(from, self.place.byte)
    }

    /// Bytes of an uncompressed file, without a line end behind them.
    fn raw(&self, from: u64, to: u64) -> Option<Bytes> {
        let len = to.checked_sub(from).filter(|len| !self.is_gzip && *len <= BAD_BYTES_MAX)?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.file.read_exact_at(&mut bytes, from).ok()?;
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        Some(bytes.into())
    }

    /// The next record. With `is_whole` the end of the file is its real end: half a record there is a whole one.
    ///
    /// An error of class `Record` leaves the place before the bad record; the next call passes over it.
    pub(crate) fn next(&mut self, is_whole: bool) -> Result<Next, Error> {
        if let Some(place) = self.after_bad.take() {
            self.place = place;
        }
        if !self.begin(is_whole)? {
            return Ok(Next::End);
        }
        let mut is_end = false;
        loop {
            let line = self.place.line + 1;
            if self.skipping && !self.skip_rest()? {
                return Ok(Next::End);
            }
            let Some(stream) = &mut self.stream else { return Ok(Next::End) };
            match stream.decode.step(&mut stream.piece, is_end) {
                Step::Record(row) => {
                    self.passed();
                    return Ok(Next::Record(row));
                }
                Step::Bad(reason) => {
                    let before = self.place;
                    self.passed();
                    self.after_bad = Some(std::mem::replace(&mut self.place, before));
                    return Err(self.bad(reason, line));
                }
                Step::TooLong => {
                    self.go_back()?;
                    let most = self.options.record_bytes_max;
                    return Err(self.bad(
                        format!("longer than csv.max.record.bytes={most}; reading goes on at the next line"),
                        line,
                    ));
                }
                Step::More if is_end => return Ok(Next::End),
                Step::More if stream.fill()? => {}
                Step::More if is_whole => is_end = true,
                Step::More => return Ok(Next::End),
            }
        }
    }

    /// Makes the decoder on the first call that finds the beginning of the file complete.
    fn begin(&mut self, is_whole: bool) -> Result<bool, Error> {
        if self.stream.is_some() {
            return Ok(true);
        }
        let beginning = Beginning::of(self.input(0)?, &self.name, is_whole);
        let Some(mut preamble) = beginning.read(&self.options)? else { return Ok(false) };
        let (from, line) = match self.place.byte {
            0 => (preamble.byte, preamble.line),
            byte => (byte, self.place.line),
        };
        preamble.decode.reset(line);
        self.place.line = line;
        self.stream = Some(Stream { input: self.input(from)?, piece: Bytes::new(), decode: preamble.decode });
        Ok(true)
    }

    fn input(&self, from: u64) -> Result<Input, Error> {
        let mut file = self.file.try_clone().map_err(Error::with(|| format!("cannot open {} again", self.name)))?;
        if !self.is_gzip {
            return Ok(Input::plain(file, from, &self.name));
        }
        file.rewind().map_err(Error::with(|| format!("cannot rewind {}", self.name)))?;
        Input::gzip(file, from, &self.name)
    }

    /// A record ends here.
    fn passed(&mut self) {
        let Some(stream) = &self.stream else { return };
        self.place.records += 1;
        self.place.byte = stream.at();
        self.place.line = stream.decode.line();
    }

    /// Back to the beginning of the record that was too long; it is passed over up to its first line feed.
    fn go_back(&mut self) -> Result<(), Error> {
        let input = self.input(self.place.byte)?;
        if let Some(stream) = &mut self.stream {
            (stream.input, stream.piece) = (input, Bytes::new());
        }
        self.skipping = true;
        Ok(())
    }

    /// Passes over the rest of a line; false when it has not ended yet.
    fn skip_rest(&mut self) -> Result<bool, Error> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        loop {
            if let Some(at) = memchr::memchr(b'\n', &stream.piece) {
                stream.piece.advance(at + 1);
                break;
            }
            stream.piece.clear();
            if !stream.fill()? {
                return Ok(false);
            }
        }
        stream.decode.reset(self.place.line + 1);
        self.skipping = false;
        self.passed();
        Ok(true)
    }

    /// The place as it is stored: with the fingerprint of what was read, and what the file looks like.
    pub(crate) fn stored_place(&mut self, identity: &Identity) -> Result<Place, Error> {
        let mut place = self.place;
        place.see(identity);
        if (self.head.len() as u64) < place.fingerprinted() {
            let read = head(&self.file, FINGERPRINT_BYTES);
            self.head = read.map_err(Error::with(|| format!("cannot read {}", self.name)))?;
        }
        place.fingerprint = fingerprint(&self.head, &place);
        Ok(place)
    }

    fn bad(&self, reason: String, line: u64) -> Error {
        Error::Record { file: self.name.to_string(), line, reason }
    }

    /// Passes over whole records.
    pub(crate) fn skip(&mut self, records: u64) -> Result<(), Error> {
        while self.place.records < records {
            match self.next(true) {
                Ok(Next::Record(_)) | Err(Error::Record { .. }) => {}
                Ok(Next::End) => {
                    let (file, byte) = (self.name.to_string(), self.place.byte);
                    return Err(Error::Changed { file, byte, how: "it has fewer records" });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Stream {
    /// Reads on; false at the end.
    fn fill(&mut self) -> Result<bool, Error> {
        let more = self.input.more(&self.piece)?;
        let has_more = more.is_some();
        if let Some(piece) = more {
            self.piece = piece;
        }
        Ok(has_more)
    }

    /// First byte that the decoder has not taken.
    fn at(&self) -> u64 {
        self.input.at() - self.piece.len() as u64
    }
}

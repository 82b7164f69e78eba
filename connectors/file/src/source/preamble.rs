//! What comes before the first record of a file: byte order mark, lines to skip, the header of csv.
use super::decode::Decode;
use super::decode::columns::{Columns, Rules};
use super::decode::csv::{CsvRows, Dialect, Split, Splitter};
use super::decode::json::JsonLine;
use super::decode::lines::{Lines, TextLine};
use super::input::Input;
use super::options::{Options, Shape};
use crate::error::Error;
use bytes::{Buf, Bytes};
use std::sync::Arc;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where the first record of a file begins, and what reads it.
pub(crate) struct Preamble {
    pub(crate) byte: u64,
    pub(crate) line: u64,
    pub(crate) decode: Box<dyn Decode>,
}

/// Reads the beginning of a file.
pub(crate) struct Beginning<'a> {
    input: Input,
    piece: Bytes,
    name: &'a str,
    /// Whether the end of the file is its real end.
    is_whole: bool,
}

impl<'a> Beginning<'a> {
    /// Of a file.
    pub(crate) fn of(input: Input, name: &'a str, is_whole: bool) -> Self {
        Self { input, piece: Bytes::new(), name, is_whole }
    }

    /// The preamble; `None` while the file does not hold all of it.
    pub(crate) fn read(mut self, options: &Options) -> Result<Option<Preamble>, Error> {
        self.pass_byte_order_mark()?;
        let most = options.record_bytes_max;
        let decode: Box<dyn Decode> = match &options.shape {
            Shape::Text(charset) => Box::new(Lines::new(TextLine::new(*charset), most)),
            Shape::Json { charset, converter, key } => {
                Box::new(Lines::new(JsonLine::new(*charset, Arc::clone(converter), key.clone()), most))
            }
            Shape::Csv { dialect, rules, header, skip_lines } => {
                return self.csv(dialect, rules, (*header, *skip_lines));
            }
        };
        Ok(Some(Preamble { byte: self.at(), line: 0, decode }))
    }

    fn at(&self) -> u64 {
        self.input.at() - self.piece.len() as u64
    }

    fn fill(&mut self) -> Result<bool, Error> {
        let more = self.input.more(&self.piece)?;
        let has_more = more.is_some();
        if let Some(piece) = more {
            self.piece = piece;
        }
        Ok(has_more)
    }

    fn pass_byte_order_mark(&mut self) -> Result<(), Error> {
        while self.piece.len() < BYTE_ORDER_MARK.len() && self.fill()? {}
        if self.piece.starts_with(BYTE_ORDER_MARK) {
            self.piece.advance(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    fn csv(
        mut self,
        dialect: &Dialect,
        rules: &Arc<Rules>,
        (header, skip_lines): (bool, u32),
    ) -> Result<Option<Preamble>, Error> {
        let mut line = 0;
        for _ in 0..skip_lines {
            if !self.skip_line()? {
                return Ok(None);
            }
            line += 1;
        }
        let before_first = (self.at(), line);
        let mut splitter = Splitter::new(*dialect);
        if !self.first_row(&mut splitter)? {
            return Ok(None);
        }
        let (columns, (byte, line)) = if header {
            let names = splitter.names(rules).ok_or_else(|| self.unfit("the header is not of the charset"))?;
            (Columns::named(&filled(names), rules), (self.at(), line + splitter.line()))
        } else {
            (Columns::unnamed(splitter.ends().len(), rules), before_first)
        };
        let columns = columns.map_err(|reason| self.unfit(&reason))?;
        Ok(Some(Preamble { byte, line, decode: Box::new(CsvRows::new(*dialect, columns, Arc::clone(rules))) }))
    }

    fn skip_line(&mut self) -> Result<bool, Error> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.piece) {
                self.piece.advance(at + 1);
                return Ok(true);
            }
            self.piece.clear();
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    fn first_row(&mut self, splitter: &mut Splitter) -> Result<bool, Error> {
        loop {
            match splitter.split(&mut self.piece, false) {
                Split::Record => return Ok(true),
                Split::TooLong => return Err(self.unfit("the first row is longer than csv.max.record.bytes")),
                Split::More if self.fill()? => {}
                Split::More => {
                    return Ok(self.is_whole && matches!(splitter.split(&mut self.piece, true), Split::Record));
                }
            }
        }
    }

    fn unfit(&self, reason: &str) -> Error {
        Error::Definite {
            code: "FILE-0027",
            text: format!("{}: {reason}; correct the file or the configuration", self.name),
        }
    }
}

/// A column without a name is named after its place.
fn filled(names: Vec<String>) -> Vec<String> {
    let name = |(at, name): (usize, String)| if name.is_empty() { format!("column{:02}", at + 1) } else { name };
    names.into_iter().enumerate().map(name).collect()
}

//! JSON bytes to values, one pass, no tree, texts as slices of the input.
//!
//! Accepts what Connect's reader accepts: leading zeros, a byte-order mark, anything after the first value. Nesting is
//! bounded; malformed input is an error with its place and nothing of its contents.
use crate::json::members::last_of_each;
use crate::json::scan::special_at;
use crate::json::skim::skim;
use crate::json::unescape::unescaped;
use bytes::Bytes;
use elasticflow_api::data::{Text, Value};

pub use crate::json::number::Number;

/// Deepest nesting that is read.
pub const DEPTH_MAX: u32 = 512;
/// Most times that values are read again because they turned out to be of another type.
const ATTEMPTS_MAX: u32 = 10_000;
/// The bytes are not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub struct Malformed {
    /// What is wrong.
    pub problem: &'static str,
    /// Where.
    pub at: usize,
}

/// The kind of a JSON value, told from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are JSON's")]
pub enum Token {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

/// A place in JSON bytes.
pub struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
    depth: u32,
    attempts: u32,
    blanks: usize,
}

/// A place to come back to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    at: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    /// At the first value; a byte-order mark is skipped.
    pub fn new(bytes: &'a Bytes) -> Self {
        let at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Self { bytes, at, depth: DEPTH_MAX, attempts: ATTEMPTS_MAX, blanks: 0 }
    }

    /// Index of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Moves on to a place that is known to begin a token.
    pub(crate) fn jump(&mut self, at: usize) {
        self.at = at;
    }

    /// Where the cursor stands.
    pub(crate) fn mark(&self) -> Mark {
        Mark { at: self.at, depth: self.depth }
    }

    /// Goes back to read the same bytes as another type; not without end.
    pub(crate) fn again(&mut self, mark: Mark) -> Result<(), Malformed> {
        (self.at, self.depth) = (mark.at, mark.depth);
        self.attempts = self.attempts.saturating_sub(1);
        if self.attempts == 0 { self.malformed("too many types fit in part") } else { Ok(()) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn malformed<T>(&self, problem: &'static str) -> Result<T, Malformed> {
        Err(Malformed { problem, at: self.at })
    }

    /// Skips blanks and says whether nothing is left.
    pub fn at_end(&mut self) -> bool {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
            self.blanks += 1;
        }
        self.at >= self.bytes.len()
    }

    /// Blanks that were passed so far, again where they were passed again.
    pub(crate) fn blanks(&self) -> usize {
        self.blanks
    }

    /// Skips blanks and tells the kind of the next value.
    pub fn token(&mut self) -> Result<Token, Malformed> {
        if self.at_end() {
            return self.malformed("the text ends where a value is expected");
        }
        Ok(match self.peek() {
            Some(b'"') => Token::String,
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'0'..=b'9' | b'-') => Token::Number,
            Some(b't' | b'f') => Token::Boolean,
            Some(b'n') => Token::Null,
            _ => return self.malformed("no JSON value begins so"),
        })
    }

    /// Takes one byte after blanks, if it is the next.
    pub fn take(&mut self, byte: u8) -> bool {
        let there = !self.at_end() && self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { self.malformed(problem) }
    }

    fn word(&mut self, word: &'static str) -> Result<(), Malformed> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return self.malformed("neither true, false nor null");
        }
        if self.bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | 0x80..)) {
            return self.malformed("neither true, false nor null");
        }
        self.at = end;
        Ok(())
    }

    /// Reads `null`.
    pub fn null(&mut self) -> Result<(), Malformed> {
        self.word("null")
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        let value = self.peek() == Some(b't');
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    /// Reads a number.
    pub fn number(&mut self) -> Result<Number<'a>, Malformed> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.digits() == 0 {
            return self.malformed("a number without digits");
        }
        let mut integral = true;
        if self.peek() == Some(b'.') {
            integral = false;
            self.at += 1;
            if self.digits() == 0 {
                return self.malformed("a number without digits after the point");
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            integral = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return self.malformed("a number without digits in the exponent");
            }
        }
        if !matches!(self.peek(), None | Some(b' ' | b'\n' | b'\r' | b'\t' | b',' | b']' | b'}')) {
            return self.malformed("a number goes on with something else");
        }
        let text = self.bytes.get(start..self.at).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("0");
        Ok(Number { text, integral })
    }

    /// Reads a text; a slice of the input where it has no escapes.
    pub fn text(&mut self) -> Result<Text, Malformed> {
        match self.raw_text()? {
            (range, false) => self.plain(range),
            (range, true) => self.unescaped(range).map(Text::from),
        }
    }

    fn plain(&self, range: std::ops::Range<usize>) -> Result<Text, Malformed> {
        let at = range.start;
        Text::try_from(self.bytes.slice(range)).map_err(|_| Malformed { problem: "a text that is not UTF-8", at })
    }

    /// The place of a text between its quotes, and whether it has escapes.
    fn raw_text(&mut self) -> Result<(std::ops::Range<usize>, bool), Malformed> {
        self.expect(b'"', "a text must begin with a quote")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(step) = special_at(rest) else {
                self.at = self.bytes.len();
                return self.malformed("the text ends inside quotes");
            };
            self.at += step;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((start..self.at - 1, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                _ => return self.malformed("a control character inside quotes"),
            }
        }
    }

    fn unescaped(&self, range: std::ops::Range<usize>) -> Result<String, Malformed> {
        let at = range.start;
        unescaped(self.bytes.get(range).unwrap_or_default()).map_err(|problem| Malformed { problem, at })
    }

    /// Reads any value: integers as int64, other numbers as float64, objects as maps, the last of repeated members.
    pub fn value(&mut self) -> Result<Value, Malformed> {
        Ok(match self.token()? {
            Token::String => Value::String(self.text()?),
            Token::Number => {
                let number = self.number()?;
                if number.integral { Value::Int64(number.wrapping_i64()) } else { Value::Float64(number.f64()) }
            }
            Token::Boolean => Value::Boolean(self.boolean()?),
            Token::Null => {
                self.null()?;
                Value::Null
            }
            Token::Array => {
                let mut values = Vec::new();
                self.array(|cursor| {
                    values.push(cursor.value()?);
                    Ok::<_, Malformed>(())
                })?;
                Value::Array(values)
            }
            Token::Object => {
                let mut entries = Vec::with_capacity(self.members());
                self.object(|cursor, name| {
                    entries.push((Value::String(name.owned(cursor)?), cursor.value()?));
                    Ok::<_, Malformed>(())
                })?;
                Value::Map(last_of_each(entries))
            }
        })
    }

    /// Passes over any value, checking it.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        if let Token::Object | Token::Array = self.token()?
            && let Some(end) = skim(self.bytes, self.at)
        {
            self.at = end;
            return Ok(());
        }
        self.skip_slowly()
    }

    fn skip_slowly(&mut self) -> Result<(), Malformed> {
        match self.token()? {
            Token::String => {
                let (range, escaped) = self.raw_text()?;
                if escaped {
                    return self.unescaped(range).map(drop);
                }
                let at = range.start;
                let raw = self.bytes.get(range).unwrap_or_default();
                std::str::from_utf8(raw).map_err(|_| Malformed { problem: "a text that is not UTF-8", at })?;
                Ok(())
            }
            Token::Number => self.number().map(drop),
            Token::Boolean => self.boolean().map(drop),
            Token::Null => self.null(),
            Token::Array => self.array(|cursor| cursor.skip_slowly()),
            Token::Object => self.object(|cursor, _| cursor.skip_slowly()),
        }
    }

    /// How many members an object may have, about: as many as would fill the rest, and no more than most have.
    fn members(&self) -> usize {
        /// Bytes of a short member: name, value and what stands between.
        const SHORT: usize = 12;
        const MOST: usize = 16;
        (self.bytes.len().saturating_sub(self.at) / SHORT).clamp(1, MOST)
    }

    fn deeper(&mut self) -> Result<(), Malformed> {
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                Ok(())
            }
            None => self.malformed("nested too deeply"),
        }
    }

    /// Reads an array; `item` reads one item.
    pub fn array<E: From<Malformed>>(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.expect(b'[', "an array must begin with a bracket")?;
        self.deeper()?;
        if !self.take(b']') {
            loop {
                item(self)?;
                if self.take(b']') {
                    break;
                }
                self.expect(b',', "items of an array must be separated by commas")?;
            }
        }
        self.depth += 1;
        Ok(())
    }

    /// Reads an object; `member` reads the value of one member.
    pub fn object<E: From<Malformed>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &Name) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "an object must begin with a brace")?;
        self.deeper()?;
        if !self.take(b'}') {
            loop {
                if self.at_end() {
                    return Err(Malformed { problem: "the text ends inside an object", at: self.at }.into());
                }
                let (range, escaped) = self.raw_text()?;
                self.expect(b':', "a member's name must be followed by a colon")?;
                member(self, &Name { range, escaped })?;
                if self.take(b'}') {
                    break;
                }
                self.expect(b',', "members of an object must be separated by commas")?;
            }
        }
        self.depth += 1;
        Ok(())
    }
}

/// The name of a member, still in place.
pub struct Name {
    range: std::ops::Range<usize>,
    escaped: bool,
}

impl Name {
    /// The bytes between the quotes, if they have no escapes.
    pub fn plain<'a>(&self, cursor: &Cursor<'a>) -> Option<&'a [u8]> {
        if self.escaped { None } else { cursor.bytes.get(self.range.clone()) }
    }

    /// The bytes of the name; `owned` keeps those of one that has escapes.
    pub fn bytes<'o, 'a: 'o>(&self, cursor: &Cursor<'a>, owned: &'o mut Option<Text>) -> Result<&'o [u8], Malformed> {
        match self.plain(cursor) {
            Some(bytes) => Ok(bytes),
            None => Ok(owned.insert(self.owned(cursor)?).as_bytes()),
        }
    }

    /// The name as a text of its own.
    pub fn owned(&self, cursor: &Cursor<'_>) -> Result<Text, Malformed> {
        match self.escaped {
            false => cursor.plain(self.range.clone()),
            true => cursor.unescaped(self.range.clone()).map(Text::from),
        }
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;

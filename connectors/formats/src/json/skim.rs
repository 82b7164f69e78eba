//! Passing over JSON that is written without blanks, as programs write it, in one loop without recursion.
//!
//! It says where a value ends, or nothing: whatever needs a closer look (blanks, deep nesting, anything that is wrong) is left
//! to the cursor, which says what is wrong with it.
use crate::json::scan::{HIGHS, special};

/// Deepest nesting that is passed over here.
const DEPTH_MAX: u32 = 64;

/// Index after the object or array that begins at `start`; none if it is left to the cursor.
pub(super) fn skim(bytes: &[u8], start: usize) -> Option<usize> {
    let mut skimmer = Skimmer { bytes, at: start, highs: 0 };
    let end = skimmer.value()?;
    if skimmer.highs & HIGHS != 0 {
        std::str::from_utf8(bytes.get(start..end)?).ok()?;
    }
    Some(end)
}

struct Skimmer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// All words of texts together: their high bits tell whether there is more than ASCII.
    highs: u64,
}

impl Skimmer<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next.then_some(())
    }

    fn value(&mut self) -> Option<usize> {
        // A bit for each open object (1) or array (0), the innermost lowest.
        let (mut open, mut depth) = (0_u64, 0_u32);
        loop {
            match self.peek()? {
                b'"' => self.text()?,
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    let is_object = bracket == b'{';
                    if self.take(if is_object { b'}' } else { b']' }).is_none() {
                        depth = Some(depth + 1).filter(|depth| *depth <= DEPTH_MAX)?;
                        open = open << 1 | u64::from(is_object);
                        if is_object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => return None,
            }
            loop {
                if depth == 0 {
                    return Some(self.at);
                }
                let next = self.peek()?;
                self.at += 1;
                match (next, open & 1 == 1) {
                    (b',', false) => break,
                    (b',', true) => {
                        self.name()?;
                        break;
                    }
                    (b'}', true) | (b']', false) => (open, depth) = (open >> 1, depth - 1),
                    _ => return None,
                }
            }
        }
    }

    fn name(&mut self) -> Option<()> {
        self.text()?;
        self.take(b':')
    }

    #[inline]
    fn text(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            self.plain()?;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// Moves to the next quote, backslash or control character.
    #[inline]
    fn plain(&mut self) -> Option<()> {
        while let Some(word) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*word);
            self.highs |= word;
            let found = special(word);
            if found != 0 {
                self.at += (found.trailing_zeros() / 8) as usize;
                return Some(());
            }
            self.at += 8;
        }
        loop {
            let byte = self.peek()?;
            if matches!(byte, b'"' | b'\\' | 0..=0x1F) {
                return Some(());
            }
            self.highs |= u64::from(byte);
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Option<()> {
        let rest = self.bytes.get(self.at + 1..)?;
        self.at += match rest.first()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' if rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return None,
        };
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    #[inline]
    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek() == Some(b'-'));
        self.digits()?;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.ends()
    }

    #[inline]
    fn word(&mut self, word: &'static [u8]) -> Option<()> {
        if !self.bytes.get(self.at..)?.starts_with(word) {
            return None;
        }
        self.at += word.len();
        self.ends()
    }

    /// Whether a value that has no end of its own ends here.
    fn ends(&self) -> Option<()> {
        matches!(self.peek(), None | Some(b',' | b']' | b'}')).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::skim;
    use crate::json::cursor::Cursor;
    use bytes::Bytes;

    #[test]
    fn what_is_written_without_blanks_is_passed_over_and_all_else_is_left() {
        for json in [
            r#"{"a":[1,-2.5e+3,{"b":"x\"\u00e9é"},[],{}],"c":null,"d":true,"e":"0123456789abcdef"}"#,
            "[]",
            "{}",
            "[[[0]]]",
        ] {
            assert_eq!(skim(format!("{json} x").as_bytes(), 0), Some(json.len()), "{json}");
        }
        let deep = format!("{}{}", "[".repeat(66), "]".repeat(66));
        for left in [
            r#"{"a": 1}"#,
            r#"{"a":1,}"#,
            "[1",
            r#"["a]"#,
            "[1}",
            r#"{"a"}"#,
            "[01x]",
            r#"["\q"]"#,
            r#"["\u12g4"]"#,
            "[-]",
            &deep,
        ] {
            assert_eq!(skim(left.as_bytes(), 0), None, "{left}");
        }
        assert_eq!(skim(b"[\"\xff\"]", 0), None, "what is no UTF-8");
        assert_eq!(skim(b"[\"a\x01\"]", 0), None, "a control character");
    }

    proptest::proptest! {
        #[test]
        fn it_ends_where_the_values_end(text in r#"[\[{]("[a-zé\\"u0-9]{0,12}"|[\[\]{}:,"0-9.eE+\-tfn]|true|null|"a":){0,30}"#) {
            let bytes = Bytes::from(text.into_bytes());
            if let Some(end) = skim(&bytes, 0) {
                let mut reading = Cursor::new(&bytes);
                proptest::prop_assert!(reading.value().is_ok());
                proptest::prop_assert_eq!(reading.at(), end);
            }
        }
    }
}

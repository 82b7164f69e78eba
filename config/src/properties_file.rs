//! Java's `.properties` format, as worker files and secret files are written.
use crate::properties::Properties;

/// What is wrong with a `.properties` text. The line's text is not in the message: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: malformed \\uxxxx escape; write four hexadecimal digits after \\u, or double the backslash")]
pub struct PropertiesError {
    /// Natural line on which the property begins, from 1.
    pub line: usize,
}

impl Properties {
    /// Reads a `.properties` text as Java does: comments, continuation lines, escapes; the last of equal keys wins.
    ///
    /// # Errors
    /// A `\u` escape without four hexadecimal digits.
    pub fn from_properties_text(text: &str) -> Result<Self, PropertiesError> {
        let mut properties = Self::default();
        for (line, logical) in logical_lines(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            let (key, value) = split(&logical);
            let (key, value) = (unescape(key), unescape(value));
            match (key, value) {
                (Some(key), Some(value)) => properties.0.insert(key, value),
                _ => return Err(PropertiesError { line }),
            };
        }
        Ok(properties)
    }
}

/// Lines after joining continuations, without blank lines and comments, each with the number of its first natural line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, natural) in text.split('\n').enumerate() {
        let natural = natural.trim_start_matches(blank);
        if !continues && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = natural.len() - natural.trim_end_matches('\\').len();
        let goes_on = backslashes % 2 == 1;
        let body = if goes_on { natural.strip_suffix('\\').unwrap_or(natural) } else { natural };
        match lines.last_mut() {
            Some((_, line)) if continues => line.push_str(body),
            _ => lines.push((index + 1, body.to_owned())),
        }
        continues = goes_on;
    }
    lines
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Key and value, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|&(_, c)| {
        let ends = !escaped && (blank(c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some((key, rest)) = end.and_then(|(at, _)| line.split_at_checked(at)) else { return (line, "") };
    let rest = rest.trim_start_matches(blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(blank))
}

/// The text an escaped text stands for; `None` for a malformed `\u`.
fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let mut push = |c: char| units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    let mut escapes: Vec<(usize, u16)> = Vec::new();
    let mut length = 0;
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(c);
            length += c.len_utf16();
            continue;
        }
        let c = match chars.next() {
            None => break,
            Some('u') => {
                let unit = (0..4).try_fold(0u32, |unit, _| Some(unit * 16 + chars.next()?.to_digit(16)?))?;
                escapes.push((length, u16::try_from(unit).ok()?));
                ' '
            }
            Some('t') => '\t',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('f') => '\u{c}',
            Some(other) => other,
        };
        push(c);
        length += c.len_utf16();
    }
    // Escaped units take the place of their blanks, so that two escapes can form one character beyond the first plane.
    for (at, unit) in escapes {
        if let Some(place) = units.get_mut(at) {
            *place = unit;
        }
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        Properties::from_properties_text(text).unwrap().0.into_iter().collect()
    }

    fn one(key: &str, value: &str) -> Vec<(String, String)> {
        vec![(key.to_owned(), value.to_owned())]
    }

    #[test]
    fn reads_every_separator_and_trims_around_it() {
        for text in ["a=b", "a:b", "a b", " a = b", "a\t:\u{c}b", "a = b\n", "\r\na=b\r\n", "\u{feff}a=b"] {
            assert_eq!(read(text), one("a", "b"), "{text:?}");
        }
        assert_eq!(read("a==b"), one("a", "=b"));
        assert_eq!(read("a"), one("a", ""));
        assert_eq!(read("a=b  "), one("a", "b  "), "trailing blanks belong to the value");
    }

    #[test]
    fn skips_comments_and_blank_lines_but_not_inside_a_continuation() {
        assert_eq!(read("# x=y\n  ! z=1\n\n \t\na=b # c"), one("a", "b # c"));
        assert_eq!(read("a=b\\\n  # c"), one("a", "b# c"));
        assert_eq!(read("# x \\\na=b"), one("a", "b"), "a comment does not continue");
    }

    #[test]
    fn joins_continuation_lines_only_after_an_odd_number_of_backslashes() {
        assert_eq!(read("a=b\\\r\n   c\\\n d"), one("a", "bcd"));
        assert_eq!(read("a=b\\\\\nc=d").len(), 2);
        assert_eq!(read("a=b\\"), one("a", "b"));
    }

    #[test]
    fn reads_escapes_in_keys_and_values() {
        assert_eq!(read(r"a\ b\=c=\t\n\\x\q"), one("a b=c", "\t\n\\xq"));
        assert_eq!(read(r"k=\u00fc\uD83D\uDE00!"), one("k", "ü😀!"));
        assert_eq!(read(r"C:\\dir=x"), one("C", "\\dir=x"));
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        assert_eq!(read("a=1\na=2"), one("a", "2"));
    }

    #[test]
    fn a_malformed_unicode_escape_names_the_line_and_hides_the_text() {
        let error = Properties::from_properties_text("a=1\npassword=hunter\\u12").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(!error.to_string().contains("hunter"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Properties::from_properties_text(&text);
        }
    }
}

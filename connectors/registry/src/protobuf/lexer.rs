//! Words and marks of a `.proto` text.
use crate::protobuf::bad;
use elasticflow_formats::FormatError;

/// A word or mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name with its dots, or a number.
    Word(String),
    /// A text in quotes.
    Text(String),
    /// Anything else, one character.
    Mark(char),
}

/// Cuts a text into words and marks; comments are passed over.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, FormatError> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").ok_or_else(|| bad("a comment without an end"))?.1;
        } else if matches!(first, '"' | '\'') {
            let (text, after) = quoted(rest, first)?;
            out.push(Token::Text(text));
            rest = after;
        } else if is_word(first) {
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            out.push(Token::Word(word.to_owned()));
            rest = after;
        } else {
            out.push(Token::Mark(first));
            let mut after = rest.chars();
            after.next();
            rest = after.as_str();
        }
    }
    Ok(out)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+')
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), FormatError> {
    let mut out = String::new();
    let mut characters = text.chars();
    characters.next();
    loop {
        match characters.next() {
            Some(c) if c == quote => return Ok((out, characters.as_str())),
            Some('\\') => match characters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c) => out.push(c),
                None => return Err(bad("a text without an end")),
            },
            Some(c) => out.push(c),
            None => return Err(bad("a text without an end")),
        }
    }
}

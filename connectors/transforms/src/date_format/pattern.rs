//! The pattern itself.

/// A pattern, read.
#[derive(Debug, Clone)]
pub(crate) struct DateFormat {
    pub(super) pieces: Vec<Piece>,
    text: String,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Copied as it is.
    Text(String),
    /// A letter and how often it stands there.
    Field(char, usize),
}

const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";

impl DateFormat {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Java's reason.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\'' => quoted(&mut rest, &mut pieces)?,
                letter if letter.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while rest.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    pieces.push(field(letter, count)?);
                }
                other => push_text(&mut pieces, other),
            }
        }
        Ok(Self { pieces, text: text.to_owned() })
    }

    /// The pattern as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

fn field(letter: char, count: usize) -> Result<Piece, String> {
    if !LETTERS.contains(letter) {
        return Err(format!("Illegal pattern character '{letter}'"));
    }
    if letter == 'X' && count > 3 {
        return Err(format!("invalid ISO 8601 format: length={count}"));
    }
    Ok(Piece::Field(letter, count))
}

fn push_text(pieces: &mut Vec<Piece>, c: char) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(c),
        _ => pieces.push(Piece::Text(c.into())),
    }
}

/// After an opening quote; two quotes in a row are one quote, inside and outside.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, pieces: &mut Vec<Piece>) -> Result<(), String> {
    if rest.next_if_eq(&'\'').is_some() {
        push_text(pieces, '\'');
        return Ok(());
    }
    loop {
        match rest.next() {
            None => return Err("Unterminated quote".to_owned()),
            Some('\'') if rest.next_if_eq(&'\'').is_some() => push_text(pieces, '\''),
            Some('\'') => return Ok(()),
            Some(c) => push_text(pieces, c),
        }
    }
}

//! What a QUERY event means, told by its first words; no SQL is parsed.

/// Meaning of a statement in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// BEGIN, XA START.
    Begin,
    /// COMMIT.
    Commit,
    /// ROLLBACK.
    Rollback,
    /// A table was emptied: database, if named, and table.
    Truncate(Option<String>, String),
    /// Tables may have changed.
    Ddl,
    /// A prepared XA transaction was committed.
    XaCommit,
    /// Caches of the server were emptied.
    Flush,
    /// Rows that are not in the log as rows.
    Rows,
    /// Nothing that concerns rows or tables.
    Other,
}

/// Reads the first words of a statement.
pub fn meaning(statement: &str) -> Meaning {
    // As the server writes it for every transaction.
    if statement == "BEGIN" {
        return Meaning::Begin;
    }
    let mut words = Words { rest: statement };
    let first = words.keyword();
    match first.as_str() {
        "BEGIN" => Meaning::Begin,
        "COMMIT" => Meaning::Commit,
        "ROLLBACK" => match words.keyword().as_str() {
            "TO" => Meaning::Other,
            _ => Meaning::Rollback,
        },
        "XA" => match words.keyword().as_str() {
            "START" | "BEGIN" => Meaning::Begin,
            "COMMIT" => Meaning::XaCommit,
            _ => Meaning::Other,
        },
        "TRUNCATE" => truncate(words),
        "CREATE" | "DROP" if words.clone().keyword() == "TEMPORARY" => Meaning::Other,
        "CREATE" | "ALTER" | "DROP" | "RENAME" => Meaning::Ddl,
        "FLUSH" => Meaning::Flush,
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" => Meaning::Rows,
        _ => Meaning::Other,
    }
}

fn truncate(mut words: Words<'_>) -> Meaning {
    let mut ahead = words.clone();
    if ahead.keyword() == "TABLE" {
        words = ahead;
    }
    let Some(first) = words.identifier() else { return Meaning::Ddl };
    if words.skip_char('.') {
        return words.identifier().map_or(Meaning::Ddl, |table| Meaning::Truncate(Some(first), table));
    }
    Meaning::Truncate(None, first)
}

/// What is left to read of a statement.
#[derive(Clone)]
pub(crate) struct Words<'a> {
    pub(crate) rest: &'a str,
}

impl Words<'_> {
    /// Passes over blanks and comments; the contents of `/*! .. */` are read.
    pub(crate) fn blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let after = if let Some(body) = self.rest.strip_prefix("/*!").or_else(|| self.rest.strip_prefix("/*M!")) {
                Some(body.trim_start_matches(|c: char| c.is_ascii_digit()))
            } else if let Some(body) = self.rest.strip_prefix("/*") {
                Some(body.split_once("*/").map_or("", |(_, after)| after))
            } else if self.rest.starts_with("-- ") || self.rest.starts_with('#') {
                Some(self.rest.split_once('\n').map_or("", |(_, after)| after))
            } else {
                self.rest.strip_prefix("*/")
            };
            match after {
                Some(after) => self.rest = after,
                None => return,
            }
        }
    }

    /// The next word in capitals; empty if there is none.
    pub(crate) fn keyword(&mut self) -> String {
        self.blanks();
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_ascii_uppercase()
    }

    /// Passes over a character, if it is the next one.
    pub(crate) fn skip_char(&mut self, c: char) -> bool {
        self.blanks();
        self.rest.strip_prefix(c).map(|rest| self.rest = rest).is_some()
    }

    /// Passes over words, if all of them follow.
    pub(crate) fn skip_words(&mut self, words: &[&str]) -> bool {
        let mut ahead = self.clone();
        let all = words.iter().all(|word| ahead.keyword() == *word);
        if all {
            *self = ahead;
        }
        all
    }

    /// The next run of letters, digits and what else names have, in capitals.
    pub(crate) fn whole_word(&mut self) -> String {
        self.blanks();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_ascii_uppercase()
    }

    /// The next character that is no blank.
    pub(crate) fn next_char(&mut self) -> Option<char> {
        self.blanks();
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Passes over the rest of a text in quotes.
    pub(crate) fn skip_quoted(&mut self, quote: char) -> Option<()> {
        let mut chars = self.rest.chars();
        loop {
            match chars.next()? {
                '\\' if quote != '`' => {
                    chars.next();
                }
                c if c == quote => break,
                _ => {}
            }
        }
        self.rest = chars.as_str();
        Some(())
    }

    /// A name, plain or in quotes.
    pub(crate) fn identifier(&mut self) -> Option<String> {
        self.blanks();
        let quote = if self.rest.starts_with('"') { '"' } else { '`' };
        if let Some(quoted) = self.rest.strip_prefix(quote) {
            let mut name = String::new();
            let mut rest = quoted;
            loop {
                let (part, after) = rest.split_once(quote)?;
                name.push_str(part);
                match after.strip_prefix(quote) {
                    Some(more) => {
                        name.push(quote);
                        rest = more;
                    }
                    None => {
                        self.rest = after;
                        return Some(name);
                    }
                }
            }
        }
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart_by_their_first_words() {
        for (text, expected) in [
            ("BEGIN", Meaning::Begin),
            ("XA START X'31',X'',1", Meaning::Begin),
            // Its rows were left out where they stand.
            ("xa rollback X'31',X'',1", Meaning::Other),
            ("XA COMMIT X'31',X'',1", Meaning::XaCommit),
            ("/* c */ alter table t add c int", Meaning::Ddl),
            ("/*!40000 ALTER TABLE t */", Meaning::Ddl),
            ("-- note\nDROP TABLE t", Meaning::Ddl),
            ("DROP TEMPORARY TABLE t", Meaning::Other),
            ("SAVEPOINT a", Meaning::Other),
            ("ROLLBACK TO a", Meaning::Other),
            ("INSERT INTO t VALUES (1)", Meaning::Rows),
            ("TRUNCATE t", Meaning::Truncate(None, "t".into())),
            ("truncate table `a``b` . c_1", Meaning::Truncate(Some("a`b".into()), "c_1".into())),
            ("GRANT ALL ON *.* TO u", Meaning::Other),
            ("", Meaning::Other),
        ] {
            assert_eq!(meaning(text), expected, "{text}");
        }
    }
}

//! Which tables a statement changes, told by its first words and the names in it.
use crate::statement::Words;

/// A table: database, if it is named, and name.
pub(crate) type Name = (Option<String>, String);

/// What a statement does to tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ddl {
    /// A table is made; the flag says that it may have been there.
    Create(Name, bool),
    /// A table is altered, and may have another name after it.
    Alter(Name, Option<Name>),
    /// Tables are dropped.
    Drop(Vec<Name>),
    /// Tables get other names: the other name, and the text of each pair.
    Rename(Vec<(Name, String)>),
    /// Indexes or caches: no table has other columns.
    Index,
    /// A database comes, goes or has another character set; the flag is for the last.
    Database(Option<String>, bool),
    /// Something else.
    Other,
}

/// Reads a statement.
pub(crate) fn ddl(statement: &str) -> Ddl {
    let mut words = Words { rest: statement };
    let read = match words.keyword().as_str() {
        "CREATE" => create(words),
        "ALTER" => alter(words),
        "DROP" => drop(words),
        "RENAME" => rename(words),
        "FLUSH" => Some(Ddl::Index),
        _ => None,
    };
    read.unwrap_or(Ddl::Other)
}

/// The statement without blanks and comments before it.
pub(crate) fn text_of(statement: &str) -> &str {
    let trimmed = statement.trim();
    let mut rest = trimmed;
    while let Some(body) = rest.strip_prefix("/*").filter(|b| !b.starts_with('!') && !b.starts_with("M!")) {
        rest = body.split_once("*/").map_or("", |(_, after)| after).trim_start();
    }
    if rest.is_empty() { trimmed } else { rest }
}

fn create(mut words: Words<'_>) -> Option<Ddl> {
    loop {
        match words.keyword().as_str() {
            "OR" | "REPLACE" | "ONLINE" | "OFFLINE" | "UNIQUE" | "FULLTEXT" | "SPATIAL" => {}
            "TABLE" => {
                let maybe = words.skip_words(&["IF", "NOT", "EXISTS"]);
                return Some(Ddl::Create(name(&mut words)?, maybe));
            }
            "INDEX" => return Some(Ddl::Index),
            "DATABASE" | "SCHEMA" => {
                words.skip_words(&["IF", "NOT", "EXISTS"]);
                return Some(Ddl::Database(words.identifier(), false));
            }
            _ => return None,
        }
    }
}

fn alter(mut words: Words<'_>) -> Option<Ddl> {
    loop {
        match words.keyword().as_str() {
            "ONLINE" | "OFFLINE" | "IGNORE" => {}
            "TABLE" => {
                words.skip_words(&["IF", "EXISTS"]);
                let table = name(&mut words)?;
                return Some(Ddl::Alter(table, renamed(words)));
            }
            "DATABASE" | "SCHEMA" => {
                let option = ["DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "ENCRYPTION", "READ", "COMMENT", "UPGRADE"];
                let ahead = words.clone().keyword();
                let named = !option.contains(&ahead.as_str());
                return Some(Ddl::Database(if named { words.identifier() } else { None }, true));
            }
            _ => return None,
        }
    }
}

fn drop(mut words: Words<'_>) -> Option<Ddl> {
    match words.keyword().as_str() {
        "TABLE" | "TABLES" => {
            words.skip_words(&["IF", "EXISTS"]);
            let mut names = vec![name(&mut words)?];
            while words.skip_char(',') {
                names.push(name(&mut words)?);
            }
            Some(Ddl::Drop(names))
        }
        "INDEX" => Some(Ddl::Index),
        "DATABASE" | "SCHEMA" => {
            words.skip_words(&["IF", "EXISTS"]);
            Some(Ddl::Database(words.identifier(), false))
        }
        _ => None,
    }
}

fn rename(mut words: Words<'_>) -> Option<Ddl> {
    if !matches!(words.keyword().as_str(), "TABLE" | "TABLES") {
        return None;
    }
    words.skip_words(&["IF", "EXISTS"]);
    let mut pairs = Vec::new();
    loop {
        words.blanks();
        let from = words.rest;
        name(&mut words)?;
        while words.clone().keyword() != "TO" {
            // NOWAIT, or WAIT with a number.
            if words.keyword().is_empty() {
                words.identifier()?;
            }
        }
        words.keyword();
        let to = name(&mut words)?;
        let length = from.len().saturating_sub(words.rest.len());
        pairs.push((to, from.get(..length).unwrap_or_default().trim().to_owned()));
        if !words.skip_char(',') {
            return Some(Ddl::Rename(pairs));
        }
    }
}

fn name(words: &mut Words<'_>) -> Option<Name> {
    let first = words.identifier()?;
    if words.skip_char('.') { Some((Some(first), words.identifier()?)) } else { Some((None, first)) }
}

/// The other name in `ALTER TABLE .. RENAME [TO | AS | =] name`; columns and indexes are renamed too.
fn renamed(mut words: Words<'_>) -> Option<Name> {
    let mut depth = 0_usize;
    loop {
        let word = words.whole_word();
        if word == "RENAME" && depth == 0 {
            let mut ahead = words.clone();
            match ahead.whole_word().as_str() {
                "COLUMN" | "INDEX" | "KEY" => continue,
                "TO" | "AS" => return name(&mut ahead),
                _ => {
                    words.skip_char('=');
                    return name(&mut words);
                }
            }
        }
        if !word.is_empty() {
            continue;
        }
        match words.next_char()? {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            quote @ ('\'' | '"' | '`') => words.skip_quoted(quote)?,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Name {
        (None, text.to_owned())
    }

    #[test]
    fn statements_name_the_tables_that_they_change() {
        let of = |db: &str, name: &str| (Some(db.to_owned()), name.to_owned());
        for (text, expected) in [
            ("CREATE TABLE IF NOT EXISTS a (id int)", Ddl::Create(plain("a"), true)),
            ("create or replace table `d`.`a``b` like c", Ddl::Create(of("d", "a`b"), false)),
            ("CREATE TABLE t(id int)", Ddl::Create(plain("t"), false)),
            ("ALTER TABLE t ADD COLUMN rename_to int", Ddl::Alter(plain("t"), None)),
            ("ALTER TABLE t RENAME COLUMN a TO b, RENAME INDEX x TO y", Ddl::Alter(plain("t"), None)),
            ("ALTER TABLE t COMMENT 'it''s RENAME TO x', RENAME AS d.u", Ddl::Alter(plain("t"), Some(of("d", "u")))),
            ("ALTER IGNORE TABLE t RENAME u", Ddl::Alter(plain("t"), Some(plain("u")))),
            ("DROP TABLE IF EXISTS a, `b` /* generated by server */", Ddl::Drop(vec![plain("a"), plain("b")])),
            ("DROP INDEX i ON t", Ddl::Index),
            ("CREATE UNIQUE INDEX i ON t (a)", Ddl::Index),
            ("FLUSH TABLES", Ddl::Index),
            ("DROP DATABASE IF EXISTS d", Ddl::Database(Some("d".into()), false)),
            ("ALTER DATABASE DEFAULT CHARACTER SET utf8mb4", Ddl::Database(None, true)),
            ("ALTER SCHEMA d COLLATE x", Ddl::Database(Some("d".into()), true)),
            ("CREATE VIEW v AS SELECT 1", Ddl::Other),
            ("DROP USER u", Ddl::Other),
            ("CREATE TEMPORARY TABLE t (id int)", Ddl::Other),
            ("ALTER TABLE", Ddl::Other),
            ("RENAME USER a TO b", Ddl::Other),
        ] {
            assert_eq!(ddl(text), expected, "{text}");
        }
        let pairs = vec![(plain("b"), "a TO b".to_owned()), (of("e", "d"), "`c` WAIT 5 TO e.d".to_owned())];
        assert_eq!(ddl("/* x */ RENAME TABLE a TO b, `c` WAIT 5 TO e.d"), Ddl::Rename(pairs));
    }

    #[test]
    fn a_text_is_told_without_the_comments_before_it() {
        assert_eq!(text_of(" /* a */ /* b */ DROP TABLE t "), "DROP TABLE t");
        assert_eq!(text_of("/*!40000 ALTER TABLE t */"), "/*!40000 ALTER TABLE t */");
        assert_eq!(text_of("/* open"), "/* open");
    }

    #[test]
    fn cut_statements_are_no_reason_to_stop() {
        let text = "ALTER TABLE `a`.`b` ADD c ENUM('x''y', \"z\") COMMENT '(', RENAME TO `d` -- end";
        for end in (0..=text.len()).filter(|i| text.is_char_boundary(*i)) {
            ddl(text.get(..end).unwrap());
            ddl(text.get(end..).unwrap());
        }
        for text in ["RENAME TABLE a", "RENAME TABLE a WAIT", "RENAME TABLE a 5 5 5", "DROP TABLE a,", "CREATE"] {
            assert_eq!(ddl(text), Ddl::Other, "{text}");
        }
    }
}

//! The index of a topic.
use crate::error::Error;
use std::collections::HashMap;
use std::sync::Arc;

/// Elasticsearch's limit.
const NAME_BYTES_MAX: usize = 255;

/// A part of `index.name.format`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Topic,
    /// A date pattern of `yyyy`, `MM`, `dd`, `HH` and separators.
    Timestamp(String),
}

/// Checks `index.name.format`.
pub(crate) fn check_format(text: &str) -> Result<(), String> {
    parts_of(text).map(drop)
}

fn parts_of(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, following) = after.split_once('}').ok_or("${ without its closing brace")?;
        parts.push(Part::Text(before.to_owned()));
        parts.push(match name.split_once(':') {
            None if name == "topic" => Part::Topic,
            Some(("timestamp", pattern)) if is_date_pattern(pattern) => Part::Timestamp(pattern.to_owned()),
            _ => {
                return Err(format!(
                    "${{{name}}} is not known; there are ${{topic}} and ${{timestamp:PATTERN}} with yyyy, MM, dd, HH"
                ));
            }
        });
        rest = following;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

fn is_date_pattern(pattern: &str) -> bool {
    let rest = ["yyyy", "MM", "dd", "HH"].iter().fold(pattern.to_owned(), |rest, word| rest.replacen(word, "", 1));
    !pattern.is_empty() && rest.bytes().all(|b| matches!(b, b'-' | b'_' | b'.'))
}

/// Names of indices, and which topic each belongs to.
#[derive(Debug)]
pub(crate) struct IndexNames {
    parts: Vec<Part>,
    /// Base names (without time) by topic.
    known: HashMap<Arc<str>, Arc<str>>,
    owners: HashMap<Arc<str>, Arc<str>>,
    dated: bool,
    shared: bool,
}

impl IndexNames {
    /// For a format that was checked.
    pub(crate) fn new(format: &str) -> Result<Self, Error> {
        let parts = parts_of(format).map_err(|reason| Error::Setting(format!("index.name.format: {reason}")))?;
        let dated = parts.iter().any(|part| matches!(part, Part::Timestamp(_)));
        let shared = !parts.contains(&Part::Topic);
        Ok(Self { parts, known: HashMap::new(), owners: HashMap::new(), dated, shared })
    }

    /// The index of a record.
    ///
    /// # Errors
    /// A topic without a valid name; a second topic on one index, unless the format asks for that by leaving the topic out.
    pub(crate) fn of(&mut self, topic: &Arc<str>, timestamp_ms: i64) -> Result<Arc<str>, Error> {
        if self.dated {
            let name = self.name(topic, timestamp_ms)?;
            self.claim(topic, &name)?;
            return Ok(name);
        }
        if let Some(name) = self.known.get(topic) {
            return Ok(Arc::clone(name));
        }
        let name = self.name(topic, timestamp_ms)?;
        self.claim(topic, &name)?;
        self.known.insert(Arc::clone(topic), Arc::clone(&name));
        Ok(name)
    }

    fn claim(&mut self, topic: &Arc<str>, index: &Arc<str>) -> Result<(), Error> {
        if self.shared {
            return Ok(());
        }
        let owner = self.owners.entry(Arc::clone(index)).or_insert_with(|| Arc::clone(topic));
        if owner == topic {
            return Ok(());
        }
        Err(Error::Collision { first: owner.to_string(), second: topic.to_string(), index: index.to_string() })
    }

    fn name(&self, topic: &str, timestamp_ms: i64) -> Result<Arc<str>, Error> {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Topic => name.push_str(topic),
                Part::Timestamp(pattern) => name.push_str(&dated(pattern, timestamp_ms)),
            }
        }
        let name = sanitised(&name);
        let invalid = |reason| Error::IndexName { topic: topic.to_owned(), name: name.clone(), reason };
        if name.is_empty() {
            return Err(invalid("nothing is left of it"));
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(invalid("it is longer than 255 bytes"));
        }
        if name.contains("..") {
            return Err(invalid("it holds two dots in a row"));
        }
        Ok(name.into())
    }
}

/// Lower case; what Elasticsearch does not allow becomes `_`; signs that may not begin a name are taken off.
fn sanitised(name: &str) -> String {
    let allowed = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.' | '_' | '+' | '-') => c,
        _ => '_',
    };
    let name: String = name.chars().map(allowed).collect();
    name.trim_start_matches(['.', '_', '+', '-']).to_owned()
}

fn dated(pattern: &str, timestamp_ms: i64) -> String {
    let (year, month, day) = elasticflow_formats::calendar::civil_from_days(timestamp_ms.div_euclid(86_400_000));
    let hour = timestamp_ms.rem_euclid(86_400_000) / 3_600_000;
    pattern
        .replace("yyyy", &format!("{year:04}"))
        .replace("MM", &format!("{month:02}"))
        .replace("dd", &format!("{day:02}"))
        .replace("HH", &format!("{hour:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(format: &str, topic: &str) -> Result<Arc<str>, Error> {
        IndexNames::new(format).unwrap().of(&topic.into(), 1_700_000_000_123)
    }

    #[test]
    fn names_are_lower_case_and_without_forbidden_signs() {
        for (format, topic, expected) in [
            ("${topic}", "Shop.Inventory.Orders", "shop.inventory.orders"),
            ("${topic}", "_hidden", "hidden"),
            ("es-${topic}", "a b#c", "es-a_b_c"),
            ("${topic}-${timestamp:yyyy.MM.dd}", "t", "t-2023.11.14"),
            ("${topic}-${timestamp:yyyyMMddHH}", "t", "t-2023111422"),
        ] {
            assert_eq!(&*name(format, topic).unwrap(), expected);
        }
    }

    #[test]
    fn a_name_that_cannot_be_is_an_error_that_names_the_topic() {
        assert!(name("${topic}", "___").unwrap_err().to_string().contains("topic ___"));
        assert!(name("${topic}", &"x".repeat(300)).is_err());
        assert!(name("${topic}", "a..b").is_err());
    }

    #[test]
    fn two_topics_on_one_index_are_refused() {
        let mut names = IndexNames::new("${topic}").unwrap();
        names.of(&"Orders".into(), 0).unwrap();
        assert!(matches!(names.of(&"orders".into(), 0), Err(Error::Collision { .. })));
        assert!(names.of(&"Orders".into(), 0).is_ok());
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        for format in ["${field:x}", "${timestamp:yy}", "${topic", "${timestamp:}"] {
            assert!(check_format(format).is_err(), "{format}");
        }
    }
}

//! The index of a topic.
use crate::error::Error;
use elasticflow_formats::calendar::{DAY_MS, civil_from_days, days_from_civil};
use std::collections::HashMap;
use std::sync::Arc;

/// Elasticsearch's limit.
const NAME_BYTES_MAX: usize = 255;

const HOUR_MS: i64 = 3_600_000;

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
    /// The name made last by topic, and the hour it is of: records follow each other in time.
    latest: HashMap<Arc<str>, (i64, Arc<str>)>,
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
        Ok(Self { parts, latest: HashMap::new(), owners: HashMap::new(), dated, shared })
    }

    /// Whether the time of a record is in the name of its index.
    pub(crate) fn is_dated(&self) -> bool {
        self.dated
    }

    /// Whether names hold year, month and day.
    pub(crate) fn has_days(&self) -> bool {
        let holds = |word: &str| self.parts.iter().any(|p| matches!(p, Part::Timestamp(t) if t.contains(word)));
        holds("yyyy") && holds("MM") && holds("dd")
    }

    /// The topics that records came from.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.latest.keys()
    }

    /// The index of a record.
    ///
    /// # Errors
    /// A topic without a valid name; a second topic on one index, unless the format asks for that by leaving the topic out.
    pub(crate) fn of(&mut self, topic: &Arc<str>, timestamp_ms: i64) -> Result<Arc<str>, Error> {
        let hour = if self.dated { timestamp_ms.div_euclid(HOUR_MS) } else { 0 };
        match self.latest.get_mut(topic) {
            Some((at, name)) if *at == hour => Ok(Arc::clone(name)),
            Some(_) => {
                let name = self.name(topic, timestamp_ms)?;
                self.latest.insert(Arc::clone(topic), (hour, Arc::clone(&name)));
                Ok(name)
            }
            None => {
                // Names that differ at one time differ at every time.
                self.claim(topic, &self.name(topic, 0)?)?;
                let name = self.name(topic, timestamp_ms)?;
                self.latest.insert(Arc::clone(topic), (hour, Arc::clone(&name)));
                Ok(name)
            }
        }
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

    /// What the names of a topic's indices begin with, up to their date.
    pub(crate) fn prefix(&self, topic: &str) -> String {
        let literal = self.parts.iter().map_while(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Topic => Some(topic),
            Part::Timestamp(_) => None,
        });
        sanitised(&literal.collect::<String>())
    }

    /// When the day in the name of a topic's index ends, in milliseconds since 1970; `None` for what is no such name.
    pub(crate) fn day_end(&self, topic: &str, index: &str) -> Option<i64> {
        let mut rest = index.strip_prefix(self.prefix(topic).as_str())?;
        let (mut year, mut month, mut day, mut hour) = (None, None, None, 0);
        let dated = self.parts.iter().skip_while(|part| !matches!(part, Part::Timestamp(_)));
        for part in dated {
            let Part::Timestamp(pattern) = part else {
                let text = if let Part::Text(text) = part { text } else { topic };
                let length = text.chars().count();
                rest = rest.get(length..)?;
                continue;
            };
            let mut pattern = pattern.as_str();
            while let Some(sign) = pattern.chars().next() {
                let length = pattern.bytes().take_while(|b| char::from(*b) == sign).count();
                let found = rest.get(..length)?.parse::<i64>();
                match sign {
                    'y' => year = Some(found.ok()?),
                    'M' => month = Some(found.ok()?),
                    'd' => day = Some(found.ok()?),
                    'H' => hour = found.ok()?,
                    _ => {}
                }
                (pattern, rest) = (pattern.get(length..)?, rest.get(length..)?);
            }
        }
        let days = days_from_civil(year?, month?, day?);
        let start = days.checked_mul(DAY_MS)?.checked_add(hour.checked_mul(HOUR_MS)?)?;
        // What was read is right if it gives the same name again.
        let same = self.name(topic, start).is_ok_and(|name| &*name == index);
        same.then(|| (days + 1) * DAY_MS)
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
    let (year, month, day) = civil_from_days(timestamp_ms.div_euclid(DAY_MS));
    let hour = timestamp_ms.rem_euclid(DAY_MS) / HOUR_MS;
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
    fn a_name_follows_the_hour_of_the_record() {
        let mut names = IndexNames::new("${topic}-${timestamp:yyyyMMddHH}").unwrap();
        let topic: Arc<str> = "t".into();
        for (at, name) in
            [(0, "t-1970010100"), (3_599_999, "t-1970010100"), (3_600_000, "t-1970010101"), (-1, "t-1969123123")]
        {
            assert_eq!(&*names.of(&topic, at).unwrap(), name);
        }
    }

    #[test]
    fn the_day_of_an_index_is_read_from_its_name_alone() {
        let end = |format: &str, index: &str| IndexNames::new(format).unwrap().day_end("_Shop.Orders", index);
        let day = |days: i64| Some(days * 86_400_000);
        for (format, index, expected) in [
            ("${topic}-${timestamp:yyyy.MM.dd}", "shop.orders-1970.01.03", day(3)),
            ("${topic}-${timestamp:yyyyMMddHH}", "shop.orders-1970010323", day(3)),
            ("${timestamp:yyyy-MM-dd}-${topic}", "1970-01-03-_shop.orders", day(3)),
            ("l-${timestamp:dd}x${timestamp:yyyyMM}.v2", "l-03x197001.v2", day(3)),
            ("${topic}-${timestamp:yyyy.MM.dd}", "shop.orders-1970.13.03", None),
            ("${topic}-${timestamp:yyyy.MM.dd}", "shop.orders-1970.02.30", None),
            ("${topic}-${timestamp:yyyy.MM.dd}", "shop.orders-1970.01.033", None),
            ("${topic}-${timestamp:yyyy.MM.dd}", "shop.orders-1970.01.0é", None),
            ("${topic}-${timestamp:yyyy.MM.dd}", "shop.orders-more-1970.01.03", None),
            ("${topic}-${timestamp:yyyy.MM.dd}", "shop.orders-+970.01.03", None),
            ("${topic}-${timestamp:yyyy.MM}", "shop.orders-1970.01", None),
        ] {
            assert_eq!(end(format, index), expected, "{format} {index}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_of_an_index_is_read_or_passed_over(index: String) {
            let _ = IndexNames::new("${topic}-${timestamp:yyyy.MM.dd}").unwrap().day_end("t", &format!("t-{index}"));
        }
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        for format in ["${field:x}", "${timestamp:yy}", "${topic", "${timestamp:}"] {
            assert!(check_format(format).is_err(), "{format}");
        }
    }
}

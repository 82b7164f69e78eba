//! Include and exclude lists of regular expressions, as Debezium reads them: comma-separated, anchored, without regard to case.
use regex::{Regex, RegexBuilder};

/// A list of patterns; a name passes if one of them matches the whole of it.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<Regex>);

impl Patterns {
    /// Reads a list.
    ///
    /// # Errors
    /// The pattern that cannot be read, with the reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        split(text).into_iter().map(|pattern| compile(&pattern)).collect::<Result<_, _>>().map(Self)
    }

    /// A single pattern, commas and all.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn one(pattern: &str) -> Result<Self, String> {
        compile(pattern).map(|pattern| Self(vec![pattern]))
    }

    /// Whether a name matches.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(name))
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// For [`elasticflow_config::Validity::Check`].
///
/// # Errors
/// As [`Patterns::parse`].
pub fn check(text: &str) -> Result<(), String> {
    Patterns::parse(text).map(|_| ())
}

/// Splits at commas that are not escaped.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(String::new());
            continue;
        }
        if let Some(last) = parts.last_mut() {
            if c == ',' && escaped {
                last.pop();
            }
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts.into_iter().map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).case_insensitive(true).build().map_err(|_| {
        format!("the regular expression `{pattern}` cannot be read (look-around and back references are not supported)")
    })
}

/// An include list or an exclude list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    include: Patterns,
    exclude: Patterns,
}

impl Filter {
    /// Reads both lists; at most one of them may be given.
    ///
    /// # Errors
    /// A pattern cannot be read, or both lists are given.
    pub fn parse(include: Option<&str>, exclude: Option<&str>) -> Result<Self, String> {
        let filter = Self {
            include: Patterns::parse(include.unwrap_or_default())?,
            exclude: Patterns::parse(exclude.unwrap_or_default())?,
        };
        if filter.include.is_empty() || filter.exclude.is_empty() {
            return Ok(filter);
        }
        Err("the include list and the exclude list cannot be used together".to_owned())
    }

    /// Whether a name passes.
    pub fn allows(&self, name: &str) -> bool {
        (self.include.is_empty() || self.include.matches(name)) && !self.exclude.matches(name)
    }

    /// Whether something of several names passes: one of them is included, none excluded.
    pub fn allows_any(&self, names: &[String]) -> bool {
        let matches = |patterns: &Patterns| names.iter().any(|name| patterns.matches(name));
        (self.include.is_empty() || matches(&self.include)) && !matches(&self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names_without_regard_to_case() {
        let filter = Filter::parse(Some("inv\\.orders, inv\\.item.*"), None).unwrap();
        assert!(filter.allows("INV.orders") && filter.allows("inv.items"));
        assert!(!filter.allows("inv.orders2") && !filter.allows("x.inv.orders"));
    }

    #[test]
    fn an_escaped_comma_belongs_to_the_pattern() {
        let patterns = Patterns::parse("a{1\\,2},b").unwrap();
        assert!(patterns.matches("aa") && patterns.matches("b") && !patterns.matches("aaa"));
    }

    #[test]
    fn include_and_exclude_together_are_refused() {
        assert!(Filter::parse(Some("a"), Some("b")).is_err());
        assert!(Patterns::parse("(?=a)").is_err());
    }
}

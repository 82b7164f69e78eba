//! Regular expressions as Java reads them, replacements included.
use elasticflow_config::Validity;
use fancy_regex::{Captures, Regex};

/// For keys that hold a pattern.
pub(crate) const VALID: Validity = Validity::Check(check);

/// For keys that hold a pattern which must not be empty.
pub(crate) const VALID_NON_EMPTY: Validity = Validity::Check(|text| match text.trim() {
    "" => Err("String must be non-empty".to_owned()),
    text => check(text),
});

fn check(text: &str) -> Result<(), String> {
    JavaRegex::new(text).map(|_| ())
}

/// A pattern.
#[derive(Debug)]
pub(crate) struct JavaRegex {
    whole: Regex,
    part: Regex,
}

impl JavaRegex {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The reason, as a validator says it.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let own = translated(pattern);
        let invalid = |e: fancy_regex::Error| format!("Invalid regex: {e}");
        Ok(Self {
            part: Regex::new(&own).map_err(invalid)?,
            whole: Regex::new(&format!(r"\A(?:{own})\z")).map_err(invalid)?,
        })
    }

    /// Whether the whole of a text matches. A pattern that gives up on a text (too much backtracking) does not match.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text).unwrap_or(false)
    }

    /// Replaces the first match.
    ///
    /// # Errors
    /// The replacement names a group that does not exist.
    pub(crate) fn replace_first(&self, text: &str, replacement: &Replacement) -> Result<String, String> {
        let Ok(Some(captures)) = self.part.captures(text) else { return Ok(text.to_owned()) };
        let Some(all) = captures.get(0) else { return Ok(text.to_owned()) };
        let mut out = text.get(..all.start()).unwrap_or_default().to_owned();
        replacement.write(&captures, &self.part, &mut out)?;
        out.push_str(text.get(all.end()..).unwrap_or_default());
        Ok(out)
    }
}

/// Java's quoting and its names of ASCII classes, in the syntax of the library.
fn translated(pattern: &str) -> String {
    const CLASSES: [(&str, &str); 10] = [
        ("Lower", "lower"),
        ("Upper", "upper"),
        ("Alpha", "alpha"),
        ("Digit", "digit"),
        ("Alnum", "alnum"),
        ("Punct", "punct"),
        ("Graph", "graph"),
        ("Print", "print"),
        ("XDigit", "xdigit"),
        ("Space", "space"),
    ];
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        if let Some(quoted) = after.strip_prefix('Q') {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&fancy_regex::escape(text));
            rest = after;
            continue;
        }
        let class = CLASSES.iter().find_map(|(java, own)| {
            let after = after.strip_prefix("p{")?.strip_prefix(java)?.strip_prefix('}')?;
            Some((own, after))
        });
        if let Some((own, after)) = class {
            out.push_str(&format!("[[:{own}:]]"));
            rest = after;
            continue;
        }
        out.push('\\');
        let mut characters = after.chars();
        out.extend(characters.next());
        rest = characters.as_str();
    }
    out.push_str(rest);
    out
}

/// A replacement: text with `$1`, `${name}` and escaped characters.
#[derive(Debug)]
pub(crate) struct Replacement(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    /// Digits after a `$`: as many of them as name a group, the rest is text.
    Number(String),
    Name(String),
    /// Java fails when such a replacement is used, not before.
    Wrong(&'static str),
}

impl Replacement {
    /// Reads a replacement.
    pub(crate) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let part = match c {
                '\\' => match rest.next() {
                    Some(escaped) => {
                        plain.push(escaped);
                        continue;
                    }
                    None => Part::Wrong("character to be escaped is missing"),
                },
                '$' => reference(&mut rest),
                other => {
                    plain.push(other);
                    continue;
                }
            };
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(part);
        }
        parts.push(Part::Text(plain));
        Self(parts)
    }

    fn write(&self, captures: &Captures<'_>, pattern: &Regex, out: &mut String) -> Result<(), String> {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) if !pattern.capture_names().flatten().any(|n| n == name) => {
                    return Err(format!("No group with name {{{name}}}"));
                }
                Part::Name(name) => out.push_str(captures.name(name).map_or("", |m| m.as_str())),
                Part::Number(digits) => write_number(digits, captures, out)?,
                Part::Wrong(reason) => return Err((*reason).to_owned()),
            }
        }
        Ok(())
    }
}

fn reference(rest: &mut std::str::Chars<'_>) -> Part {
    let text = rest.as_str();
    if let Some(braced) = text.strip_prefix('{') {
        let Some((name, after)) = braced.split_once('}') else {
            return Part::Wrong("named capturing group is missing trailing '}'");
        };
        *rest = after.chars();
        return Part::Name(name.to_owned());
    }
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return Part::Wrong("Illegal group reference");
    }
    *rest = text.get(digits.len()..).unwrap_or_default().chars();
    Part::Number(digits)
}

fn write_number(digits: &str, captures: &Captures<'_>, out: &mut String) -> Result<(), String> {
    let mut group = 0;
    let mut used = 0;
    for digit in digits.chars().filter_map(|d| d.to_digit(10)) {
        let next = group * 10 + digit as usize;
        if used > 0 && next >= captures.len() {
            break;
        }
        (group, used) = (next, used + 1);
    }
    if group >= captures.len() {
        return Err(format!("No group {group}"));
    }
    out.push_str(captures.get(group).map_or("", |m| m.as_str()));
    out.push_str(digits.get(used..).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, text: &str, replacement: &str) -> Result<String, String> {
        JavaRegex::new(pattern).unwrap().replace_first(text, &Replacement::new(replacement))
    }

    #[test]
    fn replacements_follow_java() {
        let cases = [
            ("(t)(o)(p)", "top", "$3$2$1", "pot"),
            ("(?<x>t).*", "top", "${x}-y", "t-y"),
            ("top", "top", r"a\$b", "a$b"),
            ("(t)op", "top", "$12", "t2"),
            (r"(.*)\.\Qa.b\E", "x.a.b", "$1", "x"),
            (r"\p{Alpha}+(?=-)", "top-1", "z", "z-1"),
            ("(x)?top", "top", "[$1]", "[]"),
        ];
        for (pattern, text, replacement, expected) in cases {
            assert_eq!(replaced(pattern, text, replacement).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn a_missing_group_or_a_broken_reference_is_refused_when_it_is_used() {
        for replacement in ["$1", "${x}", "$", "a\\", "${x"] {
            assert!(replaced("top", "top", replacement).is_err(), "{replacement}");
        }
    }

    #[test]
    fn look_around_back_references_and_flags_work() {
        for (pattern, text, expected) in
            [("to(?<=o)p", "top", true), (r"(a)\1", "aa", true), ("(?i)TOP", "top", true), ("to", "top", false)]
        {
            assert_eq!(JavaRegex::new(pattern).unwrap().matches(text), expected, "{pattern}");
        }
        assert!(JavaRegex::new("(").unwrap_err().starts_with("Invalid regex: "));
    }
}

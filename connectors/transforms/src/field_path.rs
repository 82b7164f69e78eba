//! Where a field stands: `field.syntax.version`.
use crate::error::config;
use elasticflow_api::Result;
use elasticflow_config::Validity;

/// For the key `field.syntax.version`.
pub(crate) const VERSIONS: Validity = Validity::Check(|text| match text.trim().to_ascii_uppercase().as_str() {
    "V1" | "V2" => Ok(()),
    _ => Err("String must be one of (case insensitive): V1, V2".to_owned()),
});

/// The names from the outermost to the innermost field.
///
/// V1 is one name, dots included. In V2 steps are separated by dots; a step in back-quotes may hold dots and ends at a
/// back-quote before a dot or the end.
///
/// # Errors
/// A back-quote without its partner.
pub(crate) fn steps(text: &str, version: &str) -> Result<Vec<String>> {
    if version.trim().eq_ignore_ascii_case("V1") {
        return Ok(vec![text.to_owned()]);
    }
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        let (step, after) = match rest.strip_prefix('`') {
            Some(quoted) => quoted_step(quoted).ok_or_else(|| incomplete(text, text.len() - rest.len()))?,
            None => match rest.split_once('.') {
                Some((step, after)) => (step.to_owned(), Some(after)),
                None => (rest.to_owned(), None),
            },
        };
        steps.push(step);
        match after {
            Some(after) => rest = after,
            None => return Ok(steps),
        }
    }
}

/// The step and what follows its dot; `None` when the quote is not closed.
fn quoted_step(quoted: &str) -> Option<(String, Option<&str>)> {
    let mut step = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('`')?;
        let ends = after.is_empty() || after.starts_with('.');
        match before.strip_suffix('\\') {
            Some(kept) if ends => {
                step.push_str(kept);
                step.push('`');
            }
            _ if ends => {
                step.push_str(before);
                return Some((step, after.strip_prefix('.')));
            }
            _ => {
                step.push_str(before);
                step.push('`');
            }
        }
        rest = after;
    }
}

fn incomplete(text: &str, position: usize) -> elasticflow_api::ConnectorError {
    config(format!(
        "Incomplete backtick pair in path: [{text}], consider adding a backslash before backtick at position {position} to escape it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_at_dots_outside_of_back_quotes() {
        let cases: [(&str, &[&str]); 5] = [
            ("a", &["a"]),
            ("a.b", &["a", "b"]),
            ("`a.b`.c", &["a.b", "c"]),
            ("a.`b.c`", &["a", "b.c"]),
            ("`a\\`.b`.c", &["a`.b", "c"]),
        ];
        for (text, expected) in cases {
            assert_eq!(steps(text, "v2").unwrap(), expected, "{text}");
        }
        assert_eq!(steps("a.b", "V1").unwrap(), ["a.b"]);
    }
}

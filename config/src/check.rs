//! Checks values against declared keys without their Rust types, in the words of Kafka.
use crate::key::{KeyDef, KeyType, Validity};
use crate::properties::Properties;
use crate::secret::{Secret, without_passwords};
use std::borrow::Cow;

/// Characters of a value that a message quotes.
const QUOTED_CHARS_MAX: usize = 500;

/// A declared key, its value in the form of its type, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Value to show: `None` when absent or not of the type; a secret is hidden.
    pub value: Option<String>,
    /// Messages.
    pub errors: Vec<String>,
}

/// Which names messages use for a key below a prefix.
///
/// Connect's own inconsistency, kept: messages about absence and type carry the full key in transforms and predicates,
/// those of further checks never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageNames<'a> {
    /// In messages about absence and type.
    pub typed: &'a str,
    /// In messages of further checks.
    pub checked: &'a str,
}

/// Checks one key below a prefix, or at the top with an empty prefix.
pub fn check_key(def: &KeyDef, properties: &Properties, names: MessageNames<'_>) -> Checked {
    let Some(text) = properties.value(def.name).or(def.default) else {
        let missing = format!("Missing required configuration \"{}\" which has no default value.", names.typed);
        return Checked { value: None, errors: if def.required { vec![missing] } else { Vec::new() } };
    };
    let shown = match def.kind {
        KeyType::Password => Cow::from(Secret::HIDDEN),
        _ => shortened(&without_passwords(text.trim())).into_owned().into(),
    };
    let invalid = |name: &str, reason: &str| format!("Invalid value {shown} for configuration {name}: {reason}");
    match normal_form(def.kind, text) {
        Err(reason) => Checked { value: None, errors: vec![invalid(names.typed, &reason)] },
        Ok(value) => {
            let errors = check_validity(def, &value).err().map(|reason| match def.kind {
                // Java's text form of a list.
                KeyType::List => {
                    let listed = list(&value).join(", ");
                    format!("Invalid value [{}] for configuration {}: {reason}", shortened(&listed), names.checked)
                }
                _ => invalid(names.checked, &reason),
            });
            Checked { value: Some(value_shown(def.kind, value)), errors: errors.into_iter().collect() }
        }
    }
}

/// A value as messages quote it: whole up to [`QUOTED_CHARS_MAX`], so that an answer does not grow with what was sent.
pub fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        None => text.into(),
        Some((end, _)) => format!("{}... ({} bytes)", text.get(..end).unwrap_or(""), text.len()).into(),
    }
}

fn value_shown(kind: KeyType, value: String) -> String {
    if kind == KeyType::Password { Secret::HIDDEN.to_owned() } else { without_passwords(&value).into_owned() }
}

/// A value in the form of its type: numbers and booleans canonical, lists without blanks, texts trimmed.
///
/// # Errors
/// The reason alone, in Kafka's words.
pub fn normal_form(kind: KeyType, text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    let not_a_number = |name: &str| format!("Not a number of type {name}");
    match kind {
        KeyType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok("true".to_owned()),
        KeyType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok("false".to_owned()),
        KeyType::Boolean => Err("Expected value to be either true or false".to_owned()),
        KeyType::Short => trimmed.parse::<i16>().map(|n| n.to_string()).map_err(|_| not_a_number("SHORT")),
        KeyType::Int => trimmed.parse::<i32>().map(|n| n.to_string()).map_err(|_| not_a_number("INT")),
        KeyType::Long => trimmed.parse::<i64>().map(|n| n.to_string()).map_err(|_| not_a_number("LONG")),
        KeyType::Double => trimmed.parse::<f64>().map(|_| trimmed.to_owned()).map_err(|_| not_a_number("DOUBLE")),
        KeyType::List => Ok(list(trimmed).join(",")),
        KeyType::String | KeyType::Class => Ok(trimmed.to_owned()),
        KeyType::Password => Ok(text.to_owned()),
    }
}

/// Elements of a LIST value: split at commas, trimmed; an empty text is an empty list.
pub fn list(text: &str) -> Vec<&str> {
    if text.trim().is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() }
}

pub(crate) fn check_validity(def: &KeyDef, text: &str) -> Result<(), String> {
    match def.valid {
        Validity::Any | Validity::OneOf([]) => Ok(()),
        Validity::Range(least, most) => match text.trim().parse::<f64>() {
            Ok(n) if n < least => Err(format!("Value must be at least {least}")),
            Ok(n) if n > most => Err(format!("Value must be no more than {most}")),
            _ => Ok(()),
        },
        Validity::OneOf(words) if words.iter().any(|w| w.eq_ignore_ascii_case(text.trim())) => Ok(()),
        Validity::OneOf(words) => Err(format!("String must be one of: {}", words.join(", "))),
        Validity::Check(function) => function(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(def: &KeyDef, value: &str) -> Checked {
        let names = MessageNames { typed: "full.key", checked: "key" };
        check_key(def, &Properties::default().with("key", value), names)
    }

    #[test]
    fn values_take_the_form_of_their_type() {
        for (kind, text, form) in [
            (KeyType::Int, " 5 ", "5"),
            (KeyType::Boolean, "TRUE", "true"),
            (KeyType::List, " a , b ,a", "a,b,a"),
            (KeyType::String, " x ", "x"),
        ] {
            assert_eq!(normal_form(kind, text).as_deref(), Ok(form));
        }
        for (kind, text) in
            [(KeyType::Int, "1.5"), (KeyType::Int, "2147483648"), (KeyType::Short, "40000"), (KeyType::Long, "")]
        {
            assert!(normal_form(kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_type_hides_the_value_and_a_refused_one_shows_it() {
        let def = KeyDef::new::<i32>("key", &["doc"]).valid(Validity::Range(1.0, 9.0));
        assert_eq!(check(&def, "x").errors, ["Invalid value x for configuration full.key: Not a number of type INT"]);
        assert_eq!(check(&def, "x").value, None);
        assert_eq!(check(&def, "0").errors, ["Invalid value 0 for configuration key: Value must be at least 1"]);
        assert_eq!(check(&def, "0").value.as_deref(), Some("0"));
    }

    #[test]
    fn a_secret_is_neither_shown_nor_named_in_a_message() {
        let def = KeyDef::new::<Secret>("key", &["doc"]).valid(Validity::Check(|_| Err("too short".to_owned())));
        let checked = check(&def, "hunter2");
        assert!(!format!("{checked:?}").contains("hunter2"), "{checked:?}");
    }
}

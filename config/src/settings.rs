//! Typed settings: declared once, parsed with every error at once.
use crate::check::check_validity;
use crate::key::{KeyDef, KeyType};
use crate::properties::Properties;
use crate::report::ValidationReport;
use crate::value::ConfigValue;
use std::borrow::Cow;

/// Settings of a plug-in, made by [`settings!`](crate::settings).
pub trait Settings: Sized + Send + Sync {
    /// Every key, in the order of the declaration.
    fn keys() -> &'static [KeyDef];

    /// Reads every key; `None` when one of them was reported as wrong.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Settings without a key.
impl Settings for () {
    fn keys() -> &'static [KeyDef] {
        &[]
    }
    fn read(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

/// Parses settings.
///
/// # Errors
/// Every problem, by key.
pub fn parse<S: Settings>(properties: &Properties) -> Result<S, ValidationReport> {
    let mut reader = Reader { properties, keys: S::keys(), report: ValidationReport::default() };
    match S::read(&mut reader) {
        Some(settings) if reader.report.is_ok() => Ok(settings),
        _ => Err(reader.report),
    }
}

/// Takes values from properties and collects what is wrong.
pub struct Reader<'a> {
    properties: &'a Properties,
    keys: &'static [KeyDef],
    report: ValidationReport,
}

impl Reader<'_> {
    /// The value of a declared key; `None` when it was reported as wrong.
    pub fn take<T: ConfigValue>(&mut self, key: &'static str) -> Option<T> {
        let def = self.keys.iter().find(|d| d.name == key)?;
        if let Some(prefix) = key.strip_suffix('*') {
            return T::from_prefix(self.properties.below(prefix).0);
        }
        let Some(text) = self.properties.value(key).or(def.default) else {
            if def.required {
                self.report.error(key, format!("Missing required configuration \"{key}\" which has no default value."));
            }
            return T::absent();
        };
        let outcome = T::read(text).and_then(|value| check_validity(def, text).map(|()| value));
        outcome.map_err(|reason| self.report.invalid(key, &shown(def, text), &reason)).ok()
    }
}

/// A secret's text never reaches a message.
fn shown<'a>(def: &KeyDef, text: &'a str) -> Cow<'a, str> {
    if def.kind == KeyType::Password { crate::Secret::HIDDEN.into() } else { crate::without_passwords(text) }
}

/// Declares typed settings.
///
/// Each field is `"key" => name: Type { attribute: value, ... }`; attributes are the builder methods of
/// [`KeyDef`](crate::KeyDef). A field without `default` is required unless its type is an `Option`.
///
/// ```
/// elasticflow_config::settings! {
///     /// Settings of a counter.
///     pub struct CounterConfig {
///         /// Topic to write to.
///         "topic" => topic: String { importance: High },
///         /// Records a second; 0 is unlimited.
///         "rate" => rate: u64 { default: "0", valid: Validity::Range(0.0, 1e9) },
///     }
/// }
/// use elasticflow_config::{Properties, parse};
/// let report = parse::<CounterConfig>(&Properties::default().with("rate", "-1")).unwrap_err();
/// assert_eq!(report.errors.len(), 2);
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $sdoc:literal])* $vis:vis struct $name:ident {
            $( $(#[doc = $doc:literal])+ $key:literal => $field:ident : $ty:ty { $( $attr:ident : $val:expr ),* $(,)? } ),* $(,)?
        }
    ) => {
        $(#[doc = $sdoc])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $( $(#[doc = $doc])+ pub $field: $ty, )*
        }

        impl $crate::Settings for $name {
            fn keys() -> &'static [$crate::KeyDef] {
                #[allow(unused_imports, clippy::enum_glob_use, clippy::wildcard_imports, reason = "names for the attributes of the declaration")]
                use $crate::{Importance::*, KeyType, Validity, Width};
                static KEYS: std::sync::LazyLock<Vec<$crate::KeyDef>> = std::sync::LazyLock::new(|| {
                    vec![ $( $crate::KeyDef::new::<$ty>($key, &[ $( $doc ),+ ]) $( .$attr($val) )* ),* ]
                });
                &KEYS
            }

            fn read(reader: &mut $crate::Reader<'_>) -> Option<Self> {
                // Every key is read before the first `?`, so that every problem is reported.
                $( let $field = reader.take::<$ty>($key); )*
                Some(Self { $( $field: $field?, )* })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Millis, Prefixed, Secret};

    settings! {
        /// For tests.
        struct Sample {
            /// A topic.
            "topic" => topic: String { importance: High },
            /// A number.
            "rate" => rate: u32 { default: "5", valid: Validity::Range(1.0, 10.0) },
            /// A secret.
            "password" => password: Option<Secret> {},
            /// A time.
            "wait.ms" => wait: Millis { default: "100" },
            /// The rest.
            "extra.*" => extra: Prefixed {},
        }
    }

    #[test]
    fn reads_values_defaults_and_prefixes() {
        let p = Properties::from_iter([("topic", "t"), ("extra.a", "1"), ("password", "x")]);
        let s: Sample = parse(&p).unwrap();
        assert_eq!((s.topic.as_str(), s.rate, s.wait), ("t", 5, Millis(100)));
        assert_eq!(s.extra.0.get("a").map(String::as_str), Some("1"));
        assert_eq!(s.password.unwrap().expose(), "x");
    }

    #[test]
    fn reports_every_problem_at_once_in_the_words_of_kafka() {
        let report = parse::<Sample>(&Properties::from_iter([("rate", "11"), ("wait.ms", "soon")])).unwrap_err();
        assert_eq!(report.errors["topic"], ["Missing required configuration \"topic\" which has no default value."]);
        assert_eq!(report.errors["rate"], ["Invalid value 11 for configuration rate: Value must be no more than 10"]);
        assert_eq!(
            report.errors["wait.ms"],
            ["Invalid value soon for configuration wait.ms: Not a number of type LONG"]
        );
    }
}

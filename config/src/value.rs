//! Types that a configuration value can have.
use crate::key::KeyType;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::time::Duration;

/// A type that is read from the text of a property. Error texts are Kafka's where Kafka has one.
pub trait ConfigValue: Sized {
    /// Kafka's name of the type.
    const KIND: KeyType;
    /// Whether an absent key is a value.
    const OPTIONAL: bool = false;

    /// Reads a value; the error is the reason alone.
    fn read(text: &str) -> Result<Self, String>;

    /// The value of an absent key without a default.
    fn absent() -> Option<Self> {
        None
    }

    /// The words that are allowed; empty where any text is.
    fn words() -> &'static [&'static str] {
        &[]
    }

    /// Builds the value from all keys of a prefix; only [`Prefixed`] does.
    fn from_prefix(_: BTreeMap<String, String>) -> Option<Self> {
        None
    }
}

macro_rules! numbers {
    ($($t:ty => $kind:ident, $name:literal);* $(;)?) => { $(
        impl ConfigValue for $t {
            const KIND: KeyType = KeyType::$kind;
            fn read(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| concat!("Not a number of type ", $name).to_owned())
            }
        }
    )* };
}

numbers! {
    i16 => Short, "SHORT"; u16 => Int, "INT"; i32 => Int, "INT"; u32 => Int, "INT"; i64 => Long, "LONG"; u64 => Long, "LONG";
    usize => Int, "INT"; f64 => Double, "DOUBLE";
}

impl ConfigValue for bool {
    const KIND: KeyType = KeyType::Boolean;
    fn read(text: &str) -> Result<Self, String> {
        match text.trim() {
            t if t.eq_ignore_ascii_case("true") => Ok(true),
            t if t.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err("Expected value to be either true or false".to_owned()),
        }
    }
}

impl ConfigValue for String {
    const KIND: KeyType = KeyType::String;
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.trim().to_owned())
    }
}

impl ConfigValue for Secret {
    const KIND: KeyType = KeyType::Password;
    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
}

impl ConfigValue for Vec<String> {
    const KIND: KeyType = KeyType::List;
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect())
    }
}

impl<T: ConfigValue> ConfigValue for Option<T> {
    const KIND: KeyType = T::KIND;
    const OPTIONAL: bool = true;
    fn read(text: &str) -> Result<Self, String> {
        T::read(text).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn words() -> &'static [&'static str] {
        T::words()
    }
}

/// A duration given in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl ConfigValue for Millis {
    const KIND: KeyType = KeyType::Long;
    fn read(text: &str) -> Result<Self, String> {
        u64::read(text).map(Self)
    }
}

/// Every key of a prefix, the prefix taken off; declared with a key that ends in `*`. Values are never printed: there may be
/// passwords among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Prefixed(pub BTreeMap<String, String>);

impl std::fmt::Debug for Prefixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ConfigValue for Prefixed {
    const KIND: KeyType = KeyType::String;
    const OPTIONAL: bool = true;
    fn read(_: &str) -> Result<Self, String> {
        Err("a prefix takes no value of its own".to_owned())
    }
    fn from_prefix(keys: BTreeMap<String, String>) -> Option<Self> {
        Some(Self(keys))
    }
}

/// Declares an enum whose variants are words of a configuration value, compared without regard to case.
///
/// ```
/// elasticflow_config::choice! {
///     /// When to read what exists.
///     pub enum Mode {
///         /// Once.
///         Initial = "initial",
///         /// Never.
///         Never = "never",
///     }
/// }
/// use elasticflow_config::ConfigValue;
/// assert_eq!(Mode::read("INITIAL"), Ok(Mode::Initial));
/// ```
#[macro_export]
macro_rules! choice {
    ( $(#[$meta:meta])* $vis:vis enum $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $word:literal ),+ $(,)? } ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $( $(#[$vmeta])* $variant, )+ }

        impl $name {
            /// The word of the configuration.
            pub fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::ConfigValue for $name {
            const KIND: $crate::KeyType = $crate::KeyType::String;
            fn read(text: &str) -> Result<Self, String> {
                let text = text.trim();
                $( if text.eq_ignore_ascii_case($word) { return Ok(Self::$variant); } )+
                Err(format!("String must be one of: {}", <Self as $crate::ConfigValue>::words().join(", ")))
            }
            fn words() -> &'static [&'static str] {
                &[ $( $word, )+ ]
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_below_a_prefix_is_printed_without_its_values() {
        let keys = Prefixed([("password".to_owned(), "hunter2".to_owned())].into());
        assert_eq!(format!("{keys:?}"), r#"{"password"}"#);
    }
}

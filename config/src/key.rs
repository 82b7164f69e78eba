//! The declaration of one configuration key, in the terms of Kafka Connect's validation answer.
use crate::value::ConfigValue;

/// Kafka's type names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kafka's")]
pub enum KeyType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl KeyType {
    /// As in the `type` field of an answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// How much a key matters to a reader of the option table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kafka's")]
pub enum Importance {
    High,
    Medium,
    Low,
}

impl Importance {
    /// As in the `importance` field of an answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// Width of the input field in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kafka's")]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

impl Width {
    /// As in the `width` field of an answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}

/// What a value must satisfy beside its type.
#[derive(Debug, Clone, Copy)]
pub enum Validity {
    /// Nothing more.
    Any,
    /// A number from the first to the second, both included.
    Range(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// What the function says; the error is the reason alone, such as `must not be empty`.
    Check(fn(&str) -> Result<(), String>),
}

/// One configuration key: everything that answers, option tables and the parser know of it.
#[derive(Debug, Clone)]
pub struct KeyDef {
    /// Name as in JSON; a name that ends in `*` takes every key with that prefix.
    pub name: &'static str,
    /// What it does, with unit and range.
    pub doc: String,
    /// Kafka's type.
    pub kind: KeyType,
    /// Text of the default; `None` with `required == false` is an absent value.
    pub default: Option<&'static str>,
    /// Whether a value must be given.
    pub required: bool,
    /// Rank in the option table.
    pub importance: Importance,
    /// Section of the option table.
    pub group: &'static str,
    /// Place within the section of a form; `None` counts from 0 in the order of the declaration.
    pub order: Option<i32>,
    /// Name in a form.
    pub display: &'static str,
    /// Width in a form.
    pub width: Width,
    /// Keys that change with this one.
    pub dependents: &'static [&'static str],
    /// What a value must satisfy.
    pub valid: Validity,
    /// Left out of option tables and forms.
    pub hidden: bool,
}

impl KeyDef {
    /// Section of keys that name none: a heading of option tables, no section at all in Connect's answers.
    pub const NO_GROUP: &str = "General";

    /// A key of the type `T`: required, unless `T` is an `Option`.
    pub fn new<T: ConfigValue>(name: &'static str, doc_lines: &[&str]) -> Self {
        let doc = doc_lines.iter().map(|l| l.trim()).collect::<Vec<_>>().join(" ");
        let words = T::words();
        Self {
            name,
            doc: doc.trim().to_owned(),
            kind: T::KIND,
            default: None,
            required: !T::OPTIONAL,
            importance: Importance::Medium,
            group: Self::NO_GROUP,
            order: None,
            display: name,
            width: Width::None,
            dependents: &[],
            valid: if words.is_empty() { Validity::Any } else { Validity::OneOf(words) },
            hidden: false,
        }
    }

    /// Gives a default, so that the key need not be set.
    #[must_use]
    pub fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self.required = false;
        self
    }

    /// Sets the rank.
    #[must_use]
    pub fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }

    /// Sets the section of the option table.
    #[must_use]
    pub fn group(mut self, group: &'static str) -> Self {
        self.group = group;
        self
    }

    /// Sets the place within the section of a form.
    #[must_use]
    pub fn order(mut self, order: i32) -> Self {
        self.order = Some(order);
        self
    }

    /// Sets the name shown in forms.
    #[must_use]
    pub fn display(mut self, display: &'static str) -> Self {
        self.display = display;
        self
    }

    /// Sets the width in forms.
    #[must_use]
    pub fn width(mut self, width: Width) -> Self {
        self.width = width;
        self
    }

    /// Names the keys that change with this one.
    #[must_use]
    pub fn dependents(mut self, keys: &'static [&'static str]) -> Self {
        self.dependents = keys;
        self
    }

    /// Sets what a value must satisfy.
    #[must_use]
    pub fn valid(mut self, valid: Validity) -> Self {
        self.valid = valid;
        self
    }

    /// Overrides Kafka's type, such as `CLASS` for a text that names a plug-in.
    #[must_use]
    pub fn kind(mut self, kind: KeyType) -> Self {
        self.kind = kind;
        self
    }

    /// Leaves the key out of option tables and forms.
    #[must_use]
    pub fn hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// Whether this declaration covers the key of a configuration.
    pub fn covers(&self, key: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => self.name == key,
        }
    }
}

//! Connect's answer to a validation request.
use crate::key::{KeyDef, KeyType};
use crate::secret::Secret;
use serde::Serialize;

/// What a configuration looks like to its validation: every key with its definition, value and errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigInfos {
    /// `connector.class` as posted.
    pub name: String,
    /// Number of messages, not of keys.
    pub error_count: usize,
    /// Sections in the order of a form.
    pub groups: Vec<String>,
    /// Every key.
    pub configs: Vec<ConfigInfo>,
    /// What Connect's answer has no place for.
    #[serde(skip_serializing_if = "Remarks::is_empty")]
    pub elasticflow: Remarks,
}

/// One key of a [`ConfigInfos`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigInfo {
    /// `None` where an error belongs to a key that no definition covers.
    pub definition: Option<KeyInfo>,
    /// Value and errors.
    pub value: ValueInfo,
}

/// Definition of a key in Connect's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the members are Connect's")]
pub struct KeyInfo {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub required: bool,
    pub default_value: Option<String>,
    pub importance: &'static str,
    pub documentation: String,
    pub group: Option<String>,
    pub order: i32,
    /// The same as `order`: Connect 4.3 renamed the member, older servers and most clients use `order`.
    pub order_in_group: i32,
    pub width: &'static str,
    pub display_name: String,
    pub dependents: Vec<String>,
}

/// Value of a key in Connect's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the members are Connect's")]
pub struct ValueInfo {
    pub name: String,
    pub value: Option<String>,
    pub recommended_values: Vec<String>,
    pub errors: Vec<String>,
    pub visible: bool,
}

/// Additions to Connect's answer, under one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Remarks {
    /// What the connector promises with this configuration on this worker: `exactly-once` or `at-least-once`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guarantee: Option<&'static str>,
    /// What is odd but no error, such as an unknown key.
    pub warnings: Vec<Remark>,
}

/// A remark on one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Which key.
    pub key: String,
    /// What is odd and what to do.
    pub message: String,
}

impl Remarks {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.guarantee.is_none() && self.warnings.is_empty()
    }
}

impl KeyInfo {
    /// Definition of a declared key under its full name.
    ///
    /// Connect knows form data (section and order) of few keys; a key without them has no section, order -1. A key
    /// declared without a section of its own is such a key.
    pub fn new(name: &str, def: &KeyDef) -> Self {
        let sectioned = def.group != KeyDef::NO_GROUP;
        let order = if sectioned { def.order.unwrap_or(0) } else { -1 };
        Self {
            name: name.to_owned(),
            kind: def.kind.name(),
            required: def.required,
            default_value: def.default.map(|text| shown(def, text)),
            importance: def.importance.name(),
            documentation: if def.doc.is_empty() { def.name.to_owned() } else { def.doc.clone() },
            group: sectioned.then(|| def.group.to_owned()),
            order,
            order_in_group: order,
            width: def.width.name(),
            display_name: def.display.to_owned(),
            dependents: def.dependents.iter().map(|&d| d.to_owned()).collect(),
        }
    }

    /// Puts the key into a section.
    #[must_use]
    pub fn placed(mut self, group: &str, order: i32) -> Self {
        self.group = Some(group.to_owned());
        self.order = order;
        self.order_in_group = order;
        self
    }
}

/// Definitions of a plug-in's own keys: where a section gives no order, keys count from 0 within it.
pub fn key_infos(keys: &[KeyDef]) -> Vec<KeyInfo> {
    let listed = keys.iter().filter(|k| !k.hidden && !k.name.ends_with('*'));
    let mut infos: Vec<KeyInfo> = Vec::new();
    for def in listed {
        let mut info = KeyInfo::new(def.name, def);
        if info.group.is_some() && def.order.is_none() {
            let before = infos.iter().filter(|i| i.group == info.group).count();
            info.order = i32::try_from(before).unwrap_or(i32::MAX);
            info.order_in_group = info.order;
        }
        infos.push(info);
    }
    infos
}

fn shown(def: &KeyDef, text: &str) -> String {
    if def.kind == KeyType::Password { Secret::HIDDEN.to_owned() } else { text.to_owned() }
}

impl ConfigInfos {
    /// Every message, in the order of the keys.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.configs.iter().flat_map(|c| c.value.errors.iter().map(String::as_str))
    }

    /// Key and message of every error, in the order of the keys.
    pub fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        self.configs.iter().flat_map(|c| c.value.errors.iter().map(|e| (c.value.name.as_str(), e.as_str())))
    }
}

//! Option tables of reference pages.
use crate::key::{KeyDef, KeyType};
use crate::secret::Secret;
use std::fmt::Write;

/// A Markdown table of the keys, one per section in the order of their first key; hidden keys are left out.
pub fn option_table(keys: &[KeyDef]) -> String {
    let shown: Vec<&KeyDef> = keys.iter().filter(|k| !k.hidden).collect();
    let mut groups: Vec<&str> = Vec::new();
    for key in &shown {
        if !groups.contains(&key.group) {
            groups.push(key.group);
        }
    }
    let mut text = String::new();
    for group in &groups {
        if groups.len() > 1 {
            let _ = writeln!(text, "### {group}\n");
        }
        text.push_str("| key | type | default | importance | meaning |\n|---|---|---|---|---|\n");
        for key in shown.iter().filter(|k| k.group == *group) {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                key.name,
                type_words(key),
                default_words(key),
                key.importance.name().to_lowercase(),
                cell(&key.doc)
            );
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn type_words(key: &KeyDef) -> String {
    let kind = key.kind.name().to_lowercase();
    match key.valid {
        crate::Validity::OneOf(words) => format!("{kind}: {}", words.join(", ")),
        crate::Validity::Range(least, most) if most < f64::from(i32::MAX) => format!("{kind} {least} to {most}"),
        crate::Validity::Range(least, _) => format!("{kind} from {least}"),
        crate::Validity::Any | crate::Validity::Check(_) => kind,
    }
}

fn default_words(key: &KeyDef) -> String {
    match key.default {
        Some(_) if key.kind == KeyType::Password => format!("`{}`", Secret::HIDDEN),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{}`", cell(text)),
        None if key.required => "**required**".to_owned(),
        None => "none".to_owned(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use crate::Settings;

    crate::settings! {
        /// For tests.
        struct Sample {
            /// A topic.
            /// With a | bar.
            "topic" => topic: String { importance: High },
            /// Records at once.
            "batch.size" => batch: u32 { default: "5", valid: Validity::Range(1.0, 10.0) },
            /// Not for readers.
            "secret.door" => door: Option<String> { hidden: true },
            /// Who.
            "password" => password: Option<crate::Secret> { group: "Login" },
        }
    }

    #[test]
    fn a_table_has_a_row_per_key_and_a_heading_per_section() {
        let expected = "### General\n\n| key | type | default | importance | meaning |\n|---|---|---|---|---|\n\
            | `topic` | string | **required** | high | A topic. With a \\| bar. |\n\
            | `batch.size` | int 1 to 10 | `5` | medium | Records at once. |\n\n\
            ### Login\n\n| key | type | default | importance | meaning |\n|---|---|---|---|---|\n\
            | `password` | password | none | medium | Who. |\n";
        assert_eq!(super::option_table(Sample::keys()), expected);
        let _ = |s: Sample| (s.topic, s.batch, s.door, s.password);
    }
}

//! Names of files and directories, made safe: a topic or a field decides part of a path, never where it leads.
use crate::config::SinkConfig;
use twox_hash::XxHash3_64;

/// Longest component of a path on common file systems.
const COMPONENT_MAX: usize = 255;
/// Most bytes of the topic in a file's name, so that partition, offsets and suffix fit beside it.
const TOPIC_MAX: usize = 180;
/// Directory of everything that is not finished.
pub(crate) const STAGING: &str = ".elasticflow";

/// A text as one component of a path: what is not a letter, a digit or one of `._=-` is percent-encoded, a dot at the
/// beginning too. A longer one than `max` bytes is cut and ends in a hash of the whole.
pub(crate) fn component(text: &str, max: usize) -> String {
    let mut name = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || b"_=-".contains(&byte) || (byte == b'.' && at > 0);
        if is_plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    if name.len() > max {
        name.truncate(max.saturating_sub(17));
        name.push_str(&format!("-{:016x}", XxHash3_64::oneshot(text.as_bytes())));
    }
    name
}

/// A component of full length.
pub(crate) fn directory(text: &str) -> String {
    component(text, COMPONENT_MAX)
}

/// Directory of a topic's files below `output.path`; `folder` is what the partitioner says.
pub(crate) fn final_directory(config: &SinkConfig, topic: &str, folder: &str) -> String {
    let parts = [config.topics_dir.trim_matches('/'), &directory(topic), folder];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/")
}

/// Name of a finished file.
pub(crate) fn final_name(
    config: &SinkConfig,
    topic: &str,
    partition: i32,
    offsets: (i64, i64),
    suffix: &str,
) -> String {
    let (delim, pad) = (&config.delim, config.pad);
    let topic = component(topic, TOPIC_MAX);
    let (first, last) = offsets;
    format!("{topic}{delim}{partition}{delim}{first:0pad$}{delim}{last:0pad$}.{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_one_visible_component() {
        for (text, name) in [
            ("orders", "orders"),
            ("a.b-c_d=1", "a.b-c_d=1"),
            ("..", "%2E."),
            (".elasticflow", "%2Eelasticflow"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            ("a\0b\n", "a%00b%0A"),
            ("ä", "%C3%A4"),
            ("", "%"),
        ] {
            assert_eq!(directory(text), name);
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let (a, b) = (directory(&"x".repeat(300)), directory(&"x".repeat(301)));
        assert!(a.len() == COMPONENT_MAX && b.len() == COMPONENT_MAX && a != b, "{a} {b}");
    }
}

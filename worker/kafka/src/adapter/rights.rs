//! Which right a principal lacks, from what was being done when a broker refused, and the command that grants it.
use crate::native::Code;

/// What is said of a topic that was created by a principal who may not look at it.
pub(super) const NOT_SHOWN: &str = "the topic is there, and may not be described";

/// Something that rights are given on.
#[derive(Clone, Copy)]
enum Resource {
    Topic,
    Group,
    TransactionalId,
    Cluster,
}

impl Resource {
    fn of(code: Code) -> Option<Self> {
        match code {
            Code::TopicAuthorizationFailed => Some(Self::Topic),
            Code::GroupAuthorizationFailed => Some(Self::Group),
            Code::TransactionalIdAuthorizationFailed => Some(Self::TransactionalId),
            Code::ClusterAuthorizationFailed => Some(Self::Cluster),
            _ => None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Group => "consumer group",
            Self::TransactionalId => "transactional id",
            Self::Cluster => "the cluster",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Topic => "--topic",
            Self::Group => "--group",
            Self::TransactionalId => "--transactional-id",
            Self::Cluster => "--cluster",
        }
    }

    /// What is needed for what was being done; whoever may write may describe as well.
    fn operation(self, doing: &str, said: &str) -> &'static str {
        let is = |words: &[&str]| words.iter().any(|word| doing.contains(word));
        match self {
            Self::Topic if said == NOT_SHOWN => "Describe",
            Self::Topic if is(&["cannot create topic"]) => "Create",
            Self::Topic if is(&["configuration of topic"]) => "DescribeConfigs",
            Self::Topic if is(&["cannot write", "was not delivered", "transaction"]) => "Write",
            Self::Topic if is(&["cannot list", "end offsets"]) => "Describe",
            Self::Topic => "Read",
            Self::Group if is(&["cannot delete"]) => "Delete",
            Self::Group if is(&["cannot read the offsets"]) => "Describe",
            Self::Group => "Read",
            Self::TransactionalId => "Write",
            Self::Cluster if is(&["cannot create topic"]) => "Create",
            Self::Cluster if is(&["cannot list", "cluster's id"]) => "Describe",
            Self::Cluster => "IdempotentWrite",
        }
    }
}

/// What to do about a refusal for want of a right; `None` for any other one. `said` are the library's words.
pub(super) fn advice(code: Code, doing: &str, said: &str) -> Option<String> {
    let resource = Resource::of(code)?;
    let operation = resource.operation(doing, said);
    let name = match resource {
        Resource::Topic => named(doing, "topic").or_else(|| unavailable(said)),
        Resource::Group => named(doing, "consumer group"),
        Resource::TransactionalId => named(doing, "transactional id").or_else(|| named(doing, "transaction of")),
        Resource::Cluster => None,
    };
    let (of, argument) = match (resource, name) {
        (Resource::Cluster, _) => (String::new(), String::new()),
        (_, Some(name)) => (format!(" `{name}`"), format!(" {}", quoted(name))),
        (_, None) => (String::new(), " NAME".to_owned()),
    };
    let (words, option) = (resource.words(), resource.option());
    Some(format!(
        "the principal of this client has no right {} on {words}{of}; grant it: kafka-acls.sh --bootstrap-server BROKER --add \
         --allow-principal User:PRINCIPAL --operation {operation} {option}{argument}",
        operation.to_uppercase()
    ))
}

/// The name in backticks that stands behind a word.
fn named<'a>(doing: &'a str, word: &str) -> Option<&'a str> {
    let (_, rest) = doing.split_once(&format!("{word} `"))?;
    rest.split('`').next().filter(|name| !name.is_empty())
}

/// The topic in "Subscribed topic not available: NAME: reason".
fn unavailable(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("topic not available: ")?;
    rest.split(": ").next().filter(|name| !name.is_empty())
}

/// For a shell.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_its_resource_and_the_command_are_named() {
        let cases = [
            (
                Code::TopicAuthorizationFailed,
                "cannot create topic `a`",
                NOT_SHOWN,
                "DESCRIBE on topic `a`",
                "Describe --topic a",
            ),
            (
                Code::TopicAuthorizationFailed,
                "cannot write to topic `a`",
                "",
                "WRITE on topic `a`",
                "--operation Write --topic a",
            ),
            (
                Code::TopicAuthorizationFailed,
                "cannot create topic `a`",
                "",
                "CREATE on topic `a`",
                "--operation Create --topic a",
            ),
            (
                Code::TopicAuthorizationFailed,
                "cannot read topic `a`",
                "",
                "READ on topic `a`",
                "--operation Read --topic a",
            ),
            (
                Code::TopicAuthorizationFailed,
                "cannot consume as a member of consumer group `g`",
                "Subscribed topic not available: t.x: Broker: Topic authorization failed",
                "READ on topic `t.x`",
                "--operation Read --topic t.x",
            ),
            (
                Code::GroupAuthorizationFailed,
                "cannot consume as a member of consumer group `it's`",
                "",
                "READ on consumer group `it's`",
                r"--operation Read --group 'it'\''s'",
            ),
            (
                Code::TransactionalIdAuthorizationFailed,
                "cannot initialise transactional id `w-c-0`",
                "",
                "WRITE on transactional id `w-c-0`",
                "--operation Write --transactional-id w-c-0",
            ),
            (
                Code::ClusterAuthorizationFailed,
                "cannot write to topic `a`",
                "",
                "on the cluster",
                "--operation IdempotentWrite --cluster",
            ),
        ];
        for (code, doing, said, right, command) in cases {
            let text = advice(code, doing, said).unwrap();
            assert!(text.contains(right) && text.ends_with(command), "{doing}: {text}");
        }
        assert_eq!(advice(Code::LeaderNotAvailable, "cannot write to topic `a`", ""), None);
    }
}

//! What can go wrong with the destination as a whole. A single bad record is a `RecordError` instead.
use elasticflow_api::{ConnectorError, ErrorClass};
use std::time::Duration;

/// How long the destination gets when its disks are full.
const BLOCKED_WAIT: Duration = Duration::from_secs(30);

/// An error of the sink.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer, from any node, for longer than the sink waits.
    #[error("{url} does not answer; waited {waited_s} s, nothing is lost, the records are sent again")]
    Unreachable {
        /// The node asked last.
        url: String,
        /// Seconds waited.
        waited_s: u64,
        /// The last attempt's error.
        #[source]
        cause: Option<reqwest::Error>,
    },
    /// Answers of overload for longer than the sink tries.
    #[error("{url} is overloaded (status {status}) after {attempts} attempts; the records are sent again later")]
    Overloaded {
        /// The node.
        url: String,
        /// Last status, of the request or of an item.
        status: u16,
        /// How often it was tried.
        attempts: u32,
    },
    /// The index takes no writes.
    #[error(
        "index {index} is blocked for writes: {reason}; waiting. Free disk space at the server or remove the block"
    )]
    Blocked {
        /// The index.
        index: String,
        /// The server's words.
        reason: String,
    },
    /// The server refuses the request.
    #[error("{url} answers {status} {kind}: {reason}")]
    Refused {
        /// The node.
        url: String,
        /// HTTP status.
        status: u16,
        /// The server's error type.
        kind: String,
        /// The server's words, cut where it quotes.
        reason: String,
    },
    /// Too old, too new, or something else.
    #[error("{product} {version} at {url} is not supported (Elasticsearch 6.8 to 9, OpenSearch 1 to 3)")]
    Unsupported {
        /// Name of the product.
        product: String,
        /// Its version.
        version: String,
        /// The node.
        url: String,
    },
    /// An answer that is no bulk answer.
    #[error(
        "{url}: bulk answer cannot be understood ({detail}); check that the address is Elasticsearch's own and not a proxy's"
    )]
    NotUnderstood {
        /// The node.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The index does not exist and may not be created.
    #[error("index {index} does not exist and index.auto.create is false; create it or set index.auto.create=true")]
    IndexMissing {
        /// The index.
        index: String,
    },
    /// A topic has no valid index name.
    #[error("topic {topic} gives the index name {name:?}, which is not valid: {reason}; set index.name.format")]
    IndexName {
        /// The topic.
        topic: String,
        /// What came out.
        name: String,
        /// Why it will not do.
        reason: &'static str,
    },
    /// Two topics fall on one index.
    #[error(
        "topics {first} and {second} both map to index {index}, where their versions would hide each other's records; rename one of them or use one connector with its own index.name.format for each"
    )]
    Collision {
        /// A topic.
        first: String,
        /// The other one.
        second: String,
        /// Their index.
        index: String,
    },
    /// The name that readers use is an index.
    #[error(
        "{alias} is an index, not an alias; atomic batches need an alias: rename the index, or set index.name.format"
    )]
    NoAlias {
        /// The name.
        alias: String,
    },
    /// The name of a data stream belongs to something else.
    #[error("{name} is {found}, not a data stream; choose another data.stream.dataset, or remove what has its name")]
    NoStream {
        /// The name.
        name: String,
        /// What it is.
        found: String,
    },
    /// A batch without anything to publish.
    #[error(
        "nothing of batch {batch} is staged; delete the offsets of the stopped connector, and the batch is staged again"
    )]
    NothingStaged {
        /// The batch.
        batch: String,
    },
    /// A setting that parses and yet will not do.
    #[error("{0}")]
    Setting(String),
    /// The lease is gone.
    #[error("the task's lease has passed to another worker")]
    Fenced,
    /// A sender ended without an answer.
    #[error("a request of the sink ended unexpectedly: {0}")]
    Lost(String),
}

impl Error {
    /// What the runtime does about it. Exhaustive on purpose: a new variant must choose.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. } | Self::Overloaded { .. } => ErrorClass::Transient { retry_after: None },
            Self::Blocked { .. } => ErrorClass::Transient { retry_after: Some(BLOCKED_WAIT) },
            Self::Refused { .. }
            | Self::Unsupported { .. }
            | Self::IndexMissing { .. }
            | Self::IndexName { .. }
            | Self::Collision { .. }
            | Self::NoAlias { .. }
            | Self::NoStream { .. }
            | Self::Setting(_) => ErrorClass::Config,
            Self::NotUnderstood { .. } | Self::NothingStaged { .. } => ErrorClass::Definite,
            Self::Fenced => ErrorClass::Fenced,
            Self::Lost(_) => ErrorClass::Bug,
        }
    }

    /// Stable code with a documentation page.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "ES-0001",
            Self::Overloaded { .. } => "ES-0002",
            Self::Refused { .. } => "ES-0010",
            Self::Unsupported { .. } => "ES-0011",
            Self::NoAlias { .. } => "ES-0013",
            Self::IndexMissing { .. } => "ES-0014",
            Self::IndexName { .. } => "ES-0015",
            Self::Collision { .. } => "ES-0016",
            Self::Setting(_) => "ES-0017",
            Self::NothingStaged { .. } => "ES-0018",
            Self::NoStream { .. } => "ES-0019",
            Self::Blocked { .. } => "ES-0020",
            Self::NotUnderstood { .. } => "ES-0030",
            Self::Fenced => "ES-0040",
            Self::Lost(_) => "ES-0041",
        }
    }
}

impl From<Error> for ConnectorError {
    fn from(error: Error) -> Self {
        Self { class: error.class(), code: error.code(), message: error.to_string(), source: Some(Box::new(error)) }
    }
}

//! Why a broker cannot start.
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why [`Broker::start`](crate::Broker::start) fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured address can be reached from other machines.
    #[error(
        "listen address {0} is not a loopback address: the development broker has no authentication and keeps one copy \
         of the data; use 127.0.0.1 here, and a real Kafka cluster for anything that other machines connect to"
    )]
    NotLoopback(SocketAddr),
    /// The address is taken or cannot be bound.
    #[error("cannot listen on {address}: set another port, or 0 for any free one")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Another broker works in the folder.
    #[error("folder {} is in use by another development broker: stop that one, or choose another folder", .0.display())]
    FolderInUse(PathBuf),
    /// The data folder cannot be created, read or written.
    #[error("cannot use folder {} for the broker's data: check that it exists, is writable and has space", .dir.display())]
    Folder {
        /// The configured folder.
        dir: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// A line in the middle of the metadata journal is not one that this version writes.
    #[error(
        "line {line} of {} cannot be read ({problem}): the folder was written by another version or is damaged; \
         move it away to start empty", .path.display()
    )]
    Journal {
        /// The journal file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

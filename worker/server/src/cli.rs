//! The command line.
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Streams a database's changes into a search index, exactly once: Kafka Connect's REST and formats in one binary.
#[derive(Debug, Parser)]
#[command(name = "elasticflow", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a worker against an existing Kafka
    Worker(WorkerArgs),
    /// Runs an embedded development broker and a worker in one process; for development only
    #[cfg(feature = "dev-broker")]
    Dev(DevArgs),
    /// Runs the embedded development broker alone; for development only
    #[cfg(feature = "dev-broker")]
    Broker(BrokerArgs),
    /// Shows records flow through an embedded broker into SQLite and files, and verifies them
    #[cfg(feature = "dev-broker")]
    Demo(DemoArgs),
    /// Lists the plug-ins, or the options of one
    Plugins(PluginsArgs),
    /// Checks a connector's JSON or properties file without starting anything
    Validate(ValidateArgs),
    /// Prints the version
    Version,
}

/// Of `worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Worker properties, such as an existing connect-distributed.properties
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Serves REST on addresses other than loopback without authentication
    #[arg(long)]
    pub insecure: bool,
}

/// Of `dev`.
#[cfg(feature = "dev-broker")]
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Port of the REST endpoint on 127.0.0.1
    #[arg(long, default_value_t = 8083)]
    pub port: u16,
    /// Port of the embedded broker on 127.0.0.1
    #[arg(long, default_value_t = 9092)]
    pub broker_port: u16,
    /// Folder of the broker's data; without it, everything is in memory and gone at the end
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Of `broker`.
#[cfg(feature = "dev-broker")]
#[derive(Debug, Args)]
pub struct BrokerArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9092)]
    pub port: u16,
    /// Folder of the data; without it, everything is in memory and gone at the end
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Of `demo`.
#[cfg(feature = "dev-broker")]
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Ends after the first verification; exit code 1 if it fails
    #[arg(long)]
    pub exit: bool,
    /// Folder of the demo's files; emptied at start
    #[arg(long, value_name = "DIR", default_value = ".demo")]
    pub dir: PathBuf,
}

/// Of `plugins`.
#[derive(Debug, Args)]
pub struct PluginsArgs {
    /// Prints the option table of a plug-in as Markdown
    #[arg(long, value_name = "CLASS")]
    pub options: Option<String>,
    /// Prints the list as JSON, as GET /connector-plugins?connectorsOnly=false does
    #[arg(long, conflicts_with = "options")]
    pub json: bool,
}

/// Of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Connector configuration: the JSON that would be posted, or properties
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

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
    /// Lists the connectors of a worker group with their states
    List(ListArgs),
    /// Creates a connector from a file; fails if there is one of that name
    Create(CreateArgs),
    /// Creates or changes connectors so that they are as files say; does nothing where they are already
    Apply(ApplyArgs),
    /// Shows the state of connectors and their tasks, and why what failed has failed
    Status(StatusArgs),
    /// Shows, alters or forgets the committed offsets of a connector
    Offsets(OffsetsArgs),
    /// Lists a connector's dead letters with their reasons; puts them again or aside
    Errors(ErrorsArgs),
    /// Pauses connectors: tasks keep their place and do nothing
    Pause(NamesArgs),
    /// Lets paused or stopped connectors run
    Resume(NamesArgs),
    /// Stops connectors: their tasks end, offsets stay
    Stop(NamesArgs),
    /// Restarts connectors and their tasks
    Restart(RestartArgs),
    /// Deletes connectors; offsets and consumer groups stay
    Delete(NamesArgs),
    /// Lists the workers of the group: who leads, who is drained, how much each holds
    Workers(ListArgs),
    /// Moves the tasks of workers to the others, for maintenance; they stay drained until they are undrained
    Drain(WorkersArgs),
    /// Lets drained workers have tasks again
    Undrain(WorkersArgs),
    /// Shows or sets the log levels of a worker
    Logs(LogsArgs),
    /// Prints a completion script for a shell
    Completion(CompletionArgs),
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

/// Which worker is spoken to, and as whom. Any worker of a group answers for all of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// URL of a worker's REST endpoint
    #[arg(long, value_name = "URL", env = "ELASTICFLOW_URL", default_value = "http://127.0.0.1:8083")]
    pub url: String,
    /// User and password, as user:password
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        env = "ELASTICFLOW_USER",
        hide_env_values = true,
        conflicts_with = "token"
    )]
    pub user: Option<String>,
    /// Bearer token
    #[arg(long, value_name = "TOKEN", env = "ELASTICFLOW_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Certificates of the authorities that are trusted for https, as PEM
    #[arg(long, value_name = "FILE", env = "ELASTICFLOW_CA")]
    pub ca: Option<PathBuf>,
    /// Own certificate and private key for mutual TLS, as PEM
    #[arg(long, value_name = "FILE", env = "ELASTICFLOW_CERTIFICATE")]
    pub certificate: Option<PathBuf>,
    /// How results are printed
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns for people
    Table,
    /// JSON for programs
    Json,
}

/// Of `list` and `workers`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Connector configuration: the JSON that would be posted, or properties
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Files, or folders whose .json and .properties files are taken
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Says what would be done, and does nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Connectors; all without one
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `offsets`.
#[derive(Debug, Args)]
pub struct OffsetsArgs {
    /// Connector
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Alters them to those of a JSON file, as PATCH /connectors/NAME/offsets takes it; the connector must be stopped
    #[arg(long, value_name = "FILE", conflicts_with = "reset")]
    pub set: Option<PathBuf>,
    /// Forgets all of them; the connector must be stopped
    #[arg(long)]
    pub reset: bool,
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `errors`.
#[derive(Debug, Args)]
pub struct ErrorsArgs {
    /// Connector
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Only those with this id; may be given several times
    #[arg(long = "id", value_name = "ID", conflicts_with = "filter")]
    pub ids: Vec<String>,
    /// Only those of which this holds, as in --filter field=amount; may be given several times. Known are stage, kind,
    /// field, code, state, since and before
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub filter: Vec<(String, String)>,
    /// Most letters that are listed; 500 is the most
    #[arg(long, default_value_t = 100, conflicts_with_all = ["replay", "discard"])]
    pub limit: usize,
    /// Puts them again through the sink
    #[arg(long, conflicts_with = "discard")]
    pub replay: bool,
    /// A JSON merge patch of the value, applied before they are put again
    #[arg(long, value_name = "FILE", requires = "replay")]
    pub patch: Option<PathBuf>,
    /// Puts them aside
    #[arg(long)]
    pub discard: bool,
    /// Says what would be done, and does nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `key=value`.
fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as state=open")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Of `drain` and `undrain`.
#[derive(Debug, Args)]
pub struct WorkersArgs {
    /// Workers, as `elasticflow workers` names them
    #[arg(value_name = "HOST:PORT", required = true)]
    pub workers: Vec<String>,
    /// The worker that is asked
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `pause`, `resume`, `stop`, `delete`.
#[derive(Debug, Args)]
pub struct NamesArgs {
    /// Connectors
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Connectors
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Only what has failed
    #[arg(long)]
    pub only_failed: bool,
    /// The connector alone, without its tasks
    #[arg(long)]
    pub without_tasks: bool,
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Logger, such as org.apache.kafka.connect.runtime or root; all without one
    #[arg(value_name = "LOGGER")]
    pub logger: Option<String>,
    /// Level that it gets: OFF, ERROR, WARN, INFO, DEBUG or TRACE
    #[arg(value_name = "LEVEL", requires = "logger")]
    pub level: Option<String>,
    /// Sets the level on every worker of the group
    #[arg(long, requires = "level")]
    pub cluster: bool,
    /// The worker
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Of `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// Shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Connector configuration: the JSON that would be posted, or properties
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

//! One function a command.
use crate::cli::{Cli, Command, PluginsArgs, ValidateArgs, WorkerArgs};
use crate::connector_file::ConnectorFile;
use crate::output::{print, tell};
use crate::{logging, worker};
use anyhow::{Context, Result};
use elasticflow_api::registry::Registry;
use elasticflow_config::connector::ConnectorSettings;
use elasticflow_config::flow;
use elasticflow_config::worker::{WorkerConfig, WorkerSettings};
use elasticflow_config::{KeyDef, Properties, Settings, ValidationReport, option_table};
use elasticflow_rest::Level;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Something failed.
pub(crate) const FAILED: u8 = 1;
/// The command line or a configuration is wrong.
pub(crate) const WRONG_INPUT: u8 = 2;

/// Runs a command.
pub(crate) fn run(cli: Cli, registry: Registry) -> ExitCode {
    let registry = Arc::new(registry);
    match cli.command {
        Command::Worker(args) => run_worker(&args, registry),
        #[cfg(feature = "dev-broker")]
        Command::Dev(args) => {
            let loggers = logging::start(Level::Info);
            done(block_on(crate::dev::run(&args, registry, loggers)))
        }
        #[cfg(feature = "dev-broker")]
        Command::Broker(args) => {
            logging::start(Level::Info);
            done(block_on(crate::dev::run_broker(&args)))
        }
        #[cfg(feature = "dev-broker")]
        Command::Demo(args) => {
            let loggers = logging::start(Level::Warn);
            done(block_on(crate::demo::run(&args, registry, loggers)))
        }
        Command::Plugins(args) => plugins(&args, &registry),
        Command::Validate(args) => match block_on(validate(&args, registry)) {
            Ok(code) => code,
            Err(error) => fail(&format!("{error:#}"), WRONG_INPUT),
        },
        Command::Completion(args) => {
            crate::client::completion(args.shell);
            ExitCode::SUCCESS
        }
        Command::Version => {
            print(&format!("elasticflow {}\n", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        command => match block_on(crate::client::run(command)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => fail(&format!("{failure:#}"), crate::client::exit_code(&failure)),
        },
    }
}

/// Says why on standard error.
pub(crate) fn fail(text: &str, code: u8) -> ExitCode {
    tell(text);
    ExitCode::from(code)
}

fn done(outcome: Result<()>) -> ExitCode {
    done_with(outcome.map(|()| ExitCode::SUCCESS))
}

fn done_with(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| fail(&format!("{error:#}"), FAILED))
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(future);
    // Blocking calls of connectors may hang; they are abandoned, recovery does not need them.
    runtime.shutdown_background();
    outcome
}

fn run_worker(args: &WorkerArgs, registry: Arc<Registry>) -> ExitCode {
    let loggers = logging::start(Level::Info);
    let mut properties = match properties_file(&args.config) {
        Ok(properties) => properties,
        Err(error) => return fail(&format!("{error:#}"), WRONG_INPUT),
    };
    if args.insecure {
        properties = properties.with("rest.insecure", "true");
    }
    let config = match WorkerConfig::read(&properties) {
        Ok(config) => config,
        Err(report) => return refused(&args.config, &report),
    };
    let registry = match config.settings.test_plugins {
        true => crate::registry::with_test_plugins(&registry).map(Arc::new),
        false => Ok(registry),
    };
    match registry {
        Ok(registry) => done(block_on(worker::run(worker::Parts { config, properties, registry, loggers }))),
        Err(error) => fail(&error.to_string(), FAILED),
    }
}

/// Every problem of a worker's configuration, a line each.
fn refused(file: &Path, report: &ValidationReport) -> ExitCode {
    let lines: Vec<String> = report.errors.values().flatten().map(|text| format!("  {text}")).collect();
    fail(&format!("{} has {} problems:\n{}", file.display(), lines.len(), lines.join("\n")), WRONG_INPUT)
}

fn properties_file(file: &Path) -> Result<Properties> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Properties::from_properties_text(&text).with_context(|| format!("cannot read {}", file.display()))
}

fn plugins(args: &PluginsArgs, registry: &Registry) -> ExitCode {
    if let Some(class) = &args.options {
        if let Some(keys) = framework_keys(class) {
            print(&option_table(&keys));
            return ExitCode::SUCCESS;
        }
        // Those for tests are not listed, and have options all the same.
        let all = crate::registry::with_test_plugins(registry).unwrap_or_else(|_| registry.clone());
        let Some(entry) = all.entries().iter().find(|e| e.answers_to(class)) else {
            return fail(&format!("no plug-in answers to {class}; `elasticflow plugins` lists them"), WRONG_INPUT);
        };
        print(&option_table(entry.keys));
        return ExitCode::SUCCESS;
    }
    for entry in registry.entries() {
        let line = if args.json {
            let json = serde_json::json!({"class": entry.class, "type": entry.kind().name(), "version": entry.version});
            format!("{json}\n")
        } else {
            let remarks = if entry.remarks.is_empty() { String::new() } else { format!("  ({})", entry.remarks) };
            format!("{:<17} {}  [{}]{remarks}\n", entry.kind().name(), entry.class, entry.aliases.join(", "))
        };
        print(&line);
    }
    ExitCode::SUCCESS
}

/// Keys that belong to no plug-in: those of the worker, and the framework's own of every source and sink.
fn framework_keys(name: &str) -> Option<Vec<KeyDef>> {
    let keys: Vec<&KeyDef> = match name {
        "worker" => WorkerSettings::keys().iter().collect(),
        "every-source" => ConnectorSettings::source_keys(),
        "every-sink" => ConnectorSettings::sink_keys(),
        "flow" => flow::keys().collect(),
        _ => return None,
    };
    Some(keys.into_iter().cloned().collect())
}

/// Checks a connector's configuration as `PUT /connector-plugins/{class}/config/validate` does.
async fn validate(args: &ValidateArgs, registry: Arc<Registry>) -> Result<ExitCode> {
    let file = ConnectorFile::read(&args.file)?;
    let infos = worker::validate((&file.config, &file.nulls), registry).await?;
    for remark in &infos.elasticflow.warnings {
        print(&format!("warning  {}: {}\n", remark.key, remark.message));
    }
    for (key, text) in infos.errors() {
        print(&format!("error    {key}: {text}\n"));
    }
    print(&match infos.error_count {
        0 => "no errors\n".to_owned(),
        1 => "1 error\n".to_owned(),
        count => format!("{count} errors\n"),
    });
    Ok(if infos.error_count == 0 { ExitCode::SUCCESS } else { ExitCode::from(WRONG_INPUT) })
}

//! Commands that speak to a running worker over REST: `list`, `create`, `apply`, `status`, `offsets`, `errors`, `pause`,
//! `resume`, `stop`, `restart`, `delete`, `workers`, `drain`, `undrain`, `logs`.
//!
//! Each prints a table for people or the worker's own JSON for programs. A worker that cannot be reached or fails is exit
//! code 1, a request that it refuses is 2.
mod apply;
mod connection;
mod errors;
mod show;
mod workers;

use crate::cli::{
    Cli, Command, ConnectionArgs, CreateArgs, LogsArgs, NamesArgs, OffsetsArgs, Output, RestartArgs, StatusArgs,
};
use crate::commands::{FAILED, WRONG_INPUT};
use crate::connector_file::ConnectorFile;
use crate::output::{print, tell};
use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use connection::{Connection, Refused, segment};
use serde_json::{Map, Value, json};

/// Runs one of the commands.
///
/// # Errors
/// The worker cannot be reached or refuses.
pub(crate) async fn run(command: Command) -> Result<()> {
    match command {
        Command::List(args) => list(&args.connection).await,
        Command::Create(args) => create(&args).await,
        Command::Apply(args) => apply::run(&args).await,
        Command::Status(args) => status(&args).await,
        Command::Offsets(args) => offsets(&args).await,
        Command::Errors(args) => errors::run(&args).await,
        Command::Pause(args) => each(&args, ("PUT", "/pause", "paused")).await,
        Command::Resume(args) => each(&args, ("PUT", "/resume", "resumed")).await,
        Command::Stop(args) => each(&args, ("PUT", "/stop", "stopped")).await,
        Command::Delete(args) => each(&args, ("DELETE", "", "deleted")).await,
        Command::Restart(args) => restart(&args).await,
        Command::Workers(args) => workers::list(&args.connection).await,
        Command::Drain(args) => workers::each(&args, "drain").await,
        Command::Undrain(args) => workers::each(&args, "undrain").await,
        Command::Logs(args) => logs(&args).await,
        _ => bail!("this command speaks to no worker"),
    }
}

/// What the process ends with after an error.
pub(crate) fn exit_code(failure: &anyhow::Error) -> u8 {
    let refused = failure.downcast_ref::<Refused>().is_some_and(|refused| refused.status < 500);
    if refused { WRONG_INPUT } else { FAILED }
}

/// Prints a completion script.
pub(crate) fn completion(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "elasticflow", &mut script);
    print(&String::from_utf8_lossy(&script));
}

async fn list(args: &ConnectionArgs) -> Result<()> {
    let all = Connection::open(args)?.ask("GET", "/connectors?expand=status&expand=info", None).await?;
    show::result(args.output, &all, show::list);
    Ok(())
}

async fn create(args: &CreateArgs) -> Result<()> {
    let file = ConnectorFile::read(&args.file)?;
    let connection = Connection::open(&args.connection)?;
    let created = connection.ask("POST", "/connectors", Some(&create_request(&file)?)).await?;
    show::result(args.connection.output, &created, |info| format!("{} created\n", show::text(&info["name"])));
    warn(&created);
    Ok(())
}

/// Says what the worker finds odd about a configuration that it has stored.
fn warn(info: &Value) {
    for remark in info["elasticflow"]["warnings"].as_array().into_iter().flatten() {
        tell(&format!(
            "{}: warning: {}: {}",
            show::text(&info["name"]),
            show::text(&remark["key"]),
            show::text(&remark["message"])
        ));
    }
}

/// Body of POST /connectors.
fn create_request(file: &ConnectorFile) -> Result<Value> {
    let mut config = json!(file.config);
    for key in &file.nulls {
        config[key] = Value::Null;
    }
    let mut request = json!({"name": file.name()?, "config": config});
    if let Some(state) = &file.initial_state {
        request["initial_state"] = json!(state);
    }
    Ok(request)
}

async fn status(args: &StatusArgs) -> Result<()> {
    let connection = Connection::open(&args.connection)?;
    let mut statuses = Map::new();
    if args.names.is_empty() {
        let all = connection.ask("GET", "/connectors?expand=status", None).await?;
        for (name, one) in all.as_object().into_iter().flatten() {
            statuses.insert(name.clone(), one["status"].clone());
        }
    }
    for name in &args.names {
        let one = connection.ask("GET", &format!("/connectors/{}/status", segment(name)), None).await?;
        statuses.insert(name.clone(), one);
    }
    // A worker of Kafka Connect has no such resource; one that has it says why what is not free is not.
    let throttle = connection.ask("GET", "/flow/v1/throttle", None).await.unwrap_or_default();
    let shown = |all: &Value| show::statuses(all) + &show::limits(&throttle, all);
    show::result(args.connection.output, &Value::Object(statuses), shown);
    Ok(())
}

async fn offsets(args: &OffsetsArgs) -> Result<()> {
    let connection = Connection::open(&args.connection)?;
    let path = format!("/connectors/{}/offsets", segment(&args.name));
    let answer = if args.reset {
        connection.ask("DELETE", &path, None).await?
    } else if let Some(file) = &args.set {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let body = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        connection.ask("PATCH", &path, Some(&body)).await?
    } else {
        connection.ask("GET", &path, None).await?
    };
    show::result(args.connection.output, &answer, show::offsets);
    Ok(())
}

/// Does the same to each connector; goes on after a refusal, so that one bad name does not hide the others.
async fn each(args: &NamesArgs, (method, action, done): (&str, &str, &str)) -> Result<()> {
    let connection = Connection::open(&args.connection)?;
    let mut failed = None;
    for name in &args.names {
        match connection.ask(method, &format!("/connectors/{}{action}", segment(name)), None).await {
            Ok(_) => done_to(args.connection.output, name, done),
            Err(error) if failed.is_none() => failed = Some(error),
            Err(_) => {}
        }
    }
    failed.map_or(Ok(()), Err)
}

fn done_to(output: Output, name: &str, done: &str) {
    match output {
        Output::Table => print(&format!("{name} {done}\n")),
        Output::Json => print(&format!("{}\n", json!({"name": name, "done": done}))),
    }
}

async fn restart(args: &RestartArgs) -> Result<()> {
    let query = format!("/restart?includeTasks={}&onlyFailed={}", !args.without_tasks, args.only_failed);
    let names = NamesArgs { names: args.names.clone(), connection: args.connection.clone() };
    each(&names, ("POST", &query, "restarting")).await
}

async fn logs(args: &LogsArgs) -> Result<()> {
    let connection = Connection::open(&args.connection)?;
    let path = args.logger.as_ref().map_or("/admin/loggers".to_owned(), |l| format!("/admin/loggers/{}", segment(l)));
    let answer = match &args.level {
        Some(level) => {
            let scope = if args.cluster { "cluster" } else { "worker" };
            connection.ask("PUT", &format!("{path}?scope={scope}"), Some(&json!({ "level": level }))).await?
        }
        None => connection.ask("GET", &path, None).await?,
    };
    show::result(args.connection.output, &answer, show::loggers);
    Ok(())
}

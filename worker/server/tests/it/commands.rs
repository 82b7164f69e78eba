//! The commands that speak to a worker, against a real one on the embedded broker.
use crate::process::{Process, free_port, output, until_healthy};
use serde_json::Value;
use std::time::{Duration, Instant};

fn json(arguments: &[&str], url: &str) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["--url", url, "-o", "json"]);
    serde_json::from_str(&output(&all, 0)).unwrap()
}

fn until(arguments: &[&str], url: &str, is_so: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = json(arguments, url);
        if is_so(&answer) {
            return;
        }
        assert!(Instant::now() < deadline, "{arguments:?}: {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn connectors_are_applied_watched_and_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (port, broker_port) = (free_port(), free_port());
    let _dev = Process::start(&["dev", "--port", &port.to_string(), "--broker-port", &broker_port.to_string()]);
    until_healthy(port);
    let url = format!("http://127.0.0.1:{port}");
    std::fs::write(at("in.txt"), "a\nb\n").unwrap();
    let config = format!("connector.class=FileStreamSource\nfile={}\ntopic=t\n", at("in.txt"));
    std::fs::write(at("one.properties"), format!("name=sl/ash\n{config}")).unwrap();
    std::fs::write(at("notes.txt"), "no connector").unwrap();
    let folder = dir.path().display().to_string();
    let apply = |more: &[&str]| {
        let mut all = vec!["apply", folder.as_str(), "--url", url.as_str()];
        all.extend(more);
        output(&all, 0)
    };
    assert_eq!(apply(&["--dry-run"]), "sl/ash would be created\n");
    assert_eq!(apply(&[]), "sl/ash created\n");
    assert_eq!(apply(&[]), "sl/ash unchanged\n");
    std::fs::write(at("one.properties"), format!("name=sl/ash\n{config}batch.size=7\n")).unwrap();
    assert_eq!(apply(&[]), "sl/ash changed\n");
    until(&["status", "sl/ash"], &url, |s| s["sl/ash"]["tasks"][0]["state"] == "RUNNING");
    let listed = output(&["list", "--url", &url], 0);
    assert!(listed.contains("sl/ash  source  RUNNING"), "{listed}");
    until(&["offsets", "sl/ash"], &url, |o| o["offsets"][0]["offset"]["position"] == 4);
    assert_eq!(output(&["stop", "sl/ash", "--url", &url], 0), "sl/ash stopped\n");
    until(&["status"], &url, |s| s["sl/ash"]["connector"]["state"] == "STOPPED");
    assert!(output(&["offsets", "sl/ash", "--reset", "--url", &url], 0).contains("reset successfully"));
    let levels = output(&["logs", "org.apache.kafka.connect", "WARN", "--url", &url], 0);
    assert_eq!(levels, "org.apache.kafka.connect changed\n");
    for command in ["resume", "pause", "restart", "delete"] {
        assert!(output(&[command, "sl/ash", "--url", &url], 0).starts_with("sl/ash "), "{command}");
    }
    let refused = output(&["pause", "nope", "--url", &url], 2);
    assert!(refused.contains("404") && refused.contains("Unknown connector nope"), "{refused}");
}

#[test]
fn workers_are_listed_drained_and_undrained() {
    let (port, broker_port) = (free_port(), free_port());
    let _dev = Process::start(&["dev", "--port", &port.to_string(), "--broker-port", &broker_port.to_string()]);
    until_healthy(port);
    let url = format!("http://127.0.0.1:{port}");
    until(&["workers"], &url, |all| all[0]["leader"] == true && all[0]["slots"] != 0);
    let id = json(&["workers"], &url)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(output(&["drain", &id, "--url", &url], 0), format!("{id} drained\n"));
    until(&["workers"], &url, |all| all[0]["drained"] == true);
    assert_eq!(output(&["undrain", &id, "--url", &url], 0), format!("{id} undrained\n"));
    until(&["workers"], &url, |all| all[0]["drained"] == false);
}

#[test]
fn dead_letters_of_a_connector_that_keeps_none_are_refused_with_the_key_to_set() {
    let (port, broker_port) = (free_port(), free_port());
    let _dev = Process::start(&["dev", "--port", &port.to_string(), "--broker-port", &broker_port.to_string()]);
    until_healthy(port);
    let url = format!("http://127.0.0.1:{port}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.properties");
    std::fs::write(&file, "name=c\nconnector.class=FileStreamSource\nfile=none\ntopic=t\n").unwrap();
    assert_eq!(output(&["create", &file.display().to_string(), "--url", &url], 0), "c created\n");
    let shown = output(&["errors", "c", "--url", &url], 2);
    assert!(shown.contains("errors.deadletterqueue.topic.name"), "{shown}");
    let shown = output(&["errors", "c", "--filter", "state", "--url", &url], 2);
    assert!(shown.contains("KEY=VALUE"), "{shown}");
}

#[test]
fn a_misspelt_option_is_told_when_a_connector_is_created_and_when_it_is_changed() {
    let (port, broker_port) = (free_port(), free_port());
    let _dev = Process::start(&["dev", "--port", &port.to_string(), "--broker-port", &broker_port.to_string()]);
    until_healthy(port);
    let url = format!("http://127.0.0.1:{port}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.properties");
    let right = "name=c\nconnector.class=FileStreamSource\nfile=none\ntopic=t\n";
    let say = |command: &str, text: &str| {
        std::fs::write(&file, text).unwrap();
        output(&[command, &file.display().to_string(), "--url", &url], 0)
    };
    let created = say("create", &format!("{right}batchsize=1\n"));
    assert!(created.contains("c created") && created.contains("batchsize"), "{created}");
    assert!(created.contains("did you mean batch.size?"), "{created}");
    let changed = say("apply", &format!("{right}fil=other\n"));
    assert!(changed.contains("c changed") && changed.contains("did you mean file?"), "{changed}");
    assert_eq!(say("apply", right), "c changed\n");
}

#[test]
fn a_worker_that_is_not_there_is_told_with_its_url() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let shown = output(&["list", "--url", &url], 1);
    assert!(shown.contains(&url) && shown.contains("--url"), "{shown}");
}

#[test]
fn completion_scripts_know_the_commands() {
    for (shell, part) in
        [("bash", "_elasticflow"), ("zsh", "#compdef elasticflow"), ("fish", "complete -c elasticflow")]
    {
        let script = output(&["completion", shell], 0);
        assert!(script.contains(part) && script.contains("offsets"), "{shell}");
    }
}

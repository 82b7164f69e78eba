//! A worker is no development tool: it ends on the embedded broker, unless it is told that this is meant.
use crate::process::{Process, free_port, until_healthy, worker_file};

#[test]
fn a_worker_ends_on_the_development_broker_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (broker_port, port) = (free_port(), free_port());
    let mut broker = Process::start(&["broker", "--port", &broker_port.to_string()]);
    broker.says("development broker runs");
    let bootstrap = format!("127.0.0.1:{broker_port}");
    let file = worker_file(dir.path(), &bootstrap, port, "");
    let (code, errors) = Process::start(&["worker", "--config", &file]).ended();
    assert_eq!(code, Some(1), "{errors}");
    for part in
        ["bootstrap.servers is the embedded development broker", "`elasticflow dev`", "development.broker.allow"]
    {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    let allowed = worker_file(dir.path(), &bootstrap, port, "development.broker.allow=true");
    let _worker = Process::start(&["worker", "--config", &allowed]);
    until_healthy(port);
}

#[test]
fn a_worker_file_with_problems_lists_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = worker_file(
        dir.path(),
        "h:1",
        8083,
        "sasl.mechanism=GSSAPI\nsecurity.protocol=SASL_SSL\nlisteners=x\ngroup.id=",
    );
    let (code, errors) = Process::start(&["worker", "--config", &file]).ended();
    assert_eq!(code, Some(2), "{errors}");
    for part in ["group.id", "sasl.mechanism is GSSAPI", "x is no listener URL"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

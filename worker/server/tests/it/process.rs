//! Starts the binary, asks it over REST, ends it.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What nothing takes.
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) fn elasticflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elasticflow"));
    for name in ["ELASTICFLOW_URL", "ELASTICFLOW_USER", "ELASTICFLOW_TOKEN", "ELASTICFLOW_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let child = elasticflow().args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child }
    }

    /// Waits for its end; exit code and everything on standard error.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut errors = self.child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let deadline = Instant::now() + LONGEST;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        (status.code(), reader.join().unwrap())
    }

    /// Waits for a line on standard error that has this text; what follows is thrown away.
    pub(crate) fn says(&mut self, text: &str) {
        let mut lines = BufReader::new(self.child.stderr.take().unwrap());
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 {
            if line.contains(text) {
                std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                return;
            }
            line.clear();
        }
        panic!("it has ended and did not say {text}");
    }
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until a worker's /health is 200.
pub(crate) fn until_healthy(port: u16) {
    let deadline = Instant::now() + LONGEST;
    while !healthy(port) {
        assert!(Instant::now() < deadline, "the worker is not healthy");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn healthy(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// A worker's properties on a Kafka, in a file.
pub(crate) fn worker_file(dir: &Path, bootstrap: &str, port: u16, extra: &str) -> String {
    const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
    let text = format!(
        "bootstrap.servers={bootstrap}\ngroup.id=g\nconfig.storage.topic=c\noffset.storage.topic=o\nstatus.storage.topic=s\n\
         config.storage.replication.factor=1\noffset.storage.replication.factor=1\nstatus.storage.replication.factor=1\n\
         offset.storage.partitions=1\nstatus.storage.partitions=1\n\
         key.converter={JSON}\nvalue.converter={JSON}\nlisteners=http://127.0.0.1:{port}\n{extra}\n"
    );
    let file = dir.join("worker.properties");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// Standard output of a command that must end with a code.
pub(crate) fn output(arguments: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = elasticflow().args(arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    stdout + &stderr
}

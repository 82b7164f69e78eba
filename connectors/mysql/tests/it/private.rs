//! Servers of a test's own, which it may kill.
use crate::support::Server;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A server with its own data; ended and removed when it is dropped.
pub(crate) struct Private {
    service: &'static str,
    arguments: String,
    dir: PathBuf,
    pub(crate) port: u16,
}

impl Private {
    /// Starts `mysql` or `mariadb` with further arguments, on a free port. What is committed is written before it is told.
    pub(crate) fn start(service: &'static str, arguments: &str) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let dir = std::env::temp_dir().join(format!("ef-{service}-{}-{port}", std::process::id()));
        let arguments = format!("--sync-binlog=1 --innodb-flush-log-at-trx-commit=1 {arguments}");
        let private = Self { service, arguments, dir, port };
        private.up();
        private
    }

    /// Starts it again with the same data.
    pub(crate) fn up(&self) {
        let output = self.services("up").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.dir.join(self.service).join("pid")).unwrap();
        let pid = pid.trim();
        assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(60);
        let stat = PathBuf::from(format!("/proc/{pid}/stat"));
        // Gone, or a zombie whose parent does not look.
        while std::fs::read_to_string(&stat).is_ok_and(|s| !s.contains(") Z")) {
            assert!(Instant::now() < deadline, "server {pid} does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How tests talk to it; `shared` is the server of the environment, whose accounts are the same.
    pub(crate) fn server(&self, shared: &Server) -> Server {
        Server { host: "127.0.0.1".to_owned(), port: self.port, ..shared.clone() }
    }

    fn services(&self, verb: &str) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut command = Command::new(root.join("scripts/services"));
        let prefix = format!("EF_{}", self.service.to_uppercase());
        command.args([verb, self.service]).env("EF_SERVICES_DIR", &self.dir);
        command.env(format!("{prefix}_PORT"), self.port.to_string()).env(format!("{prefix}_ARGS"), &self.arguments);
        if std::env::var_os("EF_SERVICES_CACHE").is_none() {
            command.env("EF_SERVICES_CACHE", root.join(".services/cache"));
        }
        command
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // What is left behind is a folder of temporary files.
        drop(self.services("down").output());
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

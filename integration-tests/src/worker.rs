//! A worker as a child process: started, killed with -9, started again.
use crate::rest::Rest;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A worker that has not answered by then has failed to start.
const READY_MAX: Duration = Duration::from_secs(60);
/// A worker that has not ended by then after SIGTERM is killed.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The `elasticflow` binary.
    pub binary: PathBuf,
    /// Folder of its configuration and log.
    pub dir: PathBuf,
    /// Kafka.
    pub bootstrap: String,
    /// `group.id`, also the prefix of its internal topics.
    pub group: String,
    /// Port of its REST endpoint on 127.0.0.1.
    pub port: u16,
    /// Further worker properties.
    pub properties: BTreeMap<String, String>,
    /// Further environment, such as armed failpoints.
    pub env: BTreeMap<String, String>,
}

impl WorkerOptions {
    /// A worker with exactly-once sources on a free port, its files in `dir`.
    ///
    /// # Errors
    /// The binary is not built, or no port is free.
    pub fn new(dir: &Path, bootstrap: &str, group: &str) -> Result<Self> {
        Ok(Self {
            binary: binary()?,
            dir: dir.to_path_buf(),
            bootstrap: bootstrap.to_owned(),
            group: group.to_owned(),
            port: free_port()?,
            properties: BTreeMap::new(),
            env: BTreeMap::new(),
        })
    }

    fn properties_text(&self) -> String {
        let mut text = self.text_of_connect();
        text.push_str("development.broker.allow=true\n");
        for (key, value) in &self.properties {
            text.push_str(&format!("{key}={value}\n"));
        }
        text
    }

    /// The part of the properties that Kafka Connect has too.
    pub(crate) fn text_of_connect(&self) -> String {
        let Self { bootstrap, group, port, .. } = self;
        format!(
            "bootstrap.servers={bootstrap}\ngroup.id={group}\n\
             config.storage.topic={group}-configs\noffset.storage.topic={group}-offsets\nstatus.storage.topic={group}-status\n\
             config.storage.replication.factor=1\noffset.storage.replication.factor=1\nstatus.storage.replication.factor=1\n\
             offset.storage.partitions=5\nstatus.storage.partitions=5\n\
             key.converter=org.apache.kafka.connect.json.JsonConverter\nkey.converter.schemas.enable=false\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n\
             exactly.once.source.support=enabled\nlisteners=http://127.0.0.1:{port}\n"
        )
    }
}

/// The product's binary: `ELASTICFLOW_BIN`, or the one beside the running program.
fn binary() -> Result<PathBuf> {
    if let Ok(path) = std::env::var("ELASTICFLOW_BIN") {
        return Ok(PathBuf::from(path));
    }
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(3).map(|dir| dir.join("elasticflow")).find(|path| path.exists());
    found.context("the elasticflow binary is not built; run `cargo build -p elasticflow-server --features failpoints`")
}

/// A free port on 127.0.0.1.
///
/// # Errors
/// None is free.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A running worker; killed when it is dropped.
pub struct Worker {
    /// What it was started with.
    pub options: WorkerOptions,
    child: Child,
    log: PathBuf,
}

impl Worker {
    /// Starts a worker and returns at once.
    ///
    /// # Errors
    /// Its files cannot be written or the program cannot be run.
    pub fn spawn(options: WorkerOptions) -> Result<Self> {
        std::fs::create_dir_all(&options.dir)?;
        let config = options.dir.join("worker.properties");
        std::fs::write(&config, options.properties_text())?;
        let log = options.dir.join("worker.log");
        let out = append(&log)?;
        let child = Command::new(&options.binary)
            .args(["worker", "--config"])
            .arg(&config)
            .envs(&options.env)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot run {}", options.binary.display()))?;
        Ok(Self { options, child, log })
    }

    /// Starts a worker and waits until its REST endpoint answers.
    ///
    /// # Errors
    /// It ended or did not answer in time; the end of its log is in the text.
    pub async fn start(options: WorkerOptions) -> Result<Self> {
        let mut worker = Self::spawn(options)?;
        worker.await_ready().await?;
        Ok(worker)
    }

    /// Waits until the REST endpoint answers; how long that took.
    ///
    /// # Errors
    /// As for [`Worker::start`].
    pub async fn await_ready(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let rest = self.rest();
        while !rest.is_ready().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("the worker has ended with {status}:\n{}", self.log_tail());
            }
            if began.elapsed() > READY_MAX {
                bail!("the worker's REST endpoint does not answer:\n{}", self.log_tail());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(began.elapsed())
    }

    /// A client of its REST endpoint.
    pub fn rest(&self) -> Rest {
        Rest::new(&format!("http://127.0.0.1:{}", self.options.port))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with -9 and waits until it is gone; what it was started with.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill(mut self) -> Result<WorkerOptions> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.options.clone())
    }

    /// Stops every thread of it where it stands, as an overloaded machine would.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn freeze(&self) -> Result<()> {
        signal(libc::pid_t::try_from(self.child.id())?, libc::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// As for [`Worker::freeze`].
    pub fn thaw(&self) -> Result<()> {
        signal(libc::pid_t::try_from(self.child.id())?, libc::SIGCONT)
    }

    /// Whether it has ended by itself, such as at a failpoint.
    ///
    /// # Errors
    /// The process cannot be asked.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends it with SIGTERM; whether it ended with exit code 0.
    ///
    /// # Errors
    /// It does not end in time, or the process cannot be asked.
    pub async fn stop(mut self) -> Result<bool> {
        end_softly(&mut self.child, STOP_MAX).await.with_context(|| self.log_tail())
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(30)).copied().collect::<Vec<_>>().join("\n")
    }
}

/// Ends a child with SIGTERM and waits until it is gone; whether it ended with exit code 0.
///
/// # Errors
/// It does not end in time, or the process cannot be asked.
pub(crate) async fn end_softly(child: &mut Child, most: Duration) -> Result<bool> {
    signal(libc::pid_t::try_from(child.id())?, libc::SIGTERM)?;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if began.elapsed() > most {
            bail!("the worker does not end after SIGTERM");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[expect(unsafe_code, reason = "kill(2) has no safe form in the standard library")]
pub(crate) fn signal(pid: libc::pid_t, signal: libc::c_int) -> Result<()> {
    // SAFETY: kill(2) takes plain numbers; the child has not been waited for, so that its id is not another process's.
    let sent = unsafe { libc::kill(pid, signal) };
    if sent == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("cannot open {}", path.display()))
}

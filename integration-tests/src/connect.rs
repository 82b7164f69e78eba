//! A real Kafka Connect worker as a child process, for proofs that one takes over from the other.
use crate::rest::Rest;
use crate::servers::setting;
use crate::worker::{WorkerOptions, end_softly};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A Java program on a machine that does other things too.
const READY_MAX: Duration = Duration::from_secs(120);
const STOP_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running worker of Kafka Connect; killed when it is dropped.
pub struct ConnectWorker {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl ConnectWorker {
    /// Starts a worker with the group, topics, converters and port of one of this product, and waits for its endpoint.
    ///
    /// # Errors
    /// The program is not installed, ended, or did not answer in time; the end of its log is in the text.
    pub async fn start(options: &WorkerOptions) -> Result<Self> {
        let library = setting("EF_CONNECT_LIB")?;
        std::fs::create_dir_all(&options.dir)?;
        let (config, log) = (options.dir.join("connect.properties"), options.dir.join("connect.log"));
        std::fs::write(&config, properties(options))?;
        let out = File::options().create(true).append(true).open(&log)?;
        let child = Command::new("java")
            .args([
                "-Xms64m",
                "-Xmx320m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Djava.net.preferIPv4Stack=true",
            ])
            .args(["-cp", &format!("{library}/*"), "org.apache.kafka.connect.cli.ConnectDistributed"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("cannot run java")?;
        let mut worker = Self { child, port: options.port, log };
        worker.await_ready().await?;
        Ok(worker)
    }

    async fn await_ready(&mut self) -> Result<()> {
        let (began, rest) = (Instant::now(), self.rest());
        while !rest.is_ready().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("Kafka Connect has ended with {status}:\n{}", self.log_tail());
            }
            if began.elapsed() > READY_MAX {
                bail!("Kafka Connect does not answer:\n{}", self.log_tail());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// A client of its REST endpoint.
    pub fn rest(&self) -> Rest {
        Rest::new(&format!("http://127.0.0.1:{}", self.port))
    }

    /// Ends it with SIGTERM and waits until it is gone.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(mut self) -> Result<()> {
        end_softly(&mut self.child, STOP_MAX).await.with_context(|| self.log_tail()).map(drop)
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(40)).copied().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for ConnectWorker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Without plug-ins the folder is one that is empty.
fn properties(options: &WorkerOptions) -> String {
    let plugins = setting("EF_CONNECT_PLUGINS").unwrap_or_else(|_| empty(&options.dir));
    format!("{}plugin.path={plugins}\nplugin.discovery=service_load\n", options.text_of_connect())
}

fn empty(dir: &Path) -> String {
    let dir = dir.join("plugins");
    drop(std::fs::create_dir_all(&dir));
    dir.display().to_string()
}

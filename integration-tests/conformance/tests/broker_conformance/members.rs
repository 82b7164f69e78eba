//! Group members as processes of their own, so that they can be killed.
use crate::support::{config, create, produce, unique};
use anyhow::{Context, Result, ensure};
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a member takes part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// An assignment strategy, or `consumer` for the protocol of KIP-848.
    pub(crate) strategy: &'static str,
    /// `group.instance.id`, or `-`.
    pub(crate) instance: &'static str,
    pub(crate) session_ms: &'static str,
}

/// A running member and what it has said.
pub(crate) struct Member {
    process: Child,
    said: Arc<Mutex<Vec<String>>>,
}

/// A group on a topic with one record in its first partition.
pub(crate) struct Group {
    bootstrap: String,
    topic: String,
    name: String,
}

impl Group {
    pub(crate) fn new(bootstrap: &str, partitions: i32) -> Result<Self> {
        let (topic, name) = (unique("shared"), unique("group"));
        create(bootstrap, &topic, partitions, &[])?;
        produce(bootstrap, &topic, 0, 1, "v")?;
        Ok(Group { bootstrap: bootstrap.into(), topic, name })
    }

    pub(crate) fn member(&self, style: Style) -> Result<Member> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([
                "--member",
                &self.bootstrap,
                &self.name,
                &self.topic,
                style.strategy,
                style.instance,
                style.session_ms,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().context("no output")?;
        let said = Arc::new(Mutex::new(vec![]));
        let log = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Ok(Member { process, said })
    }
}

impl Member {
    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The partitions it owns.
    pub(crate) fn owns(&self) -> BTreeSet<i32> {
        let said = self.said();
        let last = said.iter().rev().find_map(|l| l.strip_prefix("OWNS "));
        last.unwrap_or_default().split(',').filter_map(|p| p.parse().ok()).collect()
    }

    /// How often it was given or deprived of something.
    pub(crate) fn rebalances(&self) -> usize {
        self.said().iter().filter(|l| l.starts_with("ASSIGN") || l.starts_with("REVOKE")).count()
    }

    /// Partitions it was deprived of, in one or several steps.
    pub(crate) fn revoked(&self) -> Vec<String> {
        self.said().into_iter().filter_map(|l| l.strip_prefix("REVOKE ").map(Into::into)).collect()
    }

    pub(crate) fn fenced(&self) -> bool {
        self.said().iter().any(|l| l.starts_with("FATAL") || l.contains("fenced"))
    }

    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether the members share `n` partitions, each with at least one.
pub(crate) fn share(members: &[&Member], n: usize) -> Result<()> {
    let owned: Vec<BTreeSet<i32>> = members.iter().map(|m| m.owns()).collect();
    let distinct: BTreeSet<i32> = owned.iter().flatten().copied().collect();
    let total: usize = owned.iter().map(BTreeSet::len).sum();
    let said: Vec<_> = members.iter().map(|m| m.said()).collect();
    ensure!(owned.iter().all(|o| !o.is_empty()) && total == n && distinct.len() == n, "owned {owned:?}; said {said:?}");
    Ok(())
}

struct Tell;

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn list(partitions: impl Iterator<Item = i32>) -> String {
    let sorted: BTreeSet<i32> = partitions.collect();
    sorted.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl ClientContext for Tell {}

impl ConsumerContext for Tell {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, r: &Rebalance<'_>) {
        if let Rebalance::Revoke(l) = r {
            tell(&format!("REVOKE {}", list(l.elements().iter().map(|e| e.partition()))));
        }
    }

    fn post_rebalance(&self, c: &BaseConsumer<Self>, r: &Rebalance<'_>) {
        if let Rebalance::Assign(l) = r {
            tell(&format!("ASSIGN {}", list(l.elements().iter().map(|e| e.partition()))));
        }
        if let Ok(l) = c.assignment() {
            tell(&format!("OWNS {}", list(l.elements().iter().map(|e| e.partition()))));
        }
    }
}

/// What the process of a member does, until it is killed or nobody listens to it any more.
pub(crate) fn be_a_member(args: &[String]) -> ExitCode {
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tell(&format!("ERROR {e:#}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &[String]) -> Result<()> {
    let [bootstrap, group, topic, strategy, instance, session_ms] = args else { anyhow::bail!("six arguments") };
    let mut c = config(bootstrap, &[("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")]);
    c.set("group.id", group);
    if strategy == "consumer" {
        c.set("group.protocol", "consumer");
    } else {
        c.set("partition.assignment.strategy", strategy);
        c.set("session.timeout.ms", session_ms).set("heartbeat.interval.ms", "500");
    }
    if instance != "-" {
        c.set("group.instance.id", instance);
    }
    let c: BaseConsumer<Tell> = c.create_with_context(Tell)?;
    c.subscribe(&[topic])?;
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        if let Some(Err(e)) = c.poll(Duration::from_millis(50)) {
            tell(&format!("{} {e}", if c.client().fatal_error().is_some() { "FATAL" } else { "ERROR" }));
        }
    }
    Ok(())
}

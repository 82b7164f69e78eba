//! A slow sink with an important and an unimportant source: who is slowed down, how fast, how evenly, and what the important
//! one notices; also over the death of the leader, a destination that hangs, and the way back.
mod sampler;

use crate::figures::{Figures, percentile};
use crate::ground::{Ground, found};
use anyhow::{Result, ensure};
use elasticflow_integration_tests::follow::create_topic;
use elasticflow_integration_tests::proxy::{Mood, Proxy};
use elasticflow_integration_tests::scenes::limits::kill_leader;
use sampler::{Sample, Sampler};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const NAME: &str = "throttle";
/// Records a second of the important source, of the other one, and what the slow sink takes.
const IMPORTANT: f64 = 500.0;
const OTHER: f64 = 5_000.0;
const SLOW: f64 = 1_000.0;
/// Enough for both.
const FAST: f64 = 50_000.0;
/// How far the sink may be behind.
const TARGET_S: f64 = 10.0;
const CAP: f64 = 16_777_216.0;
/// How long each part takes.
const WARM_UP: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_secs(60);
const HANGS: Duration = Duration::from_secs(20);

/// What moves in the run.
struct Scene {
    ground: Ground,
    proxy: Proxy,
    sampler: Sampler,
    important: String,
    other: String,
}

/// A window of time, ms since 1970.
#[derive(Clone, Copy)]
struct Window {
    from: u128,
    to: u128,
}

pub(crate) async fn measure(figures: &mut Figures) -> Result<()> {
    let mut scene = Scene::begin().await?;
    let measured = scene.run(figures).await;
    for name in ["important", "other", "slow"] {
        drop(scene.ground.rest()?.call("DELETE", &format!("/connectors/{name}"), None).await);
    }
    drop(scene.sampler);
    scene.ground.end().await?;
    measured
}

impl Scene {
    async fn begin() -> Result<Self> {
        let mut ground = Ground::new().await?;
        for _ in 0..3 {
            ground.join(&[]).await?;
        }
        let run = ground.run;
        let (important, other) = (format!("important_{run}"), format!("other_{run}"));
        for topic in [&important, &other] {
            create_topic(&ground.kafka, topic, 1).await?;
            let table = format!(
                "CREATE TABLE flow_{run}.{topic} (id BIGINT, at DATETIME(3), note TEXT, arrived DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3))"
            );
            ground.database.run(&[&table]).await?;
        }
        let server = format!("{}:{}", ground.database.host, ground.database.port);
        let proxy = Proxy::before(&server).await?;
        let sampler = Sampler::start(&ground.kafka, "connect-slow", [important.clone(), other.clone()]).await?;
        Ok(Self { ground, proxy, sampler, important, other })
    }

    fn source(&self, topic: &str, rate: f64, priority: &str) -> Value {
        json!({"connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic,
            "fields": "id:seq, at:now, note:text(8,8)", "max.interval": "0", "batch.records": "100",
            "flow.rate.records": format!("{rate:.0}"), "flow.priority": priority, "flow.cap.bytes": format!("{CAP:.0}"),
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "true"})
    }

    fn sink(&self, rate: f64) -> Value {
        let database = &self.ground.database;
        json!({"connector.class": "io.aiven.connect.jdbc.JdbcSinkConnector", "tasks.max": "1",
            "topics": format!("{},{}", self.important, self.other),
            "connection.url": format!("jdbc:mysql://{}/flow_{}", self.proxy.address(), self.ground.run),
            "connection.user": database.user, "connection.password": database.password,
            "insert.mode": "insert", "pk.mode": "none", "flow.rate.records": format!("{rate:.0}"),
            "flow.lag.target.ms": format!("{:.0}", TARGET_S * 1000.0), "consumer.override.auto.offset.reset": "earliest",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "true"})
    }

    async fn run(&mut self, figures: &mut Figures) -> Result<()> {
        let ground = &self.ground;
        ground.put("slow", &self.sink(SLOW)).await?;
        ground.put("important", &self.source(&self.important, IMPORTANT, "9")).await?;
        let arrives = async || Ok(ground.row(&self.count("arrived IS NOT NULL")).await?.first() > Some(&100.0));
        found("records arrive", arrives).await?;
        pass(WARM_UP).await;
        let alone = self.latency(pass(WINDOW).await).await?;
        self.tell(figures, "important source alone", alone, None);

        ground.put("slow", &self.sink(FAST)).await?;
        ground.put("other", &self.source(&self.other, OTHER, "1")).await?;
        found("the other source runs", async || Ok(rate(&ground.flow("other").await?) > 0.9 * OTHER)).await?;
        pass(WARM_UP).await;
        ground.put("slow", &self.sink(SLOW)).await?;
        let limited = async || Ok(is_limited(&ground.flow("other").await?));
        let took = found("the other source is limited", limited).await?.as_secs_f64();
        figures.add((NAME, "slow sink: until the other source is limited"), (took, "s"), (None, Some(8.0)));
        let text = reason(&ground.flow("other").await?);
        ensure!(
            text.contains("sink slow") && text.contains("(target 10 s)") && text.contains("important (priority 9)"),
            "{text}"
        );
        pass(SETTLE).await;
        self.steady(figures, "slow sink", alone).await?;

        let (options, led) = kill_leader(&mut self.ground.workers).await?;
        figures.add((NAME, "leader killed: until another one leads"), (led.as_secs_f64(), "s"), (None, None));
        let ground = &self.ground;
        found("the important source goes on", async || Ok(rate(&ground.flow("important").await?) > 0.9 * IMPORTANT))
            .await?;
        pass(SETTLE).await;
        drop(options);
        self.steady(figures, "after the leader's death", alone).await?;
        self.hang(figures).await
    }

    /// A destination that takes nothing for a while, then everything.
    async fn hang(&self, figures: &mut Figures) -> Result<()> {
        let ground = &self.ground;
        self.proxy.be(Mood::Silent);
        let from = self.sampler.taken();
        pass(HANGS).await;
        self.proxy.be(Mood::Fair);
        ground.put("slow", &self.sink(FAST)).await?;
        let back = async || {
            let other = ground.flow("other").await?;
            Ok(!is_limited(&other) && rate(&other) > 0.9 * OTHER)
        };
        let took = found("the other source is back", back).await?.as_secs_f64();
        figures.add(
            (NAME, "destination back: until the other source has its rate again"),
            (took, "s"),
            (None, Some(30.0)),
        );
        let (mut rates, began) = (Vec::new(), Instant::now());
        pass(Duration::from_secs(5)).await;
        while began.elapsed() < WINDOW {
            rates.push(rate(&ground.flow("other").await?));
            pass(Duration::from_secs(1)).await;
        }
        let swing = (most(&rates) - least(&rates)) / OTHER * 100.0;
        figures.add((NAME, "then: swing of its rate"), (swing, "%"), (None, Some(20.0)));
        let size = self.sampler.record_bytes();
        let peak = self.sampler.since(from).iter().map(|s| s.behind[1]).fold(0.0, f64::max) * size;
        figures.add(
            (NAME, "most unconsumed bytes, of the cap, hanging"),
            (peak / CAP * 100.0, "%"),
            (None, Some(100.0)),
        );
        let all = self.sampler.since(0).iter().map(|s| s.behind[1]).fold(0.0, f64::max) * size;
        figures.add((NAME, "most unconsumed bytes, of the cap, in all"), (all / CAP * 100.0, "%"), (None, Some(100.0)));
        Ok(())
    }

    /// A window in which nothing changes.
    async fn steady(&self, figures: &mut Figures, when: &str, alone: (f64, f64)) -> Result<()> {
        let (from, began, start) = (self.sampler.taken(), Instant::now(), now());
        let (mut limits, mut floors, mut told) = (Vec::new(), Vec::new(), Vec::new());
        while began.elapsed() < WINDOW {
            let other = self.ground.flow("other").await?;
            let number = |path: &str| other.pointer(path).and_then(Value::as_f64);
            limits.extend(number("/limit/bytes_per_second"));
            floors.extend(number("/limit/floor"));
            told.extend(number("/groups/0/lag_records"));
            pass(Duration::from_secs(1)).await;
        }
        let latency = self.latency(Window { from: start, to: now() }).await?;
        self.tell(figures, &format!("{when}, important source"), latency, Some(alone));
        let samples = self.sampler.since(from);
        let behind: Vec<f64> = samples.iter().map(Sample::all).collect();
        let seconds = |records: f64| records / SLOW;
        let what = |text: &str| format!("{when}: {text}");
        let mut add = |text: &str, figure, bar| figures.add((NAME, &what(text)), figure, bar);
        add("least lag", (seconds(least(&behind)), "s"), (Some(0.85 * TARGET_S), None));
        add("most lag", (seconds(most(&behind)), "s"), (None, Some(1.15 * TARGET_S)));
        let swing = (most(&limits) - least(&limits)) / mean(&limits) * 100.0;
        add("swing of the other source's limit", (swing, "%"), (None, Some(25.0)));
        let above = least(&limits) / most(&floors);
        add("its least limit, in floors", (above, ""), (Some(1.0), None));
        let off = (mean(&told) / mean(&behind) - 1.0).abs() * 100.0;
        add("what is told of the lag, off by", (off, "%"), (None, Some(5.0)));
        Ok(())
    }

    fn tell(&self, figures: &mut Figures, who: &str, (rate, p99): (f64, f64), alone: Option<(f64, f64)>) {
        let least = Some(0.95 * IMPORTANT);
        figures.add((NAME, &format!("{who}: records that arrive")), (rate, "/s"), (least, None));
        let most = alone.map(|(_, alone)| 1.1 * alone + 50.0);
        figures.add((NAME, &format!("{who}: p99 from record to row")), (p99, "ms"), (None, most));
    }

    fn count(&self, which: &str) -> String {
        format!("SELECT COUNT(*) FROM flow_{}.{} WHERE {which}", self.ground.run, self.important)
    }

    /// Records of the important source a second that were made in a window, and the 99th percentile of their way into the
    /// table, ms. What was made at its very end is waited for.
    async fn latency(&self, window: Window) -> Result<(f64, f64)> {
        pass(Duration::from_secs(3)).await;
        let time = |ms: u128| format!("FROM_UNIXTIME({}.{:03})", ms / 1000, ms % 1000);
        let query = format!(
            "SELECT TIMESTAMPDIFF(MICROSECOND, at, arrived) / 1000 FROM flow_{}.{} WHERE at >= {} AND at < {}",
            self.ground.run,
            self.important,
            time(window.from),
            time(window.to)
        );
        let times = self.ground.column(&query).await?;
        let seconds = (window.to - window.from) as f64 / 1000.0;
        Ok((times.len() as f64 / seconds, percentile(&times, 99)))
    }
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis())
}

/// Lets time pass: what is measured is what happens in it.
async fn pass(time: Duration) -> Window {
    let from = now();
    tokio::time::sleep(time).await;
    Window { from, to: now() }
}

fn is_limited(answer: &Value) -> bool {
    answer["flow"]["state"] == "limited" && answer["flow"]["reasons"][0]["code"] == "LAG"
}

fn reason(answer: &Value) -> String {
    answer["flow"]["reasons"][0]["text"].as_str().unwrap_or_default().to_owned()
}

fn rate(answer: &Value) -> f64 {
    answer["measured"]["records_per_second"].as_f64().unwrap_or(0.0)
}

fn most(of: &[f64]) -> f64 {
    of.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn least(of: &[f64]) -> f64 {
    of.iter().copied().fold(f64::INFINITY, f64::min)
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.len().max(1) as f64
}

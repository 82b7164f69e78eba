//! A sink and a source that hang for ever, and a sink whose destination refuses every connection, beside a connector at its
//! rate: what that one and the users of REST notice, when the breaker tries, and how soon what hangs is gone.
use crate::figures::{Figures, percentile};
use crate::ground::{Ground, found};
use anyhow::Result;
use elasticflow_integration_tests::follow::create_topic;
use elasticflow_integration_tests::proxy::{Mood, Proxy};
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::limits::{Counter, kill_leader};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const NAME: &str = "beside";
const RATE: f64 = 2_000.0;
const WINDOW: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Five failures, and trials after 5, 10 and 20 s.
const TRIALS: Duration = Duration::from_secs(50);
/// A trial may be several connections.
const TOGETHER: Duration = Duration::from_secs(2);

/// What is seen while time passes.
#[derive(Default)]
struct Seen {
    /// Records a second, in windows.
    rates: Vec<f64>,
    /// Answers of REST, ms.
    answers: Vec<f64>,
    /// When connections came, seconds.
    connections: Vec<f64>,
}

pub(crate) async fn measure(figures: &mut Figures) -> Result<()> {
    let (silent, refusing) = (Proxy::before_nothing().await?, Proxy::before("127.0.0.1:1").await?);
    refusing.be(Mood::Refusing);
    let mut ground = Ground::new().await?;
    for _ in 0..3 {
        ground.join(&[]).await?;
    }
    let topic = format!("beside_{}", ground.run);
    create_topic(&ground.kafka, &topic, 3).await?;
    let counter = Counter::of(&ground.kafka, &topic).await?;
    let source = json!({"connector.class": "datagen", "tasks.max": "4", "kafka.topic": topic, "fields": "id:seq, note:text(8,8)",
        "batch.records": "100", "flow.rate.records": format!("{RATE:.0}")});
    ground.put("measured", &source).await?;
    found("records arrive", async || Ok(counter.now() as f64 > 5.0 * RATE)).await?;
    let hanging = hanging(&topic, &silent);
    for (name, config) in hanging.clone() {
        // It may be answered late, or not before it is deleted.
        let rest = ground.rest()?;
        tokio::spawn(async move { drop(rest.create(name, &config).await) });
    }
    ground.put("refused", &sink(&topic, refusing.address())).await?;
    let seen = look(&ground, (&counter, &refusing), TRIALS).await?;
    tell(figures, "beside what hangs and what is refused", &seen);
    let gaps: Vec<f64> = seen.connections.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let gaps: Vec<f64> = gaps.into_iter().filter(|gap| *gap > TOGETHER.as_secs_f64()).collect();
    for (gap, wanted) in gaps.iter().zip([5.0, 10.0, 20.0]) {
        let bar = (Some(0.8 * wanted), Some(1.2 * wanted + 1.0));
        figures.add((NAME, "open breaker: time without a connection"), (*gap, "s"), bar);
    }

    let (_, led) = kill_leader(&mut ground.workers).await?;
    figures.add((NAME, "leader killed: until another one leads"), (led.as_secs_f64(), "s"), (None, None));
    let running = async || {
        let flow = ground.flow("measured").await?;
        Ok(flow["measured"]["records_per_second"].as_f64().unwrap_or(0.0) > 0.95 * RATE)
    };
    let took = found("the rate is back", running).await?;
    figures.add((NAME, "then: until the rate is back"), (took.as_secs_f64(), "s"), (None, Some(30.0)));
    tell(figures, "after the leader's death", &look(&ground, (&counter, &refusing), Duration::from_secs(20)).await?);
    let (began, rest) = (Instant::now(), ground.rest()?);
    for name in ["hung-sink", "hung-source", "refused", "measured"] {
        found("it is deleted", async || gone(&rest, name).await).await?;
    }
    figures.add(
        (NAME, "until all are deleted, what hangs too"),
        (began.elapsed().as_secs_f64(), "s"),
        (None, Some(60.0)),
    );
    ground.end().await
}

async fn gone(rest: &Rest, name: &str) -> Result<bool> {
    drop(rest.call("DELETE", &format!("/connectors/{name}"), None).await);
    Ok(rest.call("GET", &format!("/connectors/{name}/status"), None).await?.0 == 404)
}

fn tell(figures: &mut Figures, when: &str, seen: &Seen) {
    let off = |rate: &f64| (rate / RATE - 1.0).abs() * 100.0;
    let worst = seen.rates.iter().map(off).fold(0.0, f64::max);
    figures.add((NAME, &format!("{when}: worst window of 5 s, off its rate by")), (worst, "%"), (None, Some(5.0)));
    let p99 = percentile(&seen.answers, 99);
    figures.add((NAME, &format!("{when}: REST p99")), (p99, "ms"), (None, Some(1000.0)));
}

fn sink(topic: &str, address: &str) -> Value {
    json!({"connector.class": "elasticflow.connectors.ElasticsearchSinkConnector", "topics": topic, "tasks.max": "1",
        "connection.url": format!("http://{address}"), "read.timeout.ms": "600000", "flow.lag.control": "off"})
}

fn hanging(topic: &str, silent: &Proxy) -> [(&'static str, Value); 2] {
    let (host, port) = silent.address().split_once(':').unwrap_or_default();
    let source = json!({"connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": host,
        "database.port": port, "database.user": "u", "database.password": "p", "database.server.id": "78",
        "topic.prefix": "silent", "schema.history.internal.kafka.topic": format!("{topic}-history")});
    [("hung-sink", sink(topic, silent.address())), ("hung-source", source)]
}

/// Looks on for a while, and asks each worker in turn.
async fn look(ground: &Ground, (counter, refusing): (&Counter, &Proxy), time: Duration) -> Result<Seen> {
    let (mut seen, began, mut connections) = (Seen::default(), Instant::now(), refusing.connections());
    let (mut window, mut before) = (Instant::now(), counter.now());
    let clients: Vec<Rest> = ground.workers.iter().map(|worker| worker.rest()).collect();
    let mut turns = clients.iter().cycle();
    while began.elapsed() < time {
        let asked = Instant::now();
        if let Some(rest) = turns.next() {
            rest.expect("GET", "/connectors/measured/status", None).await?;
        }
        seen.answers.push(asked.elapsed().as_secs_f64() * 1000.0);
        let now = refusing.connections();
        if now > connections {
            (connections, _) = (now, seen.connections.push(began.elapsed().as_secs_f64()));
        }
        if window.elapsed() >= WINDOW {
            seen.rates.push((counter.now() - before) as f64 / window.elapsed().as_secs_f64());
            (window, before) = (Instant::now(), counter.now());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(seen)
}

use super::super::fixtures::{group, picture, source};
use super::super::picture::{GroupView, SourceView};
use super::*;
use async_trait::async_trait;
use elasticflow_api::position::Offset;
use elasticflow_kafka::ports::TopicSpec;
use parking_lot::Mutex;

const RETENTION: i64 = 60_000;
const NOW: i64 = 10_000_000;

/// A broker with one partition whose records came one a second, the last one now.
struct Broker {
    config: Mutex<BTreeMap<String, String>>,
    records: i64,
}

type Offsets = BTreeMap<TopicPartition, Offset>;

#[async_trait]
impl Admin for Broker {
    async fn ensure_topic(&self, _: &TopicSpec) -> Result<(), KafkaError> {
        Ok(())
    }
    async fn end_offsets(&self, _: &[TopicPartition]) -> Result<Offsets, KafkaError> {
        Ok(Offsets::new())
    }
    async fn offsets_since(&self, of: &[TopicPartition], since_ms: i64) -> Result<Offsets, KafkaError> {
        let first = self.records - (NOW - since_ms) / 1_000;
        Ok(of.iter().filter(|_| since_ms <= NOW).map(|at| (at.clone(), Offset(first.max(0)))).collect())
    }
    async fn topic_config(&self, _: &str) -> Result<BTreeMap<String, String>, KafkaError> {
        Ok(self.config.lock().clone())
    }
    async fn set_topic_config(&self, _: &str, key: &str, value: &str) -> Result<(), KafkaError> {
        self.config.lock().insert(key.to_owned(), value.to_owned());
        Ok(())
    }
    async fn group_offsets(&self, _: &str) -> Result<Offsets, KafkaError> {
        Ok(Offsets::new())
    }
    async fn alter_group_offsets(
        &self,
        _: &str,
        _: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), KafkaError> {
        Ok(())
    }
    async fn topics(&self) -> Result<BTreeMap<String, i32>, KafkaError> {
        Ok(BTreeMap::new())
    }
    async fn delete_group(&self, _: &str) -> Result<(), KafkaError> {
        Ok(())
    }
    async fn fence(&self, _: &[String]) -> Result<(), KafkaError> {
        Ok(())
    }
}

struct Scene {
    broker: Broker,
    picture: Picture,
    retention: Retention,
    extended: BTreeMap<String, RetentionRow>,
    seconds: u64,
}

impl Scene {
    fn new(guard: RetentionGuard, config: &[(&str, &str)]) -> Self {
        let source = SourceView { cap_ratio: 0.5, guard, ..source() };
        let picture = picture(source, GroupView { steers: false, state: "paused", ..group() });
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let broker = Broker { config: Mutex::new(config), records: 1_000 };
        Self { broker, picture, retention: Retention::default(), extended: BTreeMap::new(), seconds: 0 }
    }

    /// The sink has read so many records; what share of the retention is told to be used.
    async fn at(&mut self, read: i64) -> f64 {
        self.seconds += 60;
        let at = TopicPartition { topic: "t".into(), partition: 0 };
        let look = Look {
            at: Duration::from_secs(self.seconds),
            progress: [("g".to_owned(), [(at.clone(), read)].into())].into(),
            ends: [("t".to_owned(), [(at, self.broker.records)].into())].into(),
        };
        let of = Guarded {
            picture: &self.picture,
            look: &look,
            size: &|_| 100.0,
            extended: self.extended.clone(),
            now_ms: NOW,
        };
        for row in self.retention.period(&of, &self.broker).await {
            match row {
                FlowRecord::Retention { topic, row: Some(row) } => drop(self.extended.insert(topic, row)),
                FlowRecord::Retention { topic, row: None } => drop(self.extended.remove(&topic)),
                other => panic!("{other:?}"),
            }
        }
        self.retention.risks().get("t").map_or(0.0, |risk| risk.used)
    }

    fn set(&self, key: &str) -> String {
        self.broker.config.lock()[key].clone()
    }
}

#[tokio::test]
async fn it_is_told_at_half_and_at_nine_tenths_of_the_time() {
    let mut scene = Scene::new(RetentionGuard::Alarm, &[("retention.ms", "60000"), ("cleanup.policy", "delete")]);
    for (read, told) in [(1_000, 0.0), (980, 0.0), (969, 0.5), (950, 0.5), (945, 0.9), (0, 0.9), (999, 0.0)] {
        assert_eq!(scene.at(read).await, told, "{} s behind", 1_000 - read);
    }
    scene.at(945).await;
    let risk = &scene.retention.risks()["t"];
    let text = risk.text("t");
    assert!(
        text.starts_with("90 % of retention.ms=60000 of topic t are used before sink k (paused) has read"),
        "{text}"
    );
    assert_eq!((risk.connector.as_str(), risk.reason("t").numbers["margin_ms"]), ("k", 6_000.0));
    assert_eq!(scene.set("retention.ms"), RETENTION.to_string(), "nothing is changed");
}

#[tokio::test]
async fn unread_bytes_count_against_the_retention_of_a_partition() {
    let mut scene = Scene::new(RetentionGuard::Alarm, &[("retention.bytes", "20000"), ("retention.ms", "-1")]);
    for (read, told) in [(950, 0.0), (900, 0.5), (820, 0.9), (0, 0.9)] {
        assert_eq!(scene.at(read).await, told, "{} records behind", 1_000 - read);
    }
}

#[tokio::test]
async fn what_is_kept_for_ever_and_what_nobody_guards_is_never_at_risk() {
    let compacted = [("retention.ms", "60000"), ("cleanup.policy", "compact")];
    assert_eq!(Scene::new(RetentionGuard::Alarm, &compacted).at(0).await, 0.0);
    assert_eq!(Scene::new(RetentionGuard::Alarm, &[("retention.ms", "-1")]).at(0).await, 0.0);
    assert_eq!(Scene::new(RetentionGuard::Off, &[("retention.ms", "60000")]).at(0).await, 0.0);
    let mut stopped = Scene::new(RetentionGuard::Alarm, &[("retention.ms", "60000")]);
    stopped.picture.groups.get_mut("g").unwrap().state = "stopped";
    assert_eq!(stopped.at(0).await, 0.0, "what is stopped has given its claim up");
}

#[tokio::test]
async fn a_retention_is_extended_before_anything_is_lost_and_put_back_when_it_is_read() {
    let mut scene = Scene::new(RetentionGuard::Extend, &[("retention.ms", "60000")]);
    scene.at(980).await;
    assert_eq!(scene.set("retention.ms"), "60000");
    scene.at(965).await;
    assert_eq!(scene.set("retention.ms"), "120000");
    // Another leader goes on from the row.
    scene.retention = Retention::default();
    assert_eq!(scene.at(930).await, 0.5);
    assert_eq!((scene.set("retention.ms").as_str(), scene.extended["t"].ms), ("240000", Some(60_000)));
    assert_eq!(scene.at(990).await, 0.0, "not at risk, and not calm");
    assert_eq!(scene.set("retention.ms"), "240000");
    scene.at(998).await;
    assert_eq!((scene.set("retention.ms").as_str(), scene.extended.len()), ("60000", 0));
}

#[test]
fn a_cap_follows_from_the_size_that_a_topic_may_have() {
    let mut scene = Scene::new(RetentionGuard::Alarm, &[]);
    scene.picture.derive_caps(|_| Some(100 << 20), |_| 4);
    assert_eq!(scene.picture.sources["s"].cap_of("t"), Some(200.0 * 1_048_576.0));
    scene.picture.derive_caps(|_| Some(10 << 20), |_| 4);
    assert_eq!(scene.picture.sources["s"].cap_of("t"), None, "too small to hold anything back with");
    scene.picture.sources.get_mut("s").unwrap().cap_ratio = 0.0;
    scene.picture.derive_caps(|_| Some(100 << 20), |_| 4);
    assert_eq!(scene.picture.sources["s"].cap_of("t"), None);
}

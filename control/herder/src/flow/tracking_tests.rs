use super::super::fixtures::{group, picture, source};
use super::*;
use elasticflow_flow::Mode;

fn at(topic: &str) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: 0 }
}

/// A source of `rate` records of 100 bytes a second, a sink that drains `speed`; both from the start.
struct Scene {
    tracking: Tracking,
    picture: Picture,
    second: u64,
    sent: f64,
    read: f64,
}

impl Scene {
    fn new() -> Self {
        Self { tracking: Tracking::default(), picture: picture(source(), group()), second: 0, sent: 0.0, read: 0.0 }
    }

    fn second(&mut self, rate: f64, speed: f64) -> Option<Judged> {
        self.second += 1;
        self.sent += rate;
        self.read = (self.read + speed).min(self.sent);
        let look = Look {
            at: Duration::from_secs(self.second),
            progress: [("g".to_owned(), [(at("t"), self.read as i64)].into())].into(),
            ends: [("t".to_owned(), [(at("t"), self.sent as i64)].into())].into(),
        };
        self.period(&look, rate)
    }

    fn period(&mut self, look: &Look, rate: f64) -> Option<Judged> {
        let measured = Measured { bytes_per_second: rate * 100.0, records_per_second: rate, ..Measured::default() };
        let inputs = Inputs {
            picture: &self.picture,
            look,
            measured: &[("s".to_owned(), measured)].into(),
            taken: &BTreeMap::new(),
            law: Law::default(),
            floors: &BTreeMap::new(),
        };
        self.tracking.period(&inputs).remove("g")
    }
}

#[test]
fn a_slow_sink_limits_its_source_in_bytes() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        scene.second(1_000.0, 1_000.0);
    }
    let judged = (0..40).filter_map(|_| scene.second(1_000.0, 200.0)).last().unwrap();
    assert_eq!(judged.state.mode, Mode::Limited);
    assert!((judged.state.capacity / 20_000.0 - 1.0).abs() < 0.1, "{judged:?}");
    assert!((scene.tracking.size("t") - 100.0).abs() < 5.0);
    assert!(judged.lag_records > 20_000.0);
}

#[test]
fn lag_that_is_not_known_is_not_taken_for_none() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        scene.second(1_000.0, 1_000.0);
    }
    for _ in 0..20 {
        scene.second += 1;
        let look = Look { at: Duration::from_secs(scene.second), ..Look::default() };
        scene.period(&look, 1_000.0);
    }
    let look = Look { at: Duration::from_secs(scene.second + 1), ..Look::default() };
    let judged = scene.period(&look, 1_000.0).unwrap();
    assert_eq!((judged.state.mode, judged.state.why), (Mode::Limited, elasticflow_flow::Why::NoDataSafe));
}

#[test]
fn a_sink_that_keeps_up_has_no_limit_and_one_that_stops_being_judged_is_forgotten() {
    let mut scene = Scene::new();
    let judged = (0..30).filter_map(|_| scene.second(1_000.0, 1_000.0)).last().unwrap();
    assert_eq!(judged.state.mode, Mode::Free);
    scene.picture.groups.get_mut("g").unwrap().steers = false;
    assert!(scene.second(1_000.0, 0.0).is_none());
    assert!(!scene.tracking.knows("g"));
}

#[test]
fn what_a_sink_has_taken_and_not_committed_is_progress() {
    let mut reader = Reader { partitions: 1, seen: Some((Duration::ZERO, 0.0)), ..Reader::default() };
    let picture = picture(source(), group());
    let look = Look {
        at: Duration::from_secs(1),
        progress: [("g".to_owned(), [(at("t"), 100)].into())].into(),
        ends: [("t".to_owned(), [(at("t"), 1_000)].into())].into(),
    };
    let taken = |records| [("k".to_owned(), Total { records, ..Total::default() })].into();
    let mut stand = |taken: BTreeMap<String, Total>| {
        let inputs = Inputs {
            picture: &picture,
            look: &look,
            measured: &BTreeMap::new(),
            taken: &taken,
            law: Law::default(),
            floors: &BTreeMap::new(),
        };
        reader.standing("g", &picture.groups["g"], &inputs, 1.0).ok().unwrap().put
    };
    assert_eq!([stand(taken(50)), stand(taken(400)), stand(taken(5_000))], [100.0, 450.0, 1_000.0]);
}

/// How far a sink is taken to be ahead of where it stands, at most, and what it is taken to drain in all. It takes 100
/// records a second and commits once in `every` seconds; each is thought to take more offsets than it does.
fn drifts(every: i64) -> (f64, f64) {
    const THOUGHT: f64 = 1.2;
    let picture = picture(source(), group());
    let mut reader = Reader { partitions: 1, seen: Some((Duration::ZERO, 0.0)), ..Reader::default() };
    let (mut most, mut drained) = (0.0, 0.0);
    for second in 1..=600 {
        let (taken, committed) = (second * 100, second / every * every * 100);
        let look = Look {
            at: Duration::from_secs(second as u64),
            progress: [("g".to_owned(), [(at("t"), committed)].into())].into(),
            ends: [("t".to_owned(), [(at("t"), 1_000_000)].into())].into(),
        };
        let inputs = Inputs {
            picture: &picture,
            look: &look,
            measured: &BTreeMap::new(),
            taken: &[("k".to_owned(), Total { records: taken as u64, ..Total::default() })].into(),
            law: Law::default(),
            floors: &BTreeMap::new(),
        };
        let standing = reader.standing("g", &picture.groups["g"], &inputs, THOUGHT);
        most = f64::max(most, standing.as_ref().ok().unwrap().put - taken as f64);
        drained += reader.sample(standing, (1.0, 0.0, 0.0), &inputs, 0.0).unwrap().drained;
    }
    (most, drained / 60_000.0)
}

#[test]
fn what_is_wrongly_taken_for_progress_does_not_add_up() {
    let (ahead, drained) = drifts(1);
    assert!(ahead <= 20.0 && (drained - 1.0).abs() < 0.01, "commits in every period: {ahead} {drained}");
    let (ahead, drained) = drifts(30);
    assert!(ahead < 0.25 * 3_000.0 && (1.0..1.25).contains(&drained), "commits seldom: {ahead} {drained}");
}

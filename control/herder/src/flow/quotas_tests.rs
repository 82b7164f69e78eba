use super::super::fixtures::{meter, report};
use super::*;
use elasticflow_store::flow::TaskReport;

const MINUTE: i64 = 60_000;

fn settings(keys: &[(&str, &str)]) -> QuotaSettings {
    parse(&keys.iter().copied().collect::<Properties>()).unwrap()
}

/// Tasks by instance, with the records that each has moved; a record has ten bytes.
fn measured(tasks: &[(u32, u64, u64)]) -> Measured {
    let of = |(task, instance, records): &(u32, u64, u64)| {
        (*task, meter(TaskReport { task: *task, ..report("c", *instance, *records, records * 10) }))
    };
    Measured { tasks: tasks.iter().map(of).collect(), ..Measured::default() }
}

/// Tasks that move all that they are given, as fast as they are given it.
struct Scene {
    quotas: Quotas,
    settings: QuotaSettings,
    row: Option<QuotaRow>,
    tasks: Vec<(u32, u64, u64)>,
}

impl Scene {
    fn new(settings: QuotaSettings, tasks: u32) -> Self {
        let tasks = (0..tasks).map(|task| (task, 1, 0)).collect();
        Self { quotas: Quotas::default(), settings, row: None, tasks }
    }

    fn period(&mut self, now_ms: i64) -> &QuotaRow {
        let measured = measured(&self.tasks);
        let row = self.quotas.next("c", &self.settings, (self.row.as_ref(), &measured), now_ms);
        self.quotas.remember("c", &measured);
        self.row.insert(row)
    }

    /// Everybody moves what it may.
    fn work(&mut self) {
        for (task, instance, records) in &mut self.tasks {
            let granted = self.row.iter().flat_map(|row| &row.tasks);
            let own = granted.filter(|g| g.task == *task && g.instance == *instance).find_map(|g| g.granted[0]);
            *records = own.unwrap_or(0).max(*records);
        }
    }

    fn moved(&self) -> u64 {
        self.tasks.iter().map(|(_, _, records)| records).sum()
    }

    fn used(&self) -> Both {
        used(self.row.as_ref().unwrap(), &measured(&self.tasks))
    }
}

#[test]
fn a_quota_is_used_to_its_last_record_and_begins_anew_on_the_wall_of_the_window() {
    let mut scene = Scene::new(settings(&[("flow.quota.records", "1000"), ("flow.quota.window", "1m")]), 3);
    for second in 0..60 {
        scene.period(second * 1_000);
        scene.work();
    }
    assert_eq!(scene.moved(), 1_000);
    assert!(is_used_up(scene.row.as_ref().unwrap(), scene.used()));
    let told = tell(scene.row.as_ref().unwrap(), scene.used());
    assert!(told.starts_with("1000 of 1000 records of the window of 1m are used"), "{told}");
    assert!(told.ends_with("the next window begins at 1970-01-01 00:01:00 UTC"), "{told}");
    scene.period(MINUTE - 1);
    scene.work();
    assert_eq!(scene.moved(), 1_000, "a millisecond before the wall nothing goes");
    scene.period(MINUTE);
    scene.work();
    assert!(scene.moved() > 1_000, "and on it something does");
    for second in 61..120 {
        scene.period(second * 1_000);
        scene.work();
    }
    assert_eq!(scene.moved(), 2_000);
}

#[test]
fn a_new_leader_goes_on_with_the_count_and_a_clock_that_goes_back_begins_nothing() {
    let mut scene = Scene::new(settings(&[("flow.quota.records", "100"), ("flow.quota.window", "1m")]), 1);
    for second in 0..20 {
        scene.period(second * 1_000);
        scene.work();
        // Whatever the leader remembers is lost each time.
        scene.quotas = Quotas::default();
    }
    assert_eq!(scene.moved(), 100);
    scene.period(-5_000);
    scene.work();
    assert_eq!(scene.moved(), 100);
}

#[test]
fn an_instance_that_is_gone_has_used_what_it_was_given_and_no_more_than_the_quota_is_ever_moved() {
    let mut scene = Scene::new(settings(&[("flow.quota.records", "1000")]), 2);
    let mut gone = 0;
    for second in 0..200 {
        scene.period(second * 1_000);
        // One works and is killed now and then, before anybody hears of what it did.
        scene.work();
        if second % 3 == 0 {
            gone += scene.tasks[0].2;
            scene.tasks[0] = (0, scene.tasks[0].1 + 1, 0);
        }
    }
    let moved = gone + scene.moved();
    assert!(moved <= 1_000, "{moved}");
    assert!(moved >= 500, "kills waste little: {moved}");
    assert_eq!(scene.used()[0], 1_000);
}

#[test]
fn bytes_hold_beside_records_and_the_lower_one_binds() {
    let mut scene = Scene::new(settings(&[("flow.quota.records", "100000"), ("flow.quota.bytes", "5000")]), 1);
    scene.period(0);
    assert_eq!(
        scene.row.as_ref().unwrap().tasks[0].granted[1],
        Some(4_096),
        "less than a page of records says nothing"
    );
    for second in 1..10 {
        let granted = scene.row.as_ref().unwrap().tasks[0].granted[1].unwrap();
        scene.tasks[0].2 = granted / 10;
        scene.period(second * 1_000);
    }
    assert_eq!(scene.used(), [500, 5_000]);
}

#[test]
fn an_alarm_counts_and_gives_nothing_out() {
    let mut scene = Scene::new(settings(&[("flow.quota.records", "100"), ("flow.quota.action", "alarm")]), 1);
    scene.tasks[0].2 = 40;
    let row = scene.period(0);
    assert_eq!((row.tasks[0].granted, row.tasks[0].from), ([None, None], [40, 400]), "what was before does not count");
    scene.tasks[0].2 = 150;
    scene.period(1_000);
    assert_eq!(scene.used()[0], 110);
    // A restart loses nothing that was seen, and the new instance counts from its beginning.
    scene.tasks[0] = (0, 2, 30);
    scene.period(2_000);
    assert_eq!(scene.used()[0], 140);
}

#[test]
fn a_quota_that_is_raised_lets_go_at_once_and_one_of_a_run_has_no_wall() {
    let of = |most| settings(&[("flow.quota.records", most), ("flow.quota.window", "run")]);
    let mut scene = Scene::new(of("50"), 1);
    for day in 0..40 {
        scene.period(day * 86_400_000);
        scene.work();
    }
    assert_eq!(scene.moved(), 50);
    scene.settings = of("80");
    for day in 40..80 {
        scene.period(day * 86_400_000);
        scene.work();
    }
    assert_eq!(scene.moved(), 80);
}

#[test]
fn a_quota_is_the_connectors_own_or_the_workers_default() {
    let worker = Properties::from_iter([("flow.default.quota.records", "7")]);
    let most = |own: &[(&str, &str)]| quota_of(&own.iter().copied().collect(), &worker).map(|quota| quota.most()[0]);
    assert_eq!(most(&[]), Some(Some(7)));
    assert_eq!(most(&[("flow.quota.records", "9")]), Some(Some(9)));
    assert_eq!(most(&[("flow.quota.records", "-1")]), None);
    assert_eq!(quota_of(&Properties::default(), &Properties::default()).map(|quota| quota.most()), None);
}

use super::*;
use crate::answer::PartStatus;
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value as Json;

/// A receiver that refuses so many messages at first.
#[derive(Default)]
struct Receiver {
    refuses: Mutex<u32>,
    heard: Mutex<Vec<(String, Json)>>,
}

#[async_trait]
impl HookPort for Receiver {
    async fn tell(&self, id: &str, body: Vec<u8>) -> Result<(), String> {
        let mut refuses = self.refuses.lock();
        if *refuses > 0 {
            *refuses -= 1;
            return Err("it answered 500".to_owned());
        }
        self.heard.lock().push((id.to_owned(), serde_json::from_slice(&body).unwrap()));
        Ok(())
    }
}

impl Receiver {
    fn states(&self) -> Vec<String> {
        self.heard.lock().iter().map(|(_, body)| body["alert"]["state"].as_str().unwrap().to_owned()).collect()
    }
}

fn wrong(subject: &str) -> Findings {
    let condition = Condition { connector: subject.to_owned(), text: format!("{subject} has failed") };
    Findings { wrong: [(("task_failed", subject.to_owned()), condition)].into(), unknown: BTreeSet::new() }
}

fn breaker_of(connector: &str) -> Findings {
    let condition = Condition { connector: connector.to_owned(), text: "it is open".to_owned() };
    Findings { wrong: [(("breaker_open", connector.to_owned()), condition)].into(), unknown: BTreeSet::new() }
}

fn unknown(subject: &str) -> Findings {
    Findings { wrong: BTreeMap::new(), unknown: [("task_failed", subject.to_owned())].into() }
}

/// The leader and its stored rows.
struct Scene {
    incidents: Incidents,
    stored: BTreeMap<String, AlertRow>,
    second: u64,
}

impl Scene {
    fn new(receiver: Option<&Arc<Receiver>>) -> Self {
        let hook = receiver.map(|receiver| Arc::clone(receiver) as Arc<dyn HookPort>);
        Self { incidents: Incidents::new(hook), stored: BTreeMap::new(), second: 0 }
    }

    /// A second later; whatever was sent off has arrived at the end of it.
    async fn second(&mut self, findings: Findings) {
        self.second += 1;
        let now_ms = i64::try_from(self.second).unwrap() * 1_000;
        let moment = Moment { now: Duration::from_secs(self.second), now_ms, cluster: "g", link: "http://w" };
        self.incidents.read_back(&self.stored);
        for record in self.incidents.period(findings, &moment).await {
            let FlowRecord::Alert { id, row } = record else { panic!("{record:?}") };
            match row {
                Some(row) => drop(self.stored.insert(id, row)),
                None => drop(self.stored.remove(&id)),
            }
        }
        while self.incidents.flying.as_ref().is_some_and(|flying| !flying.answer.is_finished()) {
            tokio::task::yield_now().await;
        }
    }

    async fn seconds(&mut self, count: u32, findings: impl Fn() -> Findings) {
        for _ in 0..count {
            self.second(findings()).await;
        }
    }
}

#[tokio::test]
async fn an_incident_is_told_once_when_it_begins_and_once_when_it_is_over() {
    let receiver = Arc::<Receiver>::default();
    let mut scene = Scene::new(Some(&receiver));
    scene.seconds(10, || wrong("c/0")).await;
    assert_eq!(receiver.states(), ["open"]);
    scene.seconds(3, || unknown("c/0")).await;
    assert_eq!(receiver.states(), ["open"], "what is not known is not over");
    scene.seconds(5, Findings::default).await;
    assert_eq!(receiver.states(), ["open", "resolved"]);
    scene.seconds(3, || wrong("c/0")).await;
    assert_eq!(receiver.states(), ["open", "resolved", "open"], "the next one is another incident");
    let heard = receiver.heard.lock();
    assert_eq!(
        (heard[0].0.as_str(), heard[1].0.as_str()),
        ("task_failed-c/0-1000.opened", "task_failed-c/0-1000.resolved")
    );
    assert_eq!((&heard[0].1["event"]["severity"], &heard[0].1["cluster"]), (&"error".into(), &"g".into()));
}

#[tokio::test]
async fn a_message_that_is_not_taken_is_told_again_and_the_others_do_not_wait_for_it() {
    let receiver = Arc::<Receiver>::default();
    *receiver.refuses.lock() = 1;
    let mut scene = Scene::new(Some(&receiver));
    scene.seconds(2, || wrong("a")).await;
    let both = || {
        let mut both = wrong("a");
        both.wrong.extend(wrong("b").wrong);
        both
    };
    scene.seconds(2, both).await;
    assert_eq!(receiver.heard.lock().len(), 1, "b is told, a waits");
    assert_eq!(scene.stored["task_failed-a-1000"].attempts, 1);
    scene.seconds(5, both).await;
    let told: Vec<_> = receiver.heard.lock().iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(told, ["task_failed-b-3000.opened", "task_failed-a-1000.opened"]);
}

#[tokio::test]
async fn a_message_that_is_never_taken_is_given_up_and_shown() {
    let receiver = Arc::<Receiver>::default();
    *receiver.refuses.lock() = RETRIES + 1;
    let mut scene = Scene::new(Some(&receiver));
    scene.seconds(4_400, || wrong("a")).await;
    let row = &scene.stored["task_failed-a-1000"];
    assert_eq!((row.told, row.given_up), (Told::Opened, 1));
    scene.seconds(2, Findings::default).await;
    assert_eq!(receiver.states(), ["resolved"]);
}

#[tokio::test]
async fn a_new_leader_opens_nothing_again_and_tells_what_was_not_told() {
    let receiver = Arc::<Receiver>::default();
    let mut old = Scene::new(Some(&receiver));
    old.seconds(3, || wrong("a")).await;
    let mut new = Scene { second: old.second, stored: old.stored.clone(), ..Scene::new(Some(&receiver)) };
    new.incidents.begin(&new.stored);
    new.seconds(3, || wrong("a")).await;
    assert_eq!(receiver.states(), ["open"]);
    new.seconds(3, Findings::default).await;
    assert_eq!(receiver.states(), ["open", "resolved"]);
}

#[tokio::test]
async fn nothing_is_told_that_a_successor_would_not_know_of() {
    let receiver = Arc::<Receiver>::default();
    let mut old = Scene::new(Some(&receiver));
    old.second(wrong("a")).await;
    assert!(receiver.states().is_empty(), "its row has not come back");
    // It dies before its row was written.
    let mut new = Scene { second: old.second, ..Scene::new(Some(&receiver)) };
    new.incidents.begin(&new.stored);
    new.seconds(5, || wrong("a")).await;
    assert_eq!(receiver.states(), ["open"]);
    new.second(Findings::default()).await;
    assert_eq!(receiver.states(), ["open"], "the row of its end has not come back");
    new.second(Findings::default()).await;
    assert_eq!(receiver.states(), ["open", "resolved"]);
}

#[tokio::test]
async fn a_breaker_that_opens_and_closes_by_turns_is_one_incident() {
    let receiver = Arc::<Receiver>::default();
    let mut scene = Scene::new(Some(&receiver));
    for _ in 0..5 {
        scene.seconds(3, || breaker_of("index")).await;
        scene.seconds(29, Findings::default).await;
    }
    assert_eq!(receiver.states(), ["open"]);
    scene.seconds(3, Findings::default).await;
    assert_eq!(receiver.states(), ["open", "resolved"]);
}

/// A connector whose first task says this in its status.
fn said(trace: &str) -> BTreeMap<String, Arc<ConnectorView>> {
    let status = PartStatus {
        state: RunState::Running,
        worker_id: "w:1".to_owned(),
        version: String::new(),
        trace: Some(trace.to_owned()),
        activity: None,
    };
    let view = ConnectorView { task_statuses: [(0, status)].into(), ..ConnectorView::default() };
    [("sink".to_owned(), Arc::new(view))].into()
}

#[test]
fn an_incident_says_what_has_caused_a_failure_in_the_end() {
    let trace = "a.b.ConnectException: Tolerance exceeded\n\tat elasticflow.task(c-0)\nCaused by: a.b.ConnectException: x\n\
                 Caused by: a.b.DataException: TASK_PUT: the value is null";
    let said = "a.b.ConnectException: Tolerance exceeded; caused by DataException: TASK_PUT: the value is null";
    assert_eq!(why(Some(trace)), said);
    assert_eq!((why(Some("a.b.C: gone")), why(None)), ("a.b.C: gone".to_owned(), "no trace".to_owned()));
}

#[tokio::test]
async fn a_commit_that_waits_for_a_minute_is_an_incident() {
    let receiver = Arc::<Receiver>::default();
    let mut scene = Scene::new(Some(&receiver));
    let of = |trace: &str| findings(&said(trace), &Board::default());
    scene.seconds(60, || of("commit_pending: commit of a decided unit: no right")).await;
    scene.seconds(70, || of("waits for something else")).await;
    assert_eq!(receiver.states(), Vec::<String>::new());
    scene.seconds(65, || of("commit_pending: commit of a decided unit: no right")).await;
    scene.seconds(32, || of("")).await;
    assert_eq!(receiver.states(), ["open", "resolved"]);
    let heard = receiver.heard.lock();
    assert_eq!(heard[0].1["alert"]["kind"], "commit_pending");
    assert_eq!(
        heard[0].1["event"]["text"],
        "task 0 of sink waits for its destination: commit of a decided unit: no right"
    );
}

#[tokio::test]
async fn without_a_webhook_incidents_are_shown_and_forgotten_after_a_day() {
    let mut scene = Scene::new(None);
    scene.second(wrong("a")).await;
    scene.second(Findings::default()).await;
    assert_eq!(scene.stored["task_failed-a-1000"].resolved_ms, Some(2_000));
    scene.second = 24 * 3_600 + 3;
    scene.second(Findings::default()).await;
    assert!(scene.stored.is_empty());
}

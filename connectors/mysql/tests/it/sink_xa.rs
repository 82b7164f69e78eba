//! The sink with `delivery.technique=xa` on real servers.
use crate::private::Private;
use crate::sink::Case;
use crate::support::Server;
use async_trait::async_trait;
use elasticflow_api::ErrorClass;
use elasticflow_api::context::{ConnectorContext, SinkContext};
use elasticflow_api::position::{CommitEpoch, Offset, OwnerEpoch, TaskIndex, UnitId};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::sink::{Committed, SinkKind, SinkRecord, StartAt, TwoPhaseSink};
use elasticflow_config::Properties;
use elasticflow_testkit::sql::{SqlCase, Started, at, batch, key, record, row, upserting};
use elasticflow_testkit::{Rejected, SinkCase, TestClock, check_sink, sink_context, task_id};
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;
use std::sync::Arc;

fn xa(case: &Case) -> Properties {
    upserting(case).with("delivery.technique", "xa")
}

/// The suite of all sinks over the other technique.
struct Branched(Case);

#[async_trait]
impl SinkCase for Branched {
    async fn reset(&self) {
        self.0.reset().await;
    }
    fn task(&self) -> SinkKind {
        self.0.sink().task(&xa(&self.0), TaskConfig::default()).unwrap()
    }
    fn records(&self) -> Vec<SinkRecord> {
        self.0.records()
    }
    async fn contents(&self) -> Vec<String> {
        self.0.contents().await
    }
}

/// A database of its own; sources of other tests wait for branches that are prepared, so that this one is alone.
struct Alone {
    case: Case,
    server: Server,
}

impl Alone {
    async fn of(variable: &str, test: &str) -> Option<Self> {
        let server = Server::of(variable, test).await?;
        Some(Self { case: Case::of(variable, test).await?, server })
    }
}

/// A started task that has opened partition 0 of a topic.
struct Task {
    sink: Box<dyn TwoPhaseSink>,
    cx: SinkContext,
    rejected: Arc<Rejected>,
    from: StartAt,
}

impl Task {
    async fn of(case: &Case, properties: &Properties, topic: &str) -> Self {
        let SinkKind::TwoPhase(mut sink) = case.sink().task(properties, TaskConfig::default()).unwrap() else {
            panic!("the technique decides the kind");
        };
        let (cx, rejected, _) = sink_context(task_id("branched", 0));
        sink.start(&cx).await.unwrap();
        let from = sink.open(&[at(topic)], &cx).await.unwrap()[&at(topic)];
        Self { sink, cx, rejected, from }
    }

    async fn prepare(&mut self, commit: u64, records: Vec<SinkRecord>) -> elasticflow_api::sink::Handle {
        self.sink.put(batch(records), &self.cx).await.unwrap();
        self.sink.prepare(&unit(commit), &self.cx).await.unwrap().unwrap()
    }

    async fn write(&mut self, commit: u64, records: Vec<SinkRecord>) {
        let handle = self.prepare(commit, records).await;
        assert_eq!(self.sink.commit(&handle).await.unwrap(), Committed::Now);
    }
}

fn validating() -> ConnectorContext {
    ConnectorContext { clock: Arc::new(TestClock::default()), replan: Arc::new(|| {}) }
}

fn unit(commit: u64) -> UnitId {
    let connector = "test/branched".into();
    UnitId { connector, task: TaskIndex(0), owner: OwnerEpoch(1), commit: CommitEpoch(commit) }
}

async fn names(case: &Case, table: &str) -> Vec<String> {
    let rows = case.query(&format!("SELECT id, name FROM {table} ORDER BY id")).await;
    rows.iter().map(|row| format!("{}:{}", row[0].as_deref().unwrap(), row[1].as_deref().unwrap_or("-"))).collect()
}

#[tokio::test]
async fn branches_pass_what_every_two_phase_sink_passes() {
    for variable in ["EF_MYSQL", "EF_MARIADB"] {
        let test = "branches_pass_what_every_two_phase_sink_passes";
        let Some(Alone { case, server: _alone }) = Alone::of(variable, test).await else { continue };
        let case = Branched(case);
        check_sink(&case).await;
        case.0.drop_database().await;
    }
}

#[tokio::test]
async fn a_unit_that_another_session_holds_is_committed_when_that_has_ended() {
    for variable in ["EF_MYSQL", "EF_MARIADB"] {
        let test = "a_unit_that_another_session_holds_is_committed_when_that_has_ended";
        let Some(Alone { case, server: _alone }) = Alone::of(variable, test).await else { continue };
        let mut first = Task::of(&case, &xa(&case), "held").await;
        let decided = first.prepare(1, vec![record("held", 0, key(1), row(1, "a"))]).await;
        let mut second = Task::of(&case, &xa(&case), "held").await;
        assert_eq!(second.sink.in_doubt().await.unwrap(), std::slice::from_ref(&decided), "prepared, by whomever");
        match second.sink.commit(&decided).await {
            Ok(Committed::Now) => {}
            // MariaDB keeps it with its session; so long it may pass.
            Err(error) => {
                assert!(matches!(error.class, ErrorClass::Transient { .. }), "{error}");
                drop(first);
                while second.sink.commit(&decided).await.is_err_and(|e| matches!(e.class, ErrorClass::Transient { .. }))
                {
                }
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(names(&case, "held").await, ["1:a"]);
        assert_eq!(second.sink.commit(&decided).await.unwrap(), Committed::Before);
        assert!(second.sink.in_doubt().await.unwrap().is_empty());
        case.drop_database().await;
    }
}

#[tokio::test]
async fn units_survive_the_death_of_the_server() {
    for (variable, service) in [("EF_MYSQL", "mysql"), ("EF_MARIADB", "mariadb")] {
        let Some(shared) = Server::of(variable, "units_survive_the_death_of_the_server").await else { continue };
        let private = Private::start(service, "");
        let server = private.server(&shared);
        let case = Case::create(format!("{}:{}", server.host, server.port), server.user, server.password).await;
        let mut task = Task::of(&case, &xa(&case), "dead").await;
        let decided = task.prepare(1, vec![record("dead", 0, key(1), row(1, "a"))]).await;
        let undecided = task.prepare(2, vec![record("dead", 1, key(2), row(2, "b"))]).await;
        private.kill();
        private.up();
        let mut next = Task::of(&case, &xa(&case), "dead").await;
        let mut doubt = next.sink.in_doubt().await.unwrap();
        doubt.sort_by_key(|handle| handle.unit.commit);
        assert_eq!(doubt, [decided.clone(), undecided.clone()], "{service}");
        assert_eq!(next.sink.commit(&decided).await.unwrap(), Committed::Now);
        next.sink.abort(&undecided).await.unwrap();
        assert_eq!(names(&case, "dead").await, ["1:a"]);
        private.kill();
        private.up();
        let mut last = Task::of(&case, &xa(&case), "dead").await;
        assert_eq!(last.sink.commit(&decided).await.unwrap(), Committed::Before, "{service} remembers it");
        // A roll-back need not be on the disk: what was undecided may be there once more, and is rolled back once more.
        for again in last.sink.in_doubt().await.unwrap() {
            assert_eq!(again, undecided, "{service}");
            last.sink.abort(&again).await.unwrap();
        }
        assert_eq!(names(&case, "dead").await, ["1:a"]);
    }
}

#[tokio::test]
async fn tables_change_between_units_and_bad_rows_are_told() {
    let Some(Alone { case, server: _alone }) =
        Alone::of("EF_MYSQL", "tables_change_between_units_and_bad_rows_are_told").await
    else {
        return;
    };
    case.run("CREATE TABLE wide (id BIGINT PRIMARY KEY, name VARCHAR(3) NULL)").await;
    let mut task = Task::of(&case, &xa(&case), "wide").await;
    let rows = vec![
        record("wide", 0, key(1), row(1, "a")),
        record("wide", 1, key(2), row(2, "too long")),
        record("wide", 2, key(3), row(3, "c")),
    ];
    task.write(1, rows).await;
    assert_eq!(names(&case, "wide").await, ["1:a", "3:c"]);
    let told: Vec<_> = task.rejected.0.lock().iter().map(|(_, offset, _)| *offset).collect();
    assert_eq!(told, [Offset(1)]);
    case.run("ALTER TABLE wide DROP COLUMN name").await;
    task.write(2, vec![record("wide", 3, key(4), row(4, "d"))]).await;
    assert_eq!(names(&case, "wide").await, ["1:-", "3:-", "4:d"], "the column is there again");
    case.drop_database().await;
}

#[tokio::test]
async fn offsets_of_the_other_technique_count_until_the_first_unit() {
    let test = "offsets_of_the_other_technique_count_until_the_first_unit";
    let Some(Alone { case, server: _alone }) = Alone::of("EF_MYSQL", test).await else { return };
    let mut before = Started::new(&case, &upserting(&case), "branched", "moved").await;
    before.put(vec![record("moved", 0, key(1), row(1, "a"))]).await.unwrap();
    let mut lost = Task::of(&case, &xa(&case), "moved").await;
    assert_eq!(lost.from, StartAt::Stored(Offset(1)));
    let late = before.put(vec![record("moved", 1, key(2), row(2, "late"))]).await.unwrap_err();
    assert_eq!(late.class, ErrorClass::Fenced, "its owner is another one now");
    let undecided = lost.prepare(1, vec![record("moved", 1, key(2), row(2, "b"))]).await;
    lost.sink.abort(&undecided).await.unwrap();
    let mut task = Task::of(&case, &xa(&case), "moved").await;
    assert_eq!(task.from, StartAt::Stored(Offset(1)), "a unit that was rolled back has changed nothing");
    task.write(2, vec![record("moved", 1, key(2), row(2, "b"))]).await;
    assert_eq!(Task::of(&case, &xa(&case), "moved").await.from, StartAt::Group);
    let back = Started::new(&case, &upserting(&case), "branched", "moved").await;
    assert_eq!(back.from, StartAt::Group, "and the way back begins at the group's offset");
    assert_eq!(names(&case, "moved").await, ["1:a", "2:b"]);

    let offsets = BTreeMap::from([(at("moved"), Some(Offset(0)))]);
    case.sink().alter_offsets(&xa(&case), &task_id("branched", 0), &offsets).await.unwrap();
    assert_eq!(Task::of(&case, &xa(&case), "moved").await.from, StartAt::Group);
    case.drop_database().await;
}

#[tokio::test]
async fn names_of_old_units_do_not_pile_up() {
    let Some(Alone { case, server: _alone }) = Alone::of("EF_MYSQL", "names_of_old_units_do_not_pile_up").await else {
        return;
    };
    let mut task = Task::of(&case, &xa(&case), "many").await;
    for n in 1..=230_u64 {
        let offset = i64::try_from(n).unwrap();
        task.write(n, vec![record("many", offset, key(1), row(1, &n.to_string()))]).await;
    }
    let kept = case.query("SELECT COUNT(*) FROM elasticflow_units").await;
    assert_eq!(kept[0][0].as_deref(), Some("131"), "those from 100 on");
    assert_eq!(names(&case, "many").await, ["1:230"]);
    case.drop_database().await;
}

#[tokio::test]
async fn the_technique_is_refused_where_it_cannot_hold() {
    let Some(Alone { case, server: alone }) =
        Alone::of("EF_MYSQL", "the_technique_is_refused_where_it_cannot_hold").await
    else {
        return;
    };
    let twice = xa(&case).with("delivery.guarantee", "at-least-once");
    let report = case.sink().validate(&twice, &validating()).await;
    assert!(report.to_string().contains("xa is a way to exactly-once"), "{report}");
    let report = case.sink().validate(&xa(&case), &validating()).await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(case.sink().guarantee(&xa(&case)).unwrap(), Guarantee::ExactlyOnce);
    let mut root = alone.connect_as("root", "elasticflow").await;
    for sql in [
        "DROP USER IF EXISTS no_xa@'%'",
        "CREATE USER no_xa@'%' IDENTIFIED BY 'no_xa'",
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER ON *.* TO no_xa@'%'",
    ] {
        root.query_drop(sql).await.unwrap();
    }
    let without = xa(&case).with("connection.user", "no_xa").with("connection.password", "no_xa");
    let report = case.sink().validate(&without, &validating()).await;
    assert!(report.to_string().contains("GRANT XA_RECOVER_ADMIN"), "{report}");
    root.query_drop("DROP USER no_xa@'%'").await.unwrap();
    case.drop_database().await;
}

//! Chains of real transforms and predicates in both loops.
use crate::TaskKind;
use crate::testing::{Fixture, Hook, SinkScript, SinkType, scripted_batch, scripted_source, until};
use elasticflow_api::source::Boundary;

const KAFKA: &str = "org.apache.kafka.connect.transforms";

fn numbers(to: u64) -> Vec<String> {
    (0..to).map(|n| format!("v{n}")).collect()
}

/// Thirty records to the topic `out`, through the transforms of `keys`; gives the fixture when all are committed.
async fn sourced(keys: &[(&str, &str)]) -> Fixture {
    let script = scripted_source(|at| Ok((at < 30).then(|| scripted_batch(at, at + 10, Boundary::Complete))));
    let fixture = Fixture::new(Some(script));
    fixture.kafka.create("routed", 1);
    let named: Vec<(String, String)> =
        keys.iter().map(|(k, v)| ((*k).to_owned(), v.replace("kafka:", &format!("{KAFKA}.")))).collect();
    let keys: Vec<(&str, &str)> = named.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &keys)).unwrap();
    until("all is committed", || {
        fixture.kafka.table("offsets").get(r#"["c",{"p":"x"}]"#).map(String::as_str) == Some(r#"{"n":30}"#)
    })
    .await;
    fixture
}

/// A header marks, the mark routes, and what was not routed is dropped.
const CHAIN: [(&str, &str); 13] = [
    ("transforms.mark.type", "kafka:InsertHeader"),
    ("transforms.mark.header", "h"),
    ("transforms.mark.value.literal", "x"),
    ("transforms.route.type", "kafka:RegexRouter"),
    ("transforms.route.regex", "out"),
    ("transforms.route.replacement", "routed"),
    ("transforms.route.predicate", "marked"),
    ("transforms.drop.type", "Filter"),
    ("transforms.drop.predicate", "routed"),
    ("transforms.drop.negate", "true"),
    ("predicates.marked.type", "kafka:predicates.HasHeaderKey"),
    ("predicates.marked.name", "h"),
    ("predicates.routed.type", "TopicNameMatches"),
];

fn chain(transforms: &'static str) -> Vec<(&'static str, &'static str)> {
    let rest = [("transforms", transforms), ("predicates", "marked,routed"), ("predicates.routed.pattern", "rout.*")];
    CHAIN.into_iter().chain(rest).collect()
}

#[tokio::test(start_paused = true)]
async fn a_chain_with_predicates_and_a_negated_one_routes_and_keeps_records() {
    let fixture = sourced(&chain("mark,route,drop")).await;
    assert_eq!(fixture.kafka.values("routed"), numbers(30));
    assert!(fixture.kafka.values("out").is_empty());
}

#[tokio::test(start_paused = true)]
async fn records_that_a_transform_drops_still_move_the_offsets() {
    let fixture = sourced(&chain("route,drop")).await;
    assert!(fixture.kafka.values("routed").is_empty() && fixture.kafka.values("out").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sink_hands_its_offsets_to_the_transforms() {
    let script = SinkScript::new(SinkType::Idempotent, |_| Hook::Go);
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 1);
    fixture.kafka.write("in", &[("a", "x"), ("b", "y"), ("c", "z")]);
    let keys = [
        ("topics", "in"),
        ("transforms", "hoist,insert,cast,extract"),
        ("transforms.hoist.type", "HoistField$Value"),
        ("transforms.hoist.field", "v"),
        ("transforms.insert.type", "InsertField$Value"),
        ("transforms.insert.offset.field", "o!"),
        ("transforms.cast.type", "Cast$Value"),
        ("transforms.cast.spec", "o:string"),
        ("transforms.extract.type", "ExtractField$Value"),
        ("transforms.extract.field", "o"),
    ];
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Sink, &keys)).unwrap();
    until("all is written", || script.values().len() == 3).await;
    assert_eq!(script.values(), ["0", "1", "2"]);
}

//! Changes that the config topic does not take at once.
use crate::replay::{Ask, Reply, Target};
use crate::world::World;
use elasticflow_kafka::ports::KafkaError;
use serde_json::json;

async fn post(world: &World) -> Reply {
    let config = json!({"connector.class": "FileStreamSink", "topics": "a", "file": "/dev/null"});
    let body = json!({"name": "s", "config": config, "initial_state": "STOPPED"});
    world
        .ask(&Ask {
            method: "POST".to_owned(),
            path: "/connectors".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Some(serde_json::to_vec(&body).unwrap()),
            via: None,
        })
        .await
}

#[tokio::test]
async fn a_change_is_written_again_while_brokers_do_not_answer() {
    let world = World::start("default").await;
    let late = |of: &str| KafkaError::Retriable(format!("records were not delivered in time: {of}"));
    world.kafka.refuse([late("once"), late("twice")]);
    let reply = post(&world).await;
    assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(world.kafka.refusals_left(), 0);
}

#[tokio::test]
async fn a_change_that_may_not_be_written_is_refused_at_once() {
    let world = World::start("default").await;
    world.kafka.refuse([1, 2].map(|_| KafkaError::Config("the principal needs WRITE on the topic".to_owned())));
    let reply = post(&world).await;
    let text = String::from_utf8_lossy(&reply.body);
    assert!(reply.status == 500 && text.contains("needs WRITE on the topic. Nothing was changed"), "{text}");
    assert_eq!(world.kafka.refusals_left(), 1, "one try");
}

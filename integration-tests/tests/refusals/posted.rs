use crate::ground::{Ground, errors_of};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_configuration_is_refused_with_every_problem_and_the_nearest_names() {
    let ground = Ground::new("posted").await;
    let rest = ground.worker.rest();

    let (status, answer) = rest
        .call(
            "POST",
            "/connectors",
            Some(&json!({"name": "x", "config": {"connector.class": "ElasticsearchSinkConector"}})),
        )
        .await
        .unwrap();
    assert_eq!(status, 400, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("ElasticsearchSinkConnector"), "names the nearest: {answer}");

    let wrong = json!({
        "name": "x", "connector.class": "elasticflow.connectors.SqliteSinkConnector", "topics": "t",
        "insert.mode": "upsurt", "sqlite.busy.timeout.ms": "soon",
    });
    let path = "/connector-plugins/SqliteSinkConnector/config/validate";
    let answer = rest.expect("PUT", path, Some(&wrong)).await.unwrap();
    let errors = errors_of(&answer).join("\n");
    for expected in [
        "connection.url: Missing required configuration \"connection.url\" which has no default value.",
        "insert.mode: Invalid value upsurt for configuration insert.mode: String must be one of: insert, upsert, update",
        "sqlite.busy.timeout.ms: Invalid value soon for configuration sqlite.busy.timeout.ms: Not a number of type INT",
    ] {
        assert!(errors.contains(expected), "{expected}\nis not among\n{errors}");
    }

    let unknown = json!({
        "name": "x", "connector.class": "elasticflow.connectors.SqliteSinkConnector", "topics": "t",
        "connection.url": format!("jdbc:sqlite:{}", ground.dir.path().join("x.db").display()), "insert.moda": "upsert",
    });
    let answer = rest.expect("PUT", path, Some(&unknown)).await.unwrap();
    assert_eq!(answer["error_count"], 0, "{:?}", errors_of(&answer));
    let warnings = answer["elasticflow"]["warnings"].to_string();
    assert!(warnings.contains("insert.moda") && warnings.contains("insert.mode"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_is_refused_and_the_worker_goes_on() {
    let ground = Ground::new("malformed").await;
    let client = elasticflow_integration_tests::rest::http_client();
    let url = format!("http://127.0.0.1:{}/connectors", ground.worker.options.port);
    for body in ["{", "[]", "{\"name\": 1", "\u{0}", "{\"name\":\"x\",\"config\":{\"a\":[1]}}"] {
        let request = client.post(&url).header("Content-Type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_client_error() || answer.status().as_u16() == 500, "{body}: {}", answer.status());
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert!(answer["message"].is_string(), "{body}: {answer}");
    }
    assert!(ground.worker.rest().is_ready().await);
}

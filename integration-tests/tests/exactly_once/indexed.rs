//! One sink into an index of the test Elasticsearch.
use elasticflow_integration_tests::scenes::one_sink::Scene;
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A scene whose sink writes to the index of its topic's name.
pub(crate) struct Indexed {
    pub(crate) bootstrap: String,
    pub(crate) search: Search,
    pub(crate) scene: Scene,
    pub(crate) index: String,
    /// Where the worker's files are, as long as it lives.
    pub(crate) dir: TempDir,
}

/// Starts a worker and the sink; `None`, and a word about what is skipped, without the servers.
pub(crate) async fn indexed(name: &'static str, what: &str) -> Option<Indexed> {
    let (Ok(bootstrap), Ok(url)) = (setting("EF_KAFKA"), setting("EF_ELASTICSEARCH")) else {
        println!("skipped: {what} needs EF_KAFKA and EF_ELASTICSEARCH");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::start(dir.path(), &bootstrap, name, into_index(&url)).await.unwrap();
    Some(Indexed { bootstrap, search: Search::new(&url), index: scene.topic.clone(), scene, dir })
}

/// Settings of a sink into an index.
pub(crate) fn into_index(url: &str) -> Value {
    json!({
        "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
        "connection.url": url, "schema.ignore": "true",
    })
}

/// A mapping that refuses texts where numbers are to be.
pub(crate) fn numbers() -> Value {
    json!({"mappings": {"properties": {"id": {"type": "long"}, "n": {"type": "long"}}}})
}

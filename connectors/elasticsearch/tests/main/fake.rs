//! A server that keeps documents by external version as Elasticsearch does, and fails as it is told to.
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post, put};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// What a bulk request runs into.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The whole request is refused.
    Status(u16, Json),
    /// The items of these `_id`s are refused.
    Items(Vec<&'static str>, u16, Json),
    /// Everything is applied and the connection breaks before the answer.
    LoseAnswer,
    /// An answer that is no bulk answer.
    Nonsense,
    /// Documents of this many bytes and more are too large.
    TooLarge(usize),
}

/// A stored document; `None` is the memory of a delete.
pub(crate) type Stored = (u64, Option<Json>);

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) indices: BTreeMap<String, Json>,
    pub(crate) documents: BTreeMap<(String, String), Stored>,
    /// `_id`s of every bulk request, in order.
    pub(crate) requests: Vec<Vec<String>>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) down: bool,
    pub(crate) login: Option<&'static str>,
    pub(crate) seen_headers: HashMap<String, String>,
}

pub(crate) type Shared = Arc<Mutex<Server>>;

/// Starts a server on a free port; it ends with the test's runtime.
pub(crate) async fn start() -> (String, Shared) {
    let shared: Shared = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/", get(root))
        .route("/_bulk", post(bulk))
        .route("/{index}/_settings", get(settings))
        .route("/{index}/_mapping", get(mapping).put(add_mapping))
        .route("/{index}", put(create))
        .with_state(Arc::clone(&shared));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, shared)
}

fn answer(status: u16, body: &Json) -> Response<Body> {
    Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::from(body.to_string())).unwrap()
}

/// Headers, then a broken connection.
fn broken() -> Response<Body> {
    let error = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("broken")) });
    Response::new(Body::from_stream(error))
}

async fn root(State(server): State<Shared>, headers: axum::http::HeaderMap) -> Response<Body> {
    let mut server = server.lock().unwrap();
    if server.down {
        return broken();
    }
    let sent = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    if server.login.is_some_and(|login| login != sent) {
        let reason = "unable to authenticate user [x]";
        return answer(401, &json!({"error": {"type": "security_exception", "reason": reason}, "status": 401}));
    }
    server.seen_headers.insert("authorization".to_owned(), sent);
    answer(200, &json!({"version": {"number": "7.17.29"}}))
}

async fn settings(State(server): State<Shared>, Path(index): Path<String>) -> Response<Body> {
    let server = server.lock().unwrap();
    match server.indices.get(&index) {
        _ if server.down => broken(),
        Some(_) => answer(200, &json!({index: {"settings": {"index.translog.durability": "request"}}})),
        None => answer(404, &json!({"error": {"type": "index_not_found_exception", "reason": "no such index"}})),
    }
}

async fn mapping(State(server): State<Shared>, Path(index): Path<String>) -> Response<Body> {
    let body = server.lock().unwrap().indices[&index].clone();
    answer(200, &json!({index: {"mappings": body["mappings"]}}))
}

async fn add_mapping(State(server): State<Shared>, Path(index): Path<String>, body: Bytes) -> Response<Body> {
    let added: Json = serde_json::from_slice(&body).unwrap();
    let mut server = server.lock().unwrap();
    let properties = &mut server.indices.get_mut(&index).unwrap()["mappings"]["properties"];
    for (name, mapping) in added["properties"].as_object().unwrap() {
        properties[name] = mapping.clone();
    }
    answer(200, &json!({"acknowledged": true}))
}

async fn create(State(server): State<Shared>, Path(index): Path<String>, body: Bytes) -> Response<Body> {
    let mut server = server.lock().unwrap();
    if server.indices.contains_key(&index) {
        return answer(400, &json!({"error": {"type": "resource_already_exists_exception", "reason": "exists"}}));
    }
    server.indices.insert(index, serde_json::from_slice(&body).unwrap());
    answer(200, &json!({"acknowledged": true}))
}

async fn bulk(State(server): State<Shared>, body: Bytes) -> Response<Body> {
    let mut server = server.lock().unwrap();
    if server.down {
        return broken();
    }
    let actions = actions(&body);
    server.requests.push(actions.iter().map(|action| action.id.clone()).collect());
    match server.faults.front() {
        Some(Fault::TooLarge(bytes)) if body.len() >= *bytes => {
            return Response::builder().status(413).body(Body::empty()).unwrap();
        }
        Some(Fault::TooLarge(_)) => {}
        Some(_) => {
            let fault = server.faults.pop_front().unwrap();
            return failing(&mut server, actions, fault);
        }
        None => {}
    }
    let items: Vec<Json> = actions.into_iter().map(|action| server.apply(action)).collect();
    answer(200, &items_answer(&items))
}

fn failing(server: &mut Server, actions: Vec<Action>, fault: Fault) -> Response<Body> {
    match fault {
        Fault::Status(status, error) => answer(status, &json!({"error": error, "status": status})),
        Fault::Nonsense => Response::new(Body::from("<html>proxy</html>")),
        Fault::LoseAnswer => {
            actions.into_iter().for_each(|action| drop(server.apply(action)));
            broken()
        }
        Fault::Items(ids, status, error) => {
            let items = actions.into_iter().map(|action| match ids.contains(&action.id.as_str()) {
                true => json!({action.verb: {"status": status, "error": error}}),
                false => server.apply(action),
            });
            answer(200, &items_answer(&items.collect::<Vec<_>>()))
        }
        Fault::TooLarge(_) => Response::builder().status(413).body(Body::empty()).unwrap(),
    }
}

fn items_answer(items: &[Json]) -> Json {
    let failed = |item: &Json| item.as_object().unwrap().values().any(|answer| answer.get("error").is_some());
    json!({"errors": items.iter().any(failed), "items": items})
}

struct Action {
    verb: String,
    index: String,
    id: String,
    version: Option<u64>,
    document: Option<Json>,
}

fn actions(body: &[u8]) -> Vec<Action> {
    let mut lines = body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let mut actions = Vec::new();
    while let Some(line) = lines.next() {
        let head: Json = serde_json::from_slice(line).unwrap();
        let (verb, head) = head.as_object().unwrap().iter().next().unwrap();
        assert_eq!(head.get("version").is_some(), head["version_type"] == "external");
        actions.push(Action {
            verb: verb.clone(),
            index: head["_index"].as_str().unwrap().to_owned(),
            id: head["_id"].as_str().unwrap_or_default().to_owned(),
            version: head["version"].as_u64(),
            document: (verb != "delete").then(|| serde_json::from_slice(lines.next().unwrap()).unwrap()),
        });
    }
    actions
}

impl Server {
    /// The documents of an index that are there, with their versions.
    pub(crate) fn live(&self, index: &str) -> BTreeMap<String, (u64, Json)> {
        let of_index = self.documents.iter().filter(|((i, _), _)| i == index);
        of_index.filter_map(|((_, id), (version, doc))| Some((id.clone(), (*version, doc.clone()?)))).collect()
    }

    fn apply(&mut self, action: Action) -> Json {
        if !self.indices.contains_key(&action.index) {
            let error = json!({"type": "index_not_found_exception", "reason": "no such index"});
            return json!({action.verb: {"status": 404, "error": error}});
        }
        let place = (action.index.clone(), action.id.clone());
        let there = self.documents.get(&place).cloned();
        let conflict = match (action.verb.as_str(), action.version, &there) {
            ("create", _, Some((_, Some(_)))) => true,
            (_, Some(version), Some((current, _))) => version <= *current,
            _ => false,
        };
        if conflict {
            let reason = format!("[{}]: version conflict, current version is higher", action.id);
            return json!({action.verb: {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": reason}}});
        }
        let version = action.version.unwrap_or_else(|| there.as_ref().map_or(1, |(version, _)| version + 1));
        let document = match (action.verb.as_str(), action.document) {
            ("update", Some(update)) => {
                let mut merged = there.as_ref().and_then(|(_, doc)| doc.clone()).unwrap_or_else(|| json!({}));
                for (name, value) in update["doc"].as_object().unwrap() {
                    merged[name] = value.clone();
                }
                Some(merged)
            }
            (_, document) => document,
        };
        let status = if action.verb == "delete" && there.is_none_or(|(_, doc)| doc.is_none()) { 404 } else { 200 };
        self.documents.insert(place, (version, document));
        json!({action.verb: {"status": status}})
    }
}

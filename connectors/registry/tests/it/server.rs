//! A registry in this process that keeps to the recorded protocol, and fails on demand.
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A running registry.
pub(crate) struct TestRegistry {
    pub(crate) url: String,
    pub(crate) state: Shared,
}

pub(crate) type Shared = Arc<Mutex<Kept>>;

#[derive(Default)]
pub(crate) struct Kept {
    /// Type, text, references; the id is the place plus one.
    pub(crate) schemas: Vec<(String, String, Json)>,
    /// Ids by version.
    pub(crate) subjects: BTreeMap<String, Vec<usize>>,
    /// Subjects that take nothing new.
    pub(crate) closed: Vec<String>,
    /// Answers that fail before the next one that does not.
    pub(crate) failures: Vec<u16>,
    /// Method, path, Authorization.
    pub(crate) requests: Vec<(String, String)>,
    /// The Authorization that is asked for.
    pub(crate) authorization: Option<String>,
}

impl TestRegistry {
    pub(crate) async fn start() -> Self {
        let state = Shared::default();
        let routes = Router::new()
            .route("/base/schemas/ids/{id}", get(by_id))
            .route("/base/schemas/ids/{id}/versions", get(versions_of))
            .route("/base/subjects/{subject}", post(look_up))
            .route("/base/subjects/{subject}/versions", post(register))
            .route("/base/subjects/{subject}/versions/{version}", get(version))
            .with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, state }
    }

    /// Puts a schema under a subject; gives its id.
    pub(crate) fn put(&self, subject: &str, schema_type: &str, text: &str, references: Json) -> usize {
        self.state.lock().unwrap().put(subject, (schema_type.to_owned(), text.to_owned(), references))
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.iter().map(|(line, _)| line.clone()).collect()
    }
}

impl Kept {
    fn put(&mut self, subject: &str, schema: (String, String, Json)) -> usize {
        let place = self.schemas.iter().position(|known| *known == schema).unwrap_or_else(|| {
            self.schemas.push(schema);
            self.schemas.len() - 1
        });
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        if !versions.contains(&(place + 1)) {
            versions.push(place + 1);
        }
        place + 1
    }

    /// Notes a request; an answer if it must fail.
    fn note(&mut self, method: &str, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let said = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let refused = self.authorization.as_ref().is_some_and(|wanted| *wanted != said);
        self.requests.push((format!("{method} {uri}"), said));
        if refused {
            return Some(answer(401, &json!({"error_code": 40101, "message": "Unauthorized"})));
        }
        if self.failures.is_empty() {
            return None;
        }
        let status = self.failures.remove(0);
        Some(answer(status, &json!({"error_code": u32::from(status) * 100 + 1, "message": "it fails"})))
    }
}

fn answer(status: u16, body: &Json) -> Response {
    let kind = [("content-type", "application/vnd.schemaregistry.v1+json")];
    (StatusCode::from_u16(status).unwrap(), kind, body.to_string()).into_response()
}

fn not_found(code: u32) -> Response {
    answer(404, &json!({"error_code": code, "message": "there is none"}))
}

fn brought(body: &Bytes) -> (String, String, Json) {
    let body: Json = serde_json::from_slice(body).unwrap();
    let of = |key: &str| body[key].as_str().map(str::to_owned);
    let references = if body["references"].is_array() { body["references"].clone() } else { json!([]) };
    (of("schemaType").unwrap_or_else(|| "AVRO".to_owned()), of("schema").unwrap(), references)
}

async fn register(
    State(state): State<Shared>,
    Path(subject): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut kept = state.lock().unwrap();
    if let Some(failure) = kept.note("POST", &uri, &headers) {
        return failure;
    }
    if kept.closed.contains(&subject) {
        return answer(
            409,
            &json!({"error_code": 409, "message": "Schema being registered is incompatible: type mismatch at /fields/0"}),
        );
    }
    let id = kept.put(&subject, brought(&body));
    answer(200, &json!({ "id": id }))
}

async fn look_up(
    State(state): State<Shared>,
    Path(subject): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut kept = state.lock().unwrap();
    if let Some(failure) = kept.note("POST", &uri, &headers) {
        return failure;
    }
    let schema = brought(&body);
    let Some(versions) = kept.subjects.get(&subject) else { return not_found(40401) };
    let place = versions.iter().position(|id| kept.schemas[id - 1] == schema);
    match place {
        Some(place) => {
            answer(200, &json!({"subject": subject, "version": place + 1, "id": versions[place], "schema": schema.1}))
        }
        None => not_found(40403),
    }
}

async fn version(
    State(state): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let mut kept = state.lock().unwrap();
    if let Some(failure) = kept.note("GET", &uri, &headers) {
        return failure;
    }
    let Some(versions) = kept.subjects.get(&subject) else { return not_found(40401) };
    let number = if version == "latest" { versions.len() } else { version.parse().unwrap() };
    let Some(id) = versions.get(number.wrapping_sub(1)) else { return not_found(40402) };
    let (schema_type, text, references) = &kept.schemas[id - 1];
    answer(
        200,
        &json!({
            "subject": subject, "version": number, "id": id, "schemaType": schema_type, "schema": text, "references": references,
        }),
    )
}

async fn by_id(State(state): State<Shared>, Path(id): Path<usize>, uri: Uri, headers: HeaderMap) -> Response {
    let mut kept = state.lock().unwrap();
    if let Some(failure) = kept.note("GET", &uri, &headers) {
        return failure;
    }
    match kept.schemas.get(id.wrapping_sub(1)) {
        Some((schema_type, text, references)) if schema_type == "AVRO" => {
            answer(200, &json!({"schema": text, "references": references}))
        }
        Some((schema_type, text, references)) => {
            answer(200, &json!({"schemaType": schema_type, "schema": text, "references": references}))
        }
        None => not_found(40403),
    }
}

async fn versions_of(State(state): State<Shared>, Path(id): Path<usize>, uri: Uri, headers: HeaderMap) -> Response {
    let mut kept = state.lock().unwrap();
    if let Some(failure) = kept.note("GET", &uri, &headers) {
        return failure;
    }
    let of = |(subject, versions): (&String, &Vec<usize>)| {
        let place = versions.iter().position(|known| *known == id)?;
        Some(json!({"subject": subject, "version": place + 1}))
    };
    let all: Vec<Json> = kept.subjects.iter().filter_map(of).collect();
    if all.is_empty() { not_found(40403) } else { answer(200, &Json::from(all)) }
}

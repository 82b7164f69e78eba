//! Indices: made when they are missing, given the fields that records bring.
use crate::client::{Call, Client, Reply};
use crate::config::ElasticsearchConfig;
use crate::error::Error;
use crate::mapping::{Mappings, missing};
use crate::stream::{self, Contents, check_is_stream};
use crate::timestamp::TIMESTAMP;
use elasticflow_api::data::SchemaRef;
use serde_json::{Map, Value as Json, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;
use tracing::{info, warn};

/// Most schemas remembered per index as mapped; beyond, they are looked at again.
const SCHEMAS_MAX: usize = 1000;

/// Most indices that are remembered: dated names have no end.
const INDICES_MAX: usize = 1000;

/// What is known of the indices.
pub(crate) struct Indices {
    auto_create: AtomicBool,
    /// Elasticsearch 6 is told to leave types out of mappings.
    query: &'static str,
    /// Whether the names are those of data streams.
    streams: bool,
    settings: Json,
    mapping: Option<Json>,
    mappings: Mappings,
    /// One creation at a time; also taken by a sender whose index has vanished.
    known: Mutex<HashMap<Arc<str>, Known>>,
}

#[derive(Default)]
struct Known {
    /// Everything that records of this index have brought.
    properties: Map<String, Json>,
    /// Schemas that are mapped; holding them keeps their addresses taken.
    mapped: HashMap<usize, SchemaRef>,
}

impl Indices {
    /// Reads the files of settings and mapping.
    pub(crate) fn new(config: &ElasticsearchConfig, major: u32) -> Result<Self, Error> {
        let mut settings = match &config.settings_file {
            Some(path) => json_file("index.settings.file", path)?,
            None => json!({}),
        };
        let given = settings.get("index.gc_deletes").is_some() || settings.pointer("/index/gc_deletes").is_some();
        if let (false, Some(object)) = (given || config.is_stream(), settings.as_object_mut()) {
            object.insert("index.gc_deletes".to_owned(), json!(config.gc_deletes));
        }
        let mapping = config.mapping_file.as_ref().map(|path| json_file("index.mapping.file", path)).transpose()?;
        Ok(Self {
            auto_create: AtomicBool::new(config.auto_create),
            query: if major == 6 { "?include_type_name=false" } else { "" },
            streams: config.is_stream(),
            settings,
            mapping,
            mappings: Mappings { decimals: config.decimals, compact_maps: config.compact_maps },
            known: Mutex::new(HashMap::new()),
        })
    }

    /// Staging indices are made whatever `index.auto.create` says: nobody else can.
    pub(crate) fn create_all(&self) {
        self.auto_create.store(true, Ordering::Relaxed);
    }

    /// Makes sure that an index is there and has the fields of a schema.
    ///
    /// An index is made without them first: what the templates of the server map is theirs to say, and only what is lacking
    /// then is added.
    pub(crate) async fn prepare(
        &self,
        client: &Client,
        index: &Arc<str>,
        schema: Option<&SchemaRef>,
    ) -> Result<(), Error> {
        let schema = schema.filter(|_| self.mapping.is_none());
        let mut known = self.known.lock().await;
        if known.len() >= INDICES_MAX && !known.contains_key(index) {
            known.clear();
        }
        let entry = match known.get_mut(index) {
            Some(entry) => entry,
            None => {
                let wanted = schema.map(|schema| self.wanted(schema)).unwrap_or_default();
                self.find_or_create(client, index, &wanted).await?;
                known.entry(Arc::clone(index)).or_default()
            }
        };
        let Some(schema) = schema else { return Ok(()) };
        if entry.mapped.contains_key(&Arc::as_ptr(schema).addr()) {
            return Ok(());
        }
        let wanted = self.wanted(schema);
        if missing(&wanted, &Json::Object(entry.properties.clone())).is_empty() {
            entry.remember(schema);
            return Ok(());
        }
        self.add_fields(client, index, &wanted).await?;
        entry.properties.extend(wanted);
        entry.remember(schema);
        Ok(())
    }

    fn wanted(&self, schema: &SchemaRef) -> Map<String, Json> {
        let mut properties = self.mappings.properties(schema);
        if self.streams {
            // Every data stream maps it as a date.
            properties.remove(TIMESTAMP);
        }
        properties
    }

    /// Makes an index again that has vanished under a running task.
    pub(crate) async fn create_again(&self, client: &Client, index: &Arc<str>) -> Result<(), Error> {
        let known = self.known.lock().await;
        let wanted = known.get(index).map(|known| known.properties.clone()).unwrap_or_default();
        warn!(index = &**index, "the index has vanished; it is made again");
        self.find_or_create(client, index, &wanted).await?;
        if wanted.is_empty() { Ok(()) } else { self.add_fields(client, index, &wanted).await }
    }

    async fn find_or_create(&self, client: &Client, index: &str, wanted: &Map<String, Json>) -> Result<(), Error> {
        let settings = client.ask_patiently(&Call::get(&format!("/{index}/_settings?flat_settings=true"))).await?;
        match settings.status {
            200 if self.streams => check_is_stream(index, &settings),
            200 => {
                if has_async_translog(&settings) {
                    warn!(
                        index,
                        code = "ES-0012",
                        "translog durability is async; acknowledged documents can be lost in a crash of the server"
                    );
                }
                Ok(())
            }
            404 if !self.auto_create.load(Ordering::Relaxed) => Err(Error::IndexMissing { index: index.to_owned() }),
            404 if self.streams => {
                let (settings, mapping) = (&self.settings, self.mapping.as_ref());
                stream::create(client, index, &Contents { settings, mapping, properties: wanted }).await
            }
            404 => self.create(client, index).await,
            _ => Err(settings.refusal()),
        }
    }

    async fn create(&self, client: &Client, index: &str) -> Result<(), Error> {
        let mut body = json!({"settings": self.settings});
        if let Some(mapping) = &self.mapping {
            body["mappings"] = mapping.clone();
        }
        let reply = client.ask_patiently(&Call::put_json(&format!("/{index}{}", self.query), &body)).await?;
        match reply.status {
            200..=299 => {
                info!(index, "index created");
                Ok(())
            }
            // Another task was faster, or the answer to the first attempt was lost.
            400 if is_already_there(&reply) => Ok(()),
            _ => Err(reply.refusal()),
        }
    }

    /// Adds the fields that the index lacks; those it has keep their type.
    async fn add_fields(&self, client: &Client, index: &str, wanted: &Map<String, Json>) -> Result<(), Error> {
        let path = format!("/{index}/_mapping{}", self.query);
        let reply = client.ask_patiently(&Call::get(&path)).await?;
        match reply.status {
            200 => {}
            // Its first document will make it, by its template.
            404 if self.streams => return stream::widen_template(client, index, wanted).await,
            _ => return Err(reply.refusal()),
        }
        let present: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
        let mut lacking = Map::new();
        for of_index in present.as_object().into_iter().flat_map(Map::values) {
            let there = of_index.pointer("/mappings/properties").unwrap_or(&Json::Null);
            lacking.extend(missing(wanted, there));
        }
        if lacking.is_empty() {
            return Ok(());
        }
        if self.streams {
            stream::widen_template(client, index, &lacking).await?;
        }
        let reply = client.ask_patiently(&Call::put_json(&path, &json!({"properties": lacking}))).await?;
        if (200..300).contains(&reply.status) { Ok(()) } else { Err(reply.refusal()) }
    }
}

impl Known {
    fn remember(&mut self, schema: &SchemaRef) {
        if self.mapped.len() >= SCHEMAS_MAX {
            self.mapped.clear();
        }
        self.mapped.insert(Arc::as_ptr(schema).addr(), Arc::clone(schema));
    }
}

fn has_async_translog(reply: &Reply) -> bool {
    let json: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
    let durability =
        |of_index: &Json| of_index.get("settings")?.get("index.translog.durability")?.as_str().map(str::to_owned);
    let found: HashSet<String> = json.as_object().into_iter().flat_map(Map::values).filter_map(durability).collect();
    found.iter().any(|word| word.eq_ignore_ascii_case("async"))
}

fn is_already_there(reply: &Reply) -> bool {
    let kind = crate::answer::ServerError::from_body(&reply.body).kind;
    matches!(kind.as_str(), "resource_already_exists_exception" | "index_already_exists_exception")
}

fn json_file(key: &str, path: &str) -> Result<Json, Error> {
    let text = std::fs::read(path).map_err(|error| Error::Setting(format!("{key}: {path}: {error}")))?;
    let json: Json = serde_json::from_slice(&text).map_err(|e| Error::Setting(format!("{key}: {path}: {e}")))?;
    if json.is_object() { Ok(json) } else { Err(Error::Setting(format!("{key}: {path}: not a JSON object"))) }
}

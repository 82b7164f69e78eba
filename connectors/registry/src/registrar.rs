//! From a schema to its id and back: everything that is asked of the registry, whatever the format.
use crate::client::{Client, Found, schema_body};
use crate::error::Error;
use crate::settings::RegistrySettings;
use crate::subject::SubjectNames;
use std::collections::HashSet;

/// Most schemas that one schema may need.
const REFERENCES_MAX: usize = 200;

/// A schema with what it needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// Its text.
    pub(crate) text: String,
    /// Name and text of every schema that it needs, each after those that it needs itself.
    pub(crate) references: Vec<(String, String)>,
    /// `AVRO`, `JSON`, `PROTOBUF`.
    pub(crate) schema_type: String,
}

/// What records are written with.
pub(crate) struct Placed {
    pub(crate) id: u32,
    /// The registered schema to write with, in place of the records' own.
    pub(crate) target: Option<Target>,
}

/// A registered schema that the configuration tells to write with.
pub(crate) struct Target {
    pub(crate) source: Source,
    /// Whether records must fit without loss.
    pub(crate) strict: bool,
    /// For messages.
    pub(crate) label: String,
}

enum Mode {
    Register,
    LookUp,
    Latest { strict: bool },
    Id { id: u32, strict: bool },
}

/// Asks the registry, in the way that is configured.
pub(crate) struct Registrar {
    client: Client,
    mode: Mode,
    /// How subjects are named.
    pub(crate) subjects: SubjectNames,
}

impl Registrar {
    pub(crate) fn new(settings: &RegistrySettings, is_key: bool) -> Result<Self, Error> {
        settings.check()?;
        let mode = match (settings.auto_register, settings.use_id, settings.use_latest) {
            (true, ..) => Mode::Register,
            (false, Some(id), _) => Mode::Id { id, strict: settings.id_strict },
            (false, None, true) => Mode::Latest { strict: settings.latest_strict },
            (false, None, false) => Mode::LookUp,
        };
        let class = if is_key { &settings.key_subjects } else { &settings.value_subjects };
        let subjects = SubjectNames::of_class(class)
            .ok_or_else(|| Error::Setting(format!("{class} is no subject name strategy")))?;
        Ok(Self { client: Client::new(settings)?, mode, subjects })
    }

    /// The id to write records with. `failed` are Connect's words for a record that cannot be written.
    pub(crate) async fn place(
        &self,
        subject: &str,
        schema_type: &str,
        text: &str,
        failed: &str,
    ) -> Result<Placed, Error> {
        match &self.mode {
            Mode::Register => {
                let id = self.client.register(subject, schema_body(schema_type, text)).await?;
                tracing::info!(subject, id, "the schema of the records is registered");
                Ok(Placed { id, target: None })
            }
            Mode::LookUp => match self.client.look_up(subject, schema_body(schema_type, text)).await? {
                Ok(id) => Ok(Placed { id, target: None }),
                Err(reason) => {
                    Err(Error::NotRegistered { action: failed.to_owned(), subject: subject.to_owned(), reason })
                }
            },
            Mode::Latest { strict } => {
                let found = self.client.latest(subject).await?;
                let found = found.map_err(|reason| Error::Missing { wanted: format!("subject {subject}"), reason })?;
                let version = found.version.map_or_else(|| "latest".to_owned(), |v| v.to_string());
                let id = found.id.ok_or_else(|| Error::Missing {
                    wanted: format!("an id of subject {subject}"),
                    reason: "the registry gives none".to_owned(),
                })?;
                let label = format!("version {version} of subject {subject}, id {id}");
                self.with(id, found, *strict, label).await
            }
            Mode::Id { id, strict } => {
                let found = self.client.by_id(*id).await?;
                let found = found.map_err(|reason| Error::Missing { wanted: format!("schema id {id}"), reason })?;
                self.with(*id, found, *strict, format!("schema id {id}")).await
            }
        }
    }

    async fn with(&self, id: u32, found: Found, strict: bool, label: String) -> Result<Placed, Error> {
        let source = self.complete(found).await?;
        Ok(Placed { id, target: Some(Target { source, strict, label }) })
    }

    /// The schema of an id; the inner error is the registry's word that there is none.
    pub(crate) async fn fetch(&self, id: u32) -> Result<Result<Source, String>, Error> {
        match self.client.by_id(id).await? {
            Ok(found) => self.complete(found).await.map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// The version of an id under a subject.
    pub(crate) async fn version(&self, id: u32, subject: &str) -> Result<Option<i32>, Error> {
        self.client.version_of(id, subject).await
    }

    /// Fetches what a schema needs, depth first.
    async fn complete(&self, found: Found) -> Result<Source, Error> {
        let mut source = Source {
            text: found.schema,
            references: Vec::new(),
            schema_type: found.schema_type.unwrap_or_else(|| "AVRO".to_owned()),
        };
        let mut seen: HashSet<(String, i32)> = HashSet::new();
        // A schema is visited twice: before and after those that it needs.
        let mut open: Vec<Step> = found.references.unwrap_or_default().into_iter().rev().map(Step::Fetch).collect();
        while let Some(step) = open.pop() {
            match step {
                Step::Take(name, text) => source.references.push((name, text)),
                Step::Fetch(needed) if seen.insert((needed.subject.clone(), needed.version)) => {
                    if seen.len() > REFERENCES_MAX {
                        return Err(Error::Setting(format!("a schema needs more than {REFERENCES_MAX} others")));
                    }
                    let found = self.client.version(&needed.subject, needed.version).await?;
                    let found = found.map_err(|reason| Error::Missing {
                        wanted: format!("version {} of subject {}", needed.version, needed.subject),
                        reason,
                    })?;
                    open.push(Step::Take(needed.name, found.schema));
                    open.extend(found.references.unwrap_or_default().into_iter().rev().map(Step::Fetch));
                }
                Step::Fetch(_) => {}
            }
        }
        Ok(source)
    }
}

enum Step {
    Fetch(crate::client::Reference),
    Take(String, String),
}

//! References to secrets, such as `${file:/etc/secrets.properties:password}`, and where they may point.
//!
//! Connect's syntax and provider keys. A reference is resolved on the worker that needs the value, for validation and at
//! start, and never stored. A provider reads only what its parameters allow. What a provider does not have stays as it
//! is, as in Connect, and is listed as unresolved.
use crate::check::list;
use crate::properties::Properties;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// Largest file a reference may name: secrets are small.
const FILE_BYTES_MAX: u64 = 1 << 20;

static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}").ok());

/// Why a reference cannot be resolved. The message names the reference, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The file or folder cannot be read.
    #[error("{key}: could not read {path} for the reference {reference}: {reason}")]
    Unreadable {
        /// Configuration key.
        key: String,
        /// The reference as written.
        reference: String,
        /// File or folder.
        path: String,
        /// Why.
        reason: String,
    },
    /// The provider's parameters exclude it.
    #[error(
        "{key}: the reference {reference} is outside what {parameter} allows; extend it in the worker's configuration or move the secret"
    )]
    NotAllowed {
        /// Configuration key.
        key: String,
        /// The reference as written.
        reference: String,
        /// Worker key that forbids it.
        parameter: String,
    },
}

/// Why a worker's `config.providers` keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ProviderError {
    /// Worker key.
    pub key: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Resolved properties and what was found on the way.
#[derive(Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Properties with the values in the place of the references.
    pub properties: Properties,
    /// Keys whose value holds a secret: they are shown as they were posted.
    pub secret_keys: BTreeSet<String>,
    /// Key and reference of what no provider has: left as they are.
    pub unresolved: Vec<(String, String)>,
}

impl Resolved {
    /// A message about a key with the reference in the place of what it resolved to.
    pub fn hide(&self, posted: &Properties, key: &str, message: &str) -> String {
        let secret = self.properties.value(key).filter(|_| self.secret_keys.contains(key)).map(str::trim);
        match (secret.filter(|text| !text.is_empty()), posted.value(key)) {
            (Some(secret), Some(reference)) => message.replace(secret, reference),
            _ => message.to_owned(),
        }
    }
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&String> = self.properties.0.keys().collect();
        f.debug_struct("Resolved").field("keys", &keys).field("secret_keys", &self.secret_keys).finish()
    }
}

#[derive(Debug, Clone)]
enum Provider {
    File { allowed: Option<Vec<PathBuf>> },
    Directory { allowed: Option<Vec<PathBuf>> },
    Env { allowed: Option<Regex> },
}

/// Names of environment variables and their values, or none; a port, so that tests need no process environment.
pub type EnvLookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Resolves references with the providers of a worker.
#[derive(Clone)]
pub struct Resolver {
    providers: BTreeMap<String, Provider>,
    env: EnvLookup,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { providers: BTreeMap::new(), env: Arc::new(|name| std::env::var(name).ok()) }
    }
}

impl Resolver {
    /// Reads `config.providers` and the keys below it.
    ///
    /// # Errors
    /// An unknown provider class, a missing class, a parameter that does not parse: dropping one would drop security.
    pub fn from_worker(worker: &Properties) -> Result<Self, ProviderError> {
        let mut resolver = Self::default();
        for name in list(worker.value("config.providers").unwrap_or("")).into_iter().filter(|n| !n.is_empty()) {
            resolver.providers.insert(name.to_owned(), provider(worker, name)?);
        }
        Ok(resolver)
    }

    /// Reads environment variables from elsewhere.
    #[must_use]
    pub fn with_env(mut self, env: EnvLookup) -> Self {
        self.env = env;
        self
    }

    /// Worker keys that would restrict a provider and are not set.
    pub fn unrestricted(&self) -> Vec<String> {
        let open = |(name, provider): (&String, &Provider)| match provider {
            Provider::File { allowed: None } | Provider::Directory { allowed: None } => {
                Some(parameter(name, "allowed.paths"))
            }
            Provider::Env { allowed: None } => Some(parameter(name, "allowlist.pattern")),
            _ => None,
        };
        self.providers.iter().filter_map(open).collect()
    }

    /// Puts values in the place of references.
    ///
    /// # Errors
    /// A reference that is not allowed or whose file cannot be read.
    pub fn resolve(&self, properties: &Properties) -> Result<Resolved, ReferenceError> {
        let mut resolved =
            Resolved { properties: properties.clone(), secret_keys: BTreeSet::new(), unresolved: Vec::new() };
        for (key, value) in &mut resolved.properties.0 {
            let Some(pattern) = REFERENCE.as_ref().filter(|_| value.contains("${")) else { continue };
            let mut text = String::new();
            let mut end = 0;
            for found in pattern.captures_iter(value) {
                let Some(whole) = found.get(0) else { continue };
                let part = |i: usize| found.get(i).map(|m| m.as_str());
                let reference = Reference { key, whole: whole.as_str(), path: part(3), name: part(4).unwrap_or("") };
                text.push_str(value.get(end..whole.start()).unwrap_or(""));
                end = whole.end();
                match self.value(part(1).unwrap_or(""), &reference)? {
                    Some(secret) => {
                        text.push_str(&secret);
                        resolved.secret_keys.insert(key.clone());
                    }
                    None => {
                        text.push_str(whole.as_str());
                        resolved.unresolved.push((key.clone(), whole.as_str().to_owned()));
                    }
                }
            }
            text.push_str(value.get(end..).unwrap_or(""));
            *value = text;
        }
        Ok(resolved)
    }

    fn value(&self, provider: &str, reference: &Reference<'_>) -> Result<Option<String>, ReferenceError> {
        match self.providers.get(provider) {
            None => Ok(None),
            Some(Provider::Env { allowed }) => {
                if allowed.as_ref().is_some_and(|pattern| !pattern.is_match(reference.name)) {
                    return Err(reference.not_allowed(provider, "allowlist.pattern"));
                }
                Ok((self.env)(reference.name))
            }
            Some(Provider::File { allowed }) => {
                let Some(path) = reference.path else { return Ok(None) };
                let text = reference.read(Path::new(path), provider, allowed.as_deref())?;
                let file = Properties::from_properties_text(&text)
                    .map_err(|e| reference.unreadable(Path::new(path), &e.to_string()))?;
                Ok(file.value(reference.name).map(str::to_owned))
            }
            Some(Provider::Directory { allowed }) => {
                let Some(path) = reference.path else { return Ok(None) };
                let folder = Path::new(path);
                // A name with a separator would leave the folder.
                if Path::new(reference.name).file_name().is_none_or(|n| n != reference.name) {
                    return Err(reference.not_allowed(provider, "allowed.paths"));
                }
                let file = folder.join(reference.name);
                if folder.is_dir() && !file.exists() {
                    return Ok(None);
                }
                reference.read(&file, provider, allowed.as_deref()).map(Some)
            }
        }
    }
}

fn provider(worker: &Properties, name: &str) -> Result<Provider, ProviderError> {
    let class_key = format!("config.providers.{name}.class");
    let refuse = |key: &str, problem: String| ProviderError { key: key.to_owned(), problem };
    let Some(class) = worker.value(&class_key).map(str::trim) else {
        return Err(refuse(&class_key, format!("is not set, but config.providers names {name}; set a provider class")));
    };
    let allowed_key = parameter(name, "allowed.paths");
    let allowed = worker.value(&allowed_key).map(|text| list(text).into_iter().map(PathBuf::from).collect());
    match class.rsplit('.').next().unwrap_or(class) {
        "FileConfigProvider" | "file" => Ok(Provider::File { allowed }),
        "DirectoryConfigProvider" | "directory" => Ok(Provider::Directory { allowed }),
        "EnvVarConfigProvider" | "env" => {
            let key = parameter(name, "allowlist.pattern");
            let pattern = worker.value(&key).map(|p| Regex::new(&format!("^(?:{p})$")));
            let allowed = pattern.transpose().map_err(|_| refuse(&key, "is not a regular expression".to_owned()))?;
            Ok(Provider::Env { allowed })
        }
        _ => Err(refuse(
            &class_key,
            format!(
                "unknown provider {class}; known: FileConfigProvider, DirectoryConfigProvider, EnvVarConfigProvider"
            ),
        )),
    }
}

fn parameter(provider: &str, name: &str) -> String {
    format!("config.providers.{provider}.param.{name}")
}

struct Reference<'a> {
    key: &'a str,
    whole: &'a str,
    path: Option<&'a str>,
    name: &'a str,
}

impl Reference<'_> {
    fn read(&self, path: &Path, provider: &str, allowed: Option<&[PathBuf]>) -> Result<String, ReferenceError> {
        let real = path.canonicalize().map_err(|e| self.unreadable(path, &e.to_string()))?;
        // Both sides without links, so that a link inside an allowed folder cannot lead out of it.
        let inside = |root: &PathBuf| root.canonicalize().is_ok_and(|root| real.starts_with(root));
        if allowed.is_some_and(|roots| !roots.iter().any(inside)) {
            return Err(self.not_allowed(provider, "allowed.paths"));
        }
        let metadata = std::fs::metadata(&real).map_err(|e| self.unreadable(path, &e.to_string()))?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            return Err(self.unreadable(path, "not a regular file of at most 1 MiB"));
        }
        std::fs::read_to_string(&real).map_err(|e| self.unreadable(path, &e.to_string()))
    }

    fn unreadable(&self, path: &Path, reason: &str) -> ReferenceError {
        ReferenceError::Unreadable {
            key: self.key.to_owned(),
            reference: self.whole.to_owned(),
            path: path.display().to_string(),
            reason: reason.to_owned(),
        }
    }

    fn not_allowed(&self, provider: &str, name: &str) -> ReferenceError {
        ReferenceError::NotAllowed {
            key: self.key.to_owned(),
            reference: self.whole.to_owned(),
            parameter: parameter(provider, name),
        }
    }
}

#[cfg(test)]
mod tests;

//! TLS of the endpoint, under Kafka Connect's keys: `ssl.*`, and over them `listeners.https.ssl.*`.
//!
//! Certificate and key are PEM files or PEM texts. Files are read again when they change, so that certificates can be
//! rotated while the worker runs; connections that are open keep the ones they began with.
use crate::reloaded::Reloaded;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Whether callers show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientAuth {
    None,
    Requested,
    Required,
}

/// Where PEM comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Text(String),
}

/// What an https listener presents and expects.
#[derive(Clone)]
pub struct Tls {
    config: Arc<Reloaded<ServerConfig>>,
    client_auth: ClientAuth,
}

impl Tls {
    /// From `ssl.*` keys, prefixes taken off.
    ///
    /// # Errors
    /// The key and what to do.
    pub fn from_keys(keys: &BTreeMap<String, String>) -> Result<Self, String> {
        let client_auth = match keys.get("ssl.client.auth").map(|v| v.trim().to_lowercase()).as_deref() {
            None | Some("" | "none") => ClientAuth::None,
            Some("requested") => ClientAuth::Requested,
            Some("required") => ClientAuth::Required,
            Some(_) => return Err("ssl.client.auth is none of required, requested, none".to_owned()),
        };
        for store in ["ssl.keystore", "ssl.truststore"] {
            let kind = keys.get(&format!("{store}.type")).map_or("JKS", |kind| kind.trim());
            if keys.contains_key(&format!("{store}.location")) && !kind.eq_ignore_ascii_case("PEM") {
                return Err(format!(
                    "{store}.type is {kind}; for https listeners convert the store to PEM (`openssl pkcs12 -in store.p12 -out store.pem -nodes`), and set {store}.type=PEM"
                ));
            }
        }
        if keys.contains_key("ssl.key.password") {
            return Err("ssl.key.password: encrypted keys are not read by https listeners; decrypt it (`openssl pkey -in key.pem -out plain.pem`) and protect the file by its mode".to_owned());
        }
        let source = |location: &str, text: &str| {
            let file = keys.get(location).map(|path| Source::File(PathBuf::from(path.trim())));
            file.or_else(|| keys.get(text).map(|text| Source::Text(text.clone())))
        };
        let missing = "an https listener needs ssl.keystore.location, a PEM file of certificate and key, with ssl.keystore.type=PEM; or ssl.keystore.certificate.chain and ssl.keystore.key as PEM texts";
        let chain = source("ssl.keystore.location", "ssl.keystore.certificate.chain").ok_or(missing)?;
        let key = source("ssl.keystore.location", "ssl.keystore.key").ok_or(missing)?;
        let trust = source("ssl.truststore.location", "ssl.truststore.certificates");
        if client_auth != ClientAuth::None && trust.is_none() {
            return Err("ssl.client.auth needs ssl.truststore.location, a PEM file of the authorities that sign callers' certificates, with ssl.truststore.type=PEM".to_owned());
        }
        let sources = [Some(chain.clone()), Some(key.clone()), trust.clone()];
        let files = sources.into_iter().flatten().filter_map(Source::file).collect();
        let read = move || server_config(&chain, &key, trust.as_ref().map(|trust| (trust, client_auth)));
        Ok(Self { config: Arc::new(Reloaded::new("certificates of REST", files, read)?), client_auth })
    }

    /// Whether only callers with a certificate of a trusted authority get in.
    pub fn requires_certificates(&self) -> bool {
        self.client_auth == ClientAuth::Required
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.current())
    }
}

/// How a client for other workers is read, from the same keys, and the files that it is read from.
type ReadClient = Box<dyn Fn() -> Result<reqwest::Client, String> + Send + Sync>;

pub(crate) fn client(
    keys: &BTreeMap<String, String>,
    base: fn() -> reqwest::ClientBuilder,
) -> Result<(Vec<PathBuf>, ReadClient), String> {
    let source = |location: &str, text: &str| {
        let file = keys.get(location).map(|path| Source::File(PathBuf::from(path.trim())));
        file.or_else(|| keys.get(text).map(|text| Source::Text(text.clone())))
    };
    let chain = source("ssl.keystore.location", "ssl.keystore.certificate.chain");
    let key = source("ssl.keystore.location", "ssl.keystore.key");
    let trust = source("ssl.truststore.location", "ssl.truststore.certificates").or_else(|| chain.clone());
    let trust = trust.ok_or("an https listener needs ssl.keystore.location")?;
    let files =
        [Some(trust.clone()), chain.clone(), key.clone()].into_iter().flatten().filter_map(Source::file).collect();
    let read = move || {
        // Nobody else's authorities: whoever has a certificate of a public one is no worker of this group.
        let mut builder = base().tls_built_in_root_certs(false);
        for certificate in certificates(&trust.read("ssl.truststore.location")?, "ssl.truststore.location")? {
            let authority = reqwest::Certificate::from_der(&certificate).map_err(|e| e.to_string())?;
            builder = builder.add_root_certificate(authority);
        }
        if let (Some(chain), Some(key)) = (&chain, &key) {
            let mut pem = chain.read("ssl.keystore.certificate.chain")?;
            if chain != key {
                pem.push(b'\n');
                pem.extend(key.read("ssl.keystore.key")?);
            }
            let own = reqwest::Identity::from_pem(&pem);
            builder = builder.identity(own.map_err(|e| format!("ssl.keystore.location: {e}"))?);
        }
        builder.build().map_err(|e| e.to_string())
    };
    Ok((files, Box::new(read)))
}

impl Source {
    fn file(self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Text(_) => None,
        }
    }

    fn read(&self, key: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => read(path).map_err(|e| format!("{key}: {e}")),
            Self::Text(text) => Ok(text.clone().into_bytes()),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

fn certificates(pem: &[u8], key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|e| format!("{key}: no PEM: {e}"))?;
    if found.is_empty() { Err(format!("{key} holds no certificate")) } else { Ok(found) }
}

fn server_config(chain: &Source, key: &Source, trust: Option<(&Source, ClientAuth)>) -> Result<ServerConfig, String> {
    let chain = certificates(&chain.read("ssl.keystore.location")?, "ssl.keystore.location")?;
    let key = PrivateKeyDer::from_pem_slice(&key.read("ssl.keystore.location")?)
        .map_err(|e| format!("ssl.keystore.location holds no unencrypted private key: {e}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let builder = match trust.filter(|(_, auth)| *auth != ClientAuth::None) {
        None => builder.with_no_client_auth(),
        Some((trust, auth)) => builder.with_client_cert_verifier(verifier(trust, auth, provider)?),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| format!("ssl.keystore.location: certificate and key do not fit: {e}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(
    trust: &Source,
    auth: ClientAuth,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let key = "ssl.truststore.location";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&trust.read(key)?, key)? {
        roots.add(certificate).map_err(|e| format!("{key}: {e}"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if auth == ClientAuth::Requested { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|e| format!("{key}: {e}"))
}

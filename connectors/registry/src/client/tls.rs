//! The HTTP client with its certificates, in PEM form alone.
use crate::error::Error;
use crate::settings::RegistrySettings;
use reqwest::{Certificate, Identity, Proxy};

const IDLE_CONNECTIONS_MAX: usize = 2;

/// Checks `schema.registry.ssl.*store.type`.
pub(crate) fn check_store_type(text: &str) -> Result<(), String> {
    if text.trim().eq_ignore_ascii_case("PEM") {
        return Ok(());
    }
    Err("only PEM is supported; convert with `keytool -importkeystore -deststoretype PKCS12` and `openssl pkcs12 -nodes`"
        .to_owned())
}

pub(super) fn http_client(settings: &RegistrySettings) -> Result<reqwest::Client, Error> {
    // An error means that the process has a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .use_rustls_tls()
        .http1_only()
        .user_agent(concat!("elasticflow/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.read_timeout)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .tcp_nodelay(true);
    builder = match &settings.proxy {
        Some((host, port)) => builder.proxy(
            Proxy::all(format!("http://{host}:{port}")).map_err(|e| Error::Setting(format!("proxy.host: {e}")))?,
        ),
        None => builder.no_proxy(),
    };
    const TRUST: &str = "schema.registry.ssl.truststore.location";
    if let Some(pem) = text_of(settings.truststore_pem.as_ref(), settings.truststore.as_ref(), TRUST)? {
        builder = builder.tls_built_in_root_certs(false);
        for certificate in certificates(&pem, TRUST)? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let Some(pem) = identity(settings)? {
        let identity = Identity::from_pem(&pem).map_err(|e| not_pem("schema.registry.ssl.keystore.location", &e))?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|e| Error::Setting(format!("the HTTP client of the schema registry cannot be made: {e}")))
}

fn certificates(pem: &[u8], key: &str) -> Result<Vec<Certificate>, Error> {
    let found = Certificate::from_pem_bundle(pem).map_err(|e| not_pem(key, &e))?;
    if found.is_empty() {
        return Err(Error::Setting(format!("{key}: no certificate in PEM form in it; {CONVERT}")));
    }
    Ok(found)
}

fn identity(settings: &RegistrySettings) -> Result<Option<Vec<u8>>, Error> {
    if let (Some(chain), Some(key)) = (&settings.keystore_chain, &settings.keystore_key) {
        return Ok(Some(format!("{chain}\n{}", key.expose()).into_bytes()));
    }
    text_of(None, settings.keystore.as_ref(), "schema.registry.ssl.keystore.location")
}

fn text_of(text: Option<&String>, file: Option<&String>, key: &str) -> Result<Option<Vec<u8>>, Error> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(path)) => {
            std::fs::read(path).map(Some).map_err(|error| Error::Setting(format!("{key}: {path}: {error}")))
        }
        (None, None) => Ok(None),
    }
}

const CONVERT: &str =
    "convert key stores with `keytool -importkeystore -deststoretype PKCS12` and `openssl pkcs12 -nodes`";

fn not_pem(key: &str, error: &reqwest::Error) -> Error {
    Error::Setting(format!("{key}: not in PEM form ({error}); {CONVERT}"))
}

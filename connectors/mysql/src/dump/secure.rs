//! TLS of the connection that reads the log, as `database.ssl.mode` asks for it.
use super::io;
use crate::config::{CdcConfig, SslMode};
use mysql_async::Error;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Wraps a connection.
///
/// # Errors
/// A file cannot be read, or the server's certificate is not accepted.
pub(super) async fn wrap(stream: TcpStream, config: &CdcConfig) -> Result<TlsStream<TcpStream>, Error> {
    let name = ServerName::try_from(config.hostname.clone()).map_err(other)?;
    let tls = TlsConnector::from(Arc::new(client(config)?));
    tls.connect(name, stream).await.map_err(io)
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = std::fs::read(Path::new(path)).map_err(io)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(other)?;
    // A file without armour holds one certificate.
    Ok(if all.is_empty() { vec![CertificateDer::from(bytes)] } else { all })
}

fn client(config: &CdcConfig) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(ca) = &config.ssl_ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(other)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let accepts = match config.ssl_mode {
        SslMode::VerifyIdentity | SslMode::VerifyFull => Accepts::Name,
        SslMode::VerifyCa | SslMode::VerifyCaMaria => Accepts::Authority,
        SslMode::Preferred | SslMode::Required | SslMode::Trust | SslMode::Disabled | SslMode::Disable => Accepts::All,
    };
    let verifier = Verifier { accepts, provider: Arc::clone(&provider), inner: inner.map_err(other)? };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(other)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    match config.ssl_cert.as_ref().zip(config.ssl_key.as_ref()) {
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(other)?;
            builder.with_client_auth_cert(certificates(certificate)?, key).map_err(other)
        }
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Which servers are talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    /// Any: the connection is encrypted, and that is all.
    All,
    /// With a certificate of a known authority.
    Authority,
    /// With a certificate of a known authority for this very name.
    Name,
}

#[derive(Debug)]
struct Verifier {
    accepts: Accepts,
    provider: Arc<CryptoProvider>,
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.accepts == Accepts::All {
            return Ok(ServerCertVerified::assertion());
        }
        match self.inner.verify_server_cert(end, between, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.accepts == Accepts::Authority => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

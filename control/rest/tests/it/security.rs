//! Who is let in and what they may do: roles over sockets, TLS, certificates, rotation, the audit trail's ground.
use crate::tcp::{Answer, Endpoint, LIMITS};
use crate::world::{World, golden};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use elasticflow_config::Properties;
use elasticflow_rest::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const ACCESS: &str = "admin.password=a\nadmin.role=admin\n\
                      erin.password=e\nerin.role=editor\nerin.connectors=orders-*\n\
                      ops.token=t0ken\nops.role=operator\n\
                      vic.password=v\nvic.role=viewer\n\
                      team.certificate.common.name=team-1\nteam.role=viewer\n";

async fn world(folder: tempfile::TempDir) -> World {
    let text = std::fs::read_to_string(golden().join("worker/default.properties")).unwrap();
    let file = folder.path().join("access.properties");
    std::fs::write(&file, ACCESS).unwrap();
    let properties = Properties::from_properties_text(&text).unwrap();
    World::with(properties.with("rest.access.file", file.display().to_string()), folder).await
}

fn basic(user: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(user))
}

fn request(method: &str, path: &str, headers: &str, body: Option<&Value>) -> Vec<u8> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let typed = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}{typed}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn source(name: &str) -> Value {
    json!({"name": name, "initial_state": "STOPPED", "config": {"connector.class": "FileStreamSource", "topic": "t"}})
}

#[tokio::test]
async fn roles_and_patterns_decide_what_a_caller_may_do() {
    let endpoint = Endpoint::start(world(tempfile::tempdir().unwrap()).await, LIMITS).await;
    let (admin, erin, vic) = (basic("admin:a"), basic("erin:e"), basic("vic:v"));
    let ops = "Authorization: Bearer t0ken\r\n".to_owned();
    let create = |name| ("POST", "/connectors".to_owned(), Some(source(name)));
    let level = ("PUT", "/admin/loggers/a.b".to_owned(), Some(json!({"level": "WARN"})));
    let to = |method, path: &str| (method, path.to_owned(), None);
    for (who, (method, path, body), status) in [
        (&String::new(), to("GET", "/connectors"), 401),
        (&basic("erin:x"), to("GET", "/connectors"), 401),
        (&"Authorization: Bearer x\r\n".to_owned(), to("GET", "/metrics"), 401),
        (&String::new(), to("GET", "/health"), 200),
        (&String::new(), to("GET", "/nope"), 404),
        (&vic, create("orders-1"), 403),
        (&ops, create("orders-1"), 403),
        (&erin, create("billing"), 403),
        (&erin, create("orders-1"), 201),
        (&admin, create("billing"), 201),
        (&vic, to("GET", "/connectors/billing"), 200),
        (&erin, to("GET", "/connectors/billing"), 403),
        (&erin, to("DELETE", "/connectors/billing"), 403),
        (&vic, to("PUT", "/connectors/billing/pause"), 403),
        (&ops, to("PUT", "/connectors/billing/pause"), 202),
        (&ops, to("DELETE", "/connectors/billing"), 403),
        (&erin, level.clone(), 403),
        (&admin, level, 200),
        (&erin, to("DELETE", "/connectors/orders-1"), 204),
    ] {
        let answer = endpoint.send(&request(method, &path, who, body.as_ref())).await.unwrap();
        assert_eq!(answer.status, status, "{who} {method} {path}: {}", answer.body);
        if status == 401 {
            assert!(answer.head.contains("www-authenticate: "), "{}", answer.head);
        }
    }
    for path in ["/connectors", "/connectors?expand=info"] {
        let seen = |answer: Option<Answer>| answer.unwrap().body.contains("billing");
        assert!(seen(endpoint.send(&request("GET", path, &admin, None)).await), "{path}");
        assert!(!seen(endpoint.send(&request("GET", path, &erin, None)).await), "{path}");
    }
    endpoint.stop().await;
}

fn keys(folder: &Path, auth: &str) -> BTreeMap<String, String> {
    let tls = golden().join("tls");
    [
        ("ssl.keystore.location", folder.join("server.pem").display().to_string()),
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.truststore.location", tls.join("ca.pem").display().to_string()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.client.auth", auth.to_owned()),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect()
}

/// The answer over TLS and the common name of the server; `None` when no handshake succeeds.
async fn ask(endpoint: &Endpoint, certificate: Option<&str>) -> Option<(Answer, String)> {
    let tls = golden().join("tls");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let file = tls.join(format!("{name}.pem"));
            let chain = vec![CertificateDer::from_pem_file(&file).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&file).unwrap()).unwrap()
        }
    };
    let stream = TcpStream::connect(endpoint.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let server = stream.get_ref().1.peer_certificates()?.first()?.to_vec();
    // The subject is the certificate's only place for these texts.
    let rotated = server.windows(7).any(|bytes| bytes == b"rotated");
    stream.write_all(&request("GET", "/connectors", "", None)).await.ok()?;
    let mut bytes = Vec::new();
    // Some servers close without a farewell.
    let _ = stream.read_to_end(&mut bytes).await;
    let server = if rotated { "rotated" } else { "localhost" };
    Answer::read(&bytes).map(|answer| (answer, server.to_owned()))
}

async fn over_tls(auth: &str) -> (Endpoint, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(golden().join("tls/server.pem"), folder.path().join("server.pem")).unwrap();
    let tls = Tls::from_keys(&keys(folder.path(), auth)).unwrap();
    let world = world(tempfile::tempdir().unwrap()).await;
    (Endpoint::start_with(world, LIMITS, Some(tls)).await, folder)
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_names_a_caller() {
    let (endpoint, _folder) = over_tls("requested").await;
    assert_eq!(ask(&endpoint, Some("client")).await.unwrap().0.status, 200);
    assert_eq!(ask(&endpoint, None).await.unwrap().0.status, 401, "no certificate, no password");
    assert!(ask(&endpoint, Some("stranger")).await.is_none(), "signed by itself");
    let (endpoint, _folder) = over_tls("required").await;
    assert_eq!(ask(&endpoint, Some("client")).await.unwrap().0.status, 200);
    assert!(ask(&endpoint, None).await.is_none());
    // Plain HTTP gets nothing from an https listener, and does not disturb it.
    assert!(endpoint.send(&request("GET", "/connectors", "", None)).await.is_none());
    assert!(ask(&endpoint, Some("client")).await.is_some());
}

#[tokio::test]
async fn a_rotated_certificate_is_presented_without_a_restart() {
    let (endpoint, folder) = over_tls("requested").await;
    assert_eq!(ask(&endpoint, Some("client")).await.unwrap().1, "localhost");
    std::fs::copy(golden().join("tls/server2.pem"), folder.path().join("server.pem")).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while ask(&endpoint, Some("client")).await.unwrap().1 != "rotated" {
        assert!(tokio::time::Instant::now() < deadline, "the old certificate is still presented");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn what_is_wrong_with_the_tls_keys_is_told_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = std::fs::read(golden().join("tls/server.pem")).unwrap();
    std::fs::write(folder.path().join("server.pem"), server).unwrap();
    let whole = keys(folder.path(), "required");
    let without = |gone: &str| {
        let mut keys = whole.clone();
        keys.remove(gone);
        keys
    };
    let with = |key: &str, value: &str| {
        let mut keys = whole.clone();
        keys.insert(key.to_owned(), value.to_owned());
        keys
    };
    let ca = golden().join("tls/ca.pem").display().to_string();
    for (keys, part) in [
        (BTreeMap::new(), "ssl.keystore.location"),
        (without("ssl.truststore.location"), "ssl.truststore.location"),
        (without("ssl.keystore.type"), "ssl.keystore.type is JKS"),
        (with("ssl.keystore.location", "/nowhere.pem"), "cannot read /nowhere.pem"),
        (with("ssl.keystore.location", &ca), "no unencrypted private key"),
        (with("ssl.key.password", "hunter2"), "ssl.key.password"),
        (with("ssl.client.auth", "perhaps"), "ssl.client.auth"),
    ] {
        let error = Tls::from_keys(&keys).err().unwrap();
        assert!(error.contains(part) && !error.contains("hunter2"), "{part}: {error}");
    }
}

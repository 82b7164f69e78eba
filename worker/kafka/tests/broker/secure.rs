//! A secured cluster: tokens, client certificates, and rights that are missing.
use crate::support::{properties, record, unique};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, KafkaError, TopicSpec};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(90);

fn setting(name: &str) -> Option<String> {
    let value = std::env::var(format!("EF_KAFKA_SECURE{name}")).ok();
    if value.is_none() {
        println!("skipped: EF_KAFKA_SECURE{name} is not set; start it with `scripts/services up kafka-secure`");
    }
    value
}

/// Calls end soon: what is asked for here fails or not at once.
fn secured(bootstrap: &str, protocol: &str, pairs: &[(&str, &str)]) -> ClientProperties {
    let mut all = properties(&[
        ("bootstrap.servers", bootstrap),
        ("security.protocol", protocol),
        ("ssl.truststore.type", "PEM"),
        ("default.api.timeout.ms", "15000"),
        ("ssl.truststore.location", &setting("_CA").unwrap_or_default()),
    ]);
    all.extend(properties(pairs));
    all
}

// --- tokens -----------------------------------------------------------------------------------------------------------

const MODULE: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";

fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits =
        |chunk: &[u8]| chunk.iter().fold(0u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
    let digit = |bits: u32, at: usize| char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]);
    text.as_bytes().chunks(3).flat_map(|chunk| (0..=chunk.len()).map(move |at| digit(bits(chunk), at))).collect()
}

fn token() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(r#"{{"sub":"oauth","iat":{now},"exp":{}}}"#, now + 3600);
    format!("{}.{}.", base64url(r#"{"alg":"none"}"#), base64url(&claims))
}

/// An endpoint that knows one client; how often it was asked.
async fn endpoint() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, asked) = (format!("http://{}/token", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut request = String::new();
                while !request.ends_with("scope=kafka+all") {
                    let mut bytes = [0; 4096];
                    let read = stream.read(&mut bytes).await.unwrap();
                    request.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                    if read == 0 {
                        return;
                    }
                }
                count.fetch_add(1, Ordering::Relaxed);
                // worker:right
                let known = request.to_lowercase().contains("authorization: basic d29ya2vyonjpz2h0")
                    && request.contains("grant_type=client_credentials");
                let (status, body) = match known {
                    true => ("200 OK", format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, token())),
                    false => ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned()),
                };
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (url, asked)
}

fn bearer(bootstrap: &str, url: &str, secret: &str) -> Arc<RdKafka> {
    let jaas = format!("{MODULE} required clientId=\"worker\" clientSecret=\"{secret}\" scope=\"kafka all\";");
    let pairs = [
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.token.endpoint.url", url),
        (
            "sasl.login.callback.handler.class",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
        ),
        ("sasl.jaas.config", jaas.as_str()),
    ];
    RdKafka::new(&secured(bootstrap, "SASL_SSL", &pairs)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_log_in_with_one_token_that_was_asked_for_with_client_credentials() {
    let Some(bootstrap) = setting("") else { return };
    let (url, asked) = endpoint().await;
    let kafka = bearer(&bootstrap, &url, "right");
    kafka.cluster_id().await.unwrap();
    let topic = unique("bearer");
    let spec = TopicSpec { name: topic.clone(), partitions: 1, replication: Some(1), configs: BTreeMap::new() };
    kafka.admin().ensure_topic(&spec).await.unwrap();
    let mut producer = kafka.producer(&ClientProperties::new()).unwrap();
    producer.send(record(&topic, "k", "v")).unwrap();
    producer.drain().await.unwrap();
    let log = kafka.log(&topic).await.unwrap();
    assert_eq!(log.next().await.unwrap().value.as_deref(), Some(b"v".as_slice()));
    assert_eq!(asked.load(Ordering::Relaxed), 1, "three clients, one token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_the_endpoint_does_not_know_is_told_so_without_its_secret() {
    let Some(bootstrap) = setting("") else { return };
    let (url, _) = endpoint().await;
    let error = bearer(&bootstrap, &url, "canary").cluster_id().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, KafkaError::Config(_)), "{error:?}");
    assert!(text.contains(&url) && text.contains("401 (invalid_client)") && !text.contains("canary"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_does_not_answer_is_waited_for() {
    let Some(bootstrap) = setting("") else { return };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = bearer(&bootstrap, &format!("http://{nobody}/token"), "right").cluster_id().await.unwrap_err();
    assert!(matches!(error, KafkaError::Retriable(_)), "{error:?}");
    assert!(error.to_string().contains("cannot be asked"), "{error}");
}

// --- client certificates ----------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_client_shows_its_certificate_to_a_broker_that_asks_for_it() {
    let (Some(bootstrap), Some(client)) = (setting("_MUTUAL"), setting("_CLIENT")) else { return };
    let pairs = [("ssl.keystore.type", "PEM"), ("ssl.keystore.location", client.as_str())];
    RdKafka::new(&secured(&bootstrap, "SSL", &pairs)).unwrap().cluster_id().await.unwrap();
    let error = RdKafka::new(&secured(&bootstrap, "SSL", &[])).unwrap().cluster_id().await.unwrap_err();
    assert!(error.to_string().contains("ssl.keystore.location"), "{error}");
}

// --- rights -----------------------------------------------------------------------------------------------------------

/// Grants what an error names, by its own command.
fn grant(error: &str, granted: &mut Vec<String>) {
    let (_, command) = error.split_once("kafka-acls.sh ").unwrap_or_else(|| panic!("no command in: {error}"));
    let command = command.replace("BROKER", &setting("_INTERNAL").unwrap()).replace("User:PRINCIPAL", "User:limited");
    assert!(!granted.contains(&command), "granted already: {error}");
    let ran = Command::new("java")
        .args(["-Xmx96m", "-XX:TieredStopAtLevel=1", "-cp", &format!("{}/*", setting("_LIB").unwrap())])
        .arg("kafka.admin.AclCommand")
        .args(command.split(' '))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    granted.push(command);
}

/// Does something until no right is missing.
async fn with_rights<T>(granted: &mut Vec<String>, mut act: impl AsyncFnMut() -> Result<T, KafkaError>) -> T {
    let mut began = Instant::now();
    loop {
        match act().await {
            Ok(done) => return done,
            Err(KafkaError::Config(why)) if !granted.iter().any(|command| why.ends_with(tail(command))) => {
                grant(&why, granted);
                began = Instant::now();
            }
            // A broker hears of a grant a moment later.
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}; granted: {granted:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn tail(command: &str) -> &str {
    command.split_once("--operation").unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_that_is_missing_is_named_with_the_command_that_grants_it() {
    let (Some(bootstrap), Some(limited)) = (setting(""), setting("_LIMITED")) else { return };
    let (user, password) = limited.split_once(':').unwrap();
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let jaas = format!("{module} required username=\"{user}\" password=\"{password}\";");
    let pairs = [("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", jaas.as_str())];
    let kafka = RdKafka::new(&secured(&bootstrap, "SASL_SSL", &pairs)).unwrap();
    let (topic, id) = (unique("rights"), unique("rights-id"));
    let mut granted = Vec::new();
    let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let spec = TopicSpec { name: topic.clone(), partitions: 1, replication: Some(1), configs };
    with_rights(&mut granted, async || kafka.admin().ensure_topic(&spec).await).await;
    with_rights(&mut granted, async || {
        let mut producer = kafka.transactional_producer(&id, &ClientProperties::new())?;
        producer.init().await
    })
    .await;
    let rights: Vec<&str> = granted.iter().map(|command| tail(command).trim()).collect();
    assert_eq!(
        rights,
        [
            format!("Create --topic {topic}"),
            format!("Describe --topic {topic}"),
            format!("Write --transactional-id {id}"),
        ]
    );
}

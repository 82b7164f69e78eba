//! What people do to topics behind a connector's back: delete records of them, delete them. Spoken in Kafka's own protocol, as
//! `kafka-delete-records` and `kafka-topics --delete` do; for a cluster of one broker.
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DELETE_TOPICS: i16 = 20;
const DELETE_RECORDS: i16 = 21;
/// The oldest version of both that every broker speaks.
const VERSION: i16 = 1;
const LIMIT_MS: i32 = 30_000;

/// Deletes the records of a partition before an offset.
pub async fn delete_records(address: &str, topic: &str, partition: i32, before: i64) -> Result<()> {
    let mut body = Vec::new();
    body.extend(1_i32.to_be_bytes());
    text(&mut body, topic)?;
    body.extend(1_i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    body.extend(before.to_be_bytes());
    body.extend(LIMIT_MS.to_be_bytes());
    let answer = ask(address, DELETE_RECORDS, &body).await?;
    let low = answer.get(answer.len().saturating_sub(10)..answer.len().saturating_sub(2)).context("a short answer")?;
    let low = i64::from_be_bytes(low.try_into()?);
    ensure!(low == before, "{topic}-{partition} begins at {low} instead of {before}");
    Ok(())
}

/// Deletes a topic.
pub async fn delete_topic(address: &str, topic: &str) -> Result<()> {
    let mut body = Vec::new();
    body.extend(1_i32.to_be_bytes());
    text(&mut body, topic)?;
    body.extend(LIMIT_MS.to_be_bytes());
    ask(address, DELETE_TOPICS, &body).await.map(drop)
}

fn text(into: &mut Vec<u8>, text: &str) -> Result<()> {
    into.extend(i16::try_from(text.len())?.to_be_bytes());
    into.extend(text.as_bytes());
    Ok(())
}

/// Asks one question; both answers end with an error code.
async fn ask(address: &str, api: i16, body: &[u8]) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(7_i32.to_be_bytes());
    text(&mut request, "purge")?;
    request.extend(body);
    let talk = async {
        let mut broker = TcpStream::connect(address).await?;
        broker.write_all(&i32::try_from(request.len())?.to_be_bytes()).await?;
        broker.write_all(&request).await?;
        let mut answer = vec![0; usize::try_from(broker.read_i32().await?)?];
        broker.read_exact(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), talk).await??;
    match answer.as_slice() {
        [.., 0, 0] => Ok(answer),
        [.., high, low] => bail!("the broker answers with error {}", i16::from_be_bytes([*high, *low])),
        _ => bail!("a short answer"),
    }
}

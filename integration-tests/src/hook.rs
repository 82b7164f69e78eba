//! A receiver of webhook messages: it refuses the first one and keeps all of them.
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Message {
    /// `X-Flow-Id`.
    pub id: String,
    /// `X-Flow-Signature`.
    pub signature: String,
    /// The body's bytes, which the signature is of.
    pub body: Vec<u8>,
}

/// A receiver; gone with the value.
pub struct Hook {
    /// Where messages go.
    pub url: String,
    heard: Arc<Mutex<Vec<Message>>>,
    accepting: JoinHandle<()>,
}

impl Hook {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn listen() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (url, heard) = (format!("http://{}/hook", listener.local_addr()?), Arc::default());
        let hears = Arc::clone(&heard);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &hears).await;
            }
        });
        Ok(Self { url, heard, accepting })
    }

    /// Everything that came, the refused one too.
    pub fn heard(&self) -> Vec<Message> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The signature that a body must have: HMAC-SHA256 by its definition, for a key shorter than a block.
pub fn signature(key: &[u8], body: &[u8]) -> String {
    let pad = |with: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(body).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    let hex: String = outer.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// Takes one request; the first of all is answered with 500.
async fn serve(mut stream: TcpStream, heard: &Mutex<Vec<Message>>) -> Option<()> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(buffer.get(..count)?);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
        let length: usize = header(&head, "content-length")?.parse().ok()?;
        if bytes.len() >= end + 4 + length {
            break (head, bytes.get(end + 4..)?.to_vec());
        }
    };
    let message = Message { id: header(&head, "x-flow-id")?, signature: header(&head, "x-flow-signature")?, body };
    let is_first = {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(message);
        heard.len() == 1
    };
    let status = if is_first { "500 Internal Server Error" } else { "204 No Content" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok()
}

fn header(head: &str, name: &str) -> Option<String> {
    let of = |line: &str| line.split_once(':').map(|(key, value)| (key.to_lowercase(), value.trim().to_owned()));
    head.lines().filter_map(of).find(|(key, _)| key == name).map(|(_, value)| value)
}

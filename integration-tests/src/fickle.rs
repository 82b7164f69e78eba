//! A proxy before an HTTP server that refuses, fails every other request, or hands everything on; and a server that
//! never says a word.
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Most that is handed on at once.
const CHUNK: usize = 64 << 10;
const VERBS: [&[u8]; 4] = [b"GET ", b"POST ", b"PUT ", b"HEAD "];
const FAILURE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Everything is handed on.
    Fair = 0,
    /// Connections are closed at once.
    Refusing = 1,
    /// Every other request is answered with 503.
    Half = 2,
}

/// A proxy; gone with the value.
pub struct Fickle {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    mood: AtomicU8,
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Fickle {
    /// Stands before a server, `host:port`.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn before(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (shared, server) = (Arc::new(Shared::default()), server.to_owned());
        let own = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                own.connections.fetch_add(1, Ordering::AcqRel);
                if own.mood() == Mood::Refusing as u8 {
                    continue;
                }
                let (server, shared) = (server.clone(), Arc::clone(&own));
                tokio::spawn(async move {
                    // A connection that breaks is what either side sees.
                    drop(hand_on(client, &server, &shared).await);
                });
            }
        });
        Ok(Self { address, shared, accepting })
    }

    /// Where clients connect to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it does from now on, with connections that are open too.
    pub fn be(&self, mood: Mood) {
        self.shared.mood.store(mood as u8, Ordering::Release);
    }

    /// Connections that clients have made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }
}

impl Drop for Fickle {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn mood(&self) -> u8 {
        self.mood.load(Ordering::Acquire)
    }

    /// Whether a request that begins with these bytes is let through.
    fn lets(&self, chunk: &[u8]) -> Option<bool> {
        let begins = VERBS.iter().any(|verb| chunk.starts_with(verb));
        match self.mood() {
            mood if mood == Mood::Refusing as u8 => None,
            mood if mood == Mood::Half as u8 && begins => {
                Some(self.requests.fetch_add(1, Ordering::AcqRel).is_multiple_of(2))
            }
            _ => Some(true),
        }
    }
}

async fn hand_on(mut client: TcpStream, server: &str, shared: &Shared) -> Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut asked, mut answered) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let chunk = asked.get(..read?).unwrap_or_default();
                match shared.lets(chunk) {
                    Some(true) if !chunk.is_empty() => server.write_all(chunk).await?,
                    Some(false) => return Ok(client.write_all(FAILURE).await?),
                    _ => return Ok(()),
                }
            }
            read = server.read(&mut answered) => {
                let chunk = answered.get(..read?).unwrap_or_default();
                if chunk.is_empty() {
                    return Ok(());
                }
                client.write_all(chunk).await?;
            }
        }
    }
}

/// A server that takes connections and never answers; gone with the value.
pub struct Silent {
    address: String,
    accepting: JoinHandle<()>,
}

impl Silent {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn listen() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let accepting = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(stream);
            }
        });
        Ok(Self { address, accepting })
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

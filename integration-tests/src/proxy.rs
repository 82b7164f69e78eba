//! A proxy before a server: it refuses, fails requests, falls silent as a cut network does, or loses one answer, so that
//! what was asked for is done and whoever asked does not hear of it.
use anyhow::Result;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Most that is handed on at once.
const CHUNK: usize = 64 << 10;
/// Bytes that say how long a frame of Kafka is.
const FRAME_HEAD: usize = 4;
const VERBS: [&[u8]; 4] = [b"GET ", b"POST ", b"PUT ", b"HEAD "];
const FAILURE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Everything is handed on.
    Fair,
    /// Connections are closed at once.
    Refusing,
    /// Every other HTTP request is answered with 503.
    Half,
    /// Connections stay and come, and not a byte passes until the mood changes.
    Silent,
}

/// A proxy; gone with the value.
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: String,
    mood: watch::Sender<Mood>,
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// What a request holds whose answer is to be lost.
    needle: Mutex<Option<Vec<u8>>>,
    lost: AtomicUsize,
    /// Where a broker says that it is, and what clients are told instead.
    renamed: Option<(Vec<u8>, Vec<u8>)>,
}

/// What becomes of bytes of a client.
enum Fate {
    Passes,
    /// It is passed on, and its answer lost.
    LosesItsAnswer,
    Fails,
    Closes,
}

impl Proxy {
    /// Stands before a server, `host:port`.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn before(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Self::listen(listener, server, None)
    }

    /// Stands before a broker at `127.0.0.1:port`, and in the place of its address wherever it says that: clients never
    /// reach it past the proxy.
    ///
    /// # Errors
    /// There is no free port, or the address is another one.
    pub async fn before_broker(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?.port();
        let (host, port) = server.rsplit_once(':').ok_or_else(|| anyhow::anyhow!("{server} is not host:port"))?;
        let named = |port: i32| [host.as_bytes(), &port.to_be_bytes()].concat();
        let renamed = (named(port.parse()?), named(i32::from(own)));
        Self::listen(listener, server, Some(renamed))
    }

    /// A server that takes connections and never says a word.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn before_nothing() -> Result<Self> {
        let silent = Self::before("127.0.0.1:1").await?;
        silent.be(Mood::Silent);
        Ok(silent)
    }

    fn listen(listener: TcpListener, server: &str, renamed: Option<(Vec<u8>, Vec<u8>)>) -> Result<Self> {
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            mood: watch::channel(Mood::Fair).0,
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            needle: Mutex::default(),
            lost: AtomicUsize::new(0),
            renamed,
        });
        let own = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                own.connections.fetch_add(1, Ordering::AcqRel);
                let shared = Arc::clone(&own);
                tokio::spawn(async move {
                    // A connection that breaks is what either side sees.
                    drop(hand_on(client, &shared).await);
                });
            }
        });
        Ok(Self { address, shared, accepting })
    }

    /// Where clients connect to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it does from here on, with connections that are open too.
    pub fn be(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    /// Connections that clients have made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Loses the answer to the next request that holds these bytes, and closes its connection.
    pub fn lose_the_answer_to(&self, needle: &str) {
        *self.shared.needle.lock().unwrap_or_else(PoisonError::into_inner) = Some(needle.as_bytes().to_vec());
    }

    /// Answers that were lost.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// The mood once it is not silence any more.
    async fn speaking(&self) -> Mood {
        let mut mood = self.mood.subscribe();
        // The sender lives as long as this.
        mood.wait_for(|mood| *mood != Mood::Silent).await.map_or(Mood::Refusing, |mood| *mood)
    }

    fn fate(&self, mood: Mood, chunk: &[u8]) -> Fate {
        let begins = VERBS.iter().any(|verb| chunk.starts_with(verb));
        match mood {
            Mood::Refusing => Fate::Closes,
            Mood::Half if begins && !self.requests.fetch_add(1, Ordering::AcqRel).is_multiple_of(2) => Fate::Fails,
            _ if chunk.is_empty() => Fate::Closes,
            _ if self.takes(chunk) => Fate::LosesItsAnswer,
            Mood::Fair | Mood::Half | Mood::Silent => Fate::Passes,
        }
    }

    /// Whether the answer to these bytes is the one to lose.
    fn takes(&self, chunk: &[u8]) -> bool {
        let mut needle = self.needle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = needle.as_ref().is_some_and(|needle| chunk.windows(needle.len()).any(|part| part == needle));
        if is_it {
            *needle = None;
        }
        is_it
    }

    /// What can be passed on of what a server has said: everything, or of a broker the frames that are whole, its address
    /// exchanged.
    fn ready(&self, said: &mut Vec<u8>) -> Vec<u8> {
        let Some((theirs, ours)) = &self.renamed else { return std::mem::take(said) };
        let mut whole = 0;
        while let Some(head) = said.get(whole..whole + FRAME_HEAD) {
            let length = head.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
            if said.len() < whole + FRAME_HEAD + length {
                break;
            }
            whole += FRAME_HEAD + length;
        }
        let mut ready: Vec<u8> = said.drain(..whole).collect();
        for at in 0..ready.len().saturating_sub(theirs.len() - 1) {
            if let Some(part) = ready.get_mut(at..at + theirs.len()).filter(|part| *part == theirs.as_slice()) {
                part.copy_from_slice(ours);
            }
        }
        ready
    }
}

async fn hand_on(mut client: TcpStream, shared: &Shared) -> Result<()> {
    if shared.speaking().await == Mood::Refusing {
        return Ok(());
    }
    let mut server = TcpStream::connect(&shared.server).await?;
    let (mut asked, mut answered, mut said) = (vec![0; CHUNK], vec![0; CHUNK], Vec::new());
    let mut loses = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let chunk = asked.get(..read?).unwrap_or_default();
                match shared.fate(shared.speaking().await, chunk) {
                    Fate::Closes => return Ok(()),
                    Fate::Fails => return Ok(client.write_all(FAILURE).await?),
                    Fate::LosesItsAnswer => loses = true,
                    Fate::Passes => {}
                }
                server.write_all(chunk).await?;
            }
            read = server.read(&mut answered) => {
                let chunk = answered.get(..read?).unwrap_or_default();
                if chunk.is_empty() {
                    return Ok(());
                }
                if loses {
                    shared.lost.fetch_add(1, Ordering::AcqRel);
                    return Ok(());
                }
                said.extend_from_slice(chunk);
                shared.speaking().await;
                client.write_all(&shared.ready(&mut said)).await?;
            }
        }
    }
}

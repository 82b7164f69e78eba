//! A proxy that loses one answer: what was asked for is done, and whoever asked does not hear of it.
use anyhow::Result;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Most that is handed on at once.
const CHUNK: usize = 64 << 10;

/// A proxy; gone with the value.
pub struct Cut {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// What a request holds whose answer is to be lost.
    needle: Mutex<Option<Vec<u8>>>,
    lost: AtomicUsize,
}

impl Cut {
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

    /// The next request that holds these bytes is done, and its connection ends without an answer.
    pub fn lose_the_answer_to(&self, needle: &str) {
        *self.shared.needle.lock().unwrap_or_else(PoisonError::into_inner) = Some(needle.as_bytes().to_vec());
    }

    /// Answers that were lost.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Acquire)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn hand_on(mut client: TcpStream, server: &str, shared: &Shared) -> Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut asked, mut answered) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut loses = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let chunk = &asked[..read?];
                if chunk.is_empty() {
                    return Ok(());
                }
                loses |= shared.takes(chunk);
                server.write_all(chunk).await?;
            }
            read = server.read(&mut answered) => {
                let chunk = &answered[..read?];
                if chunk.is_empty() {
                    return Ok(());
                }
                if loses {
                    shared.lost.fetch_add(1, Ordering::AcqRel);
                    return Ok(());
                }
                client.write_all(chunk).await?;
            }
        }
    }
}

impl Shared {
    /// Whether the answer to these bytes is the one to lose.
    fn takes(&self, chunk: &[u8]) -> bool {
        let mut needle = self.needle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = needle.as_ref().is_some_and(|needle| chunk.windows(needle.len()).any(|part| part == needle));
        if is_it {
            *needle = None;
        }
        is_it
    }
}

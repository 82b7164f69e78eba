//! A server seen through a connection that can be cut after any number of bytes.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on; the next one that reads the log is cut after so many bytes of it.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: Arc<AtomicI64>,
    passed: Arc<AtomicI64>,
    target: Arc<AtomicU16>,
}

/// Commands that ask for the log: by place and by GTIDs.
const DUMPS: [u8; 2] = [0x12, 0x1e];

impl Proxy {
    pub(crate) async fn to(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::new(AtomicI64::new(-1)),
            passed: Arc::default(),
            target: Arc::new(AtomicU16::new(port)),
        };
        let (cut, passed, target) = (Arc::clone(&proxy.cut), Arc::clone(&proxy.passed), Arc::clone(&proxy.target));
        let host = host.to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A server that is gone is a connection that ends at once.
                let Ok(server) = TcpStream::connect((host.as_str(), target.load(Ordering::SeqCst))).await else {
                    continue;
                };
                tokio::spawn(pass(client, server, Arc::clone(&cut), Arc::clone(&passed)));
            }
        });
        proxy
    }

    /// Cuts the next reader of the log after so many bytes, once.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.cut.store(bytes, Ordering::SeqCst);
    }

    /// Passes further connections on to another port.
    pub(crate) fn turn_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// Bytes of the log passed since the last call.
    pub(crate) fn passed(&self) -> i64 {
        self.passed.swap(0, Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, server: TcpStream, cut: Arc<AtomicI64>, passed: Arc<AtomicI64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // Bytes left to pass; negative: all of them.
    let left = Arc::new(AtomicI64::new(i64::MIN));
    let asked = Arc::clone(&left);
    let up = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            if n >= 5 && buffer[3] == 0 && DUMPS.contains(&buffer[4]) {
                asked.store(cut.swap(-1, Ordering::SeqCst), Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = [0; 16384];
    while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
        let mut n = n;
        let allowed = left.load(Ordering::SeqCst);
        if allowed != i64::MIN {
            if allowed >= 0 {
                n = n.min(usize::try_from(allowed).unwrap());
                left.fetch_sub(i64::try_from(n).unwrap(), Ordering::SeqCst);
            }
            passed.fetch_add(i64::try_from(n).unwrap(), Ordering::SeqCst);
        }
        if to_client.write_all(&buffer[..n]).await.is_err() || left.load(Ordering::SeqCst) == 0 {
            break;
        }
    }
    up.abort();
}

//! Requests over real sockets, as bytes.
use crate::world::World;
use elasticflow_config::worker::Listener;
use elasticflow_rest::{ConnectionLimits, Surface, Tls, bind, router, serve};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What no answer takes.
const LONGEST: Duration = Duration::from_secs(120);

/// A worker's endpoint on a socket.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    _world: World,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

pub(crate) const LIMITS: ConnectionLimits =
    ConnectionLimits { connections_max: 64, header_bytes_max: 16_384, client_timeout: Duration::from_secs(20) };

impl Endpoint {
    pub(crate) async fn start(world: World, limits: ConnectionLimits) -> Self {
        Self::start_with(world, limits, None).await
    }

    pub(crate) async fn start_with(world: World, limits: ConnectionLimits, tls: Option<Tls>) -> Self {
        let socket = bind(&Listener::read("http://127.0.0.1:0").unwrap(), false, false).await.unwrap();
        let address = socket.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = router(world.rest(), Surface::All);
        let served = tokio::spawn(serve((socket, tls), router, limits, async {
            let _ = stopped.await;
        }));
        Self { address, _world: world, stop, served }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
    }

    /// Sends bytes and reads until the other end closes; `None` when nothing came back.
    pub(crate) async fn send(&self, request: &[u8]) -> Option<Answer> {
        let (mut read, mut write) = TcpStream::connect(self.address).await.unwrap().into_split();
        let request = request.to_vec();
        // Written aside: an endpoint may answer before it has read everything, and close.
        let sent = tokio::spawn(async move {
            let _ = write.write_all(&request).await;
            let _ = write.shutdown().await;
            write
        });
        let mut bytes = Vec::new();
        let reading = async {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = read.read(&mut buffer).await {
                bytes.extend_from_slice(&buffer[..n]);
            }
        };
        tokio::time::timeout(LONGEST, reading).await.expect("the endpoint neither answers nor closes");
        drop(sent.await.unwrap());
        Answer::read(&bytes)
    }

    /// A request whose connection is closed after it.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        let length = body
            .as_ref()
            .map_or_else(String::new, |b| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", b.len()));
        let body = body.unwrap_or_default();
        let text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}\r\n{body}");
        self.send(text.as_bytes()).await.expect("an answer")
    }
}

/// An answer; the body as it stood on the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// A name as one path segment.
pub(crate) fn segment(name: &str) -> String {
    name.bytes().map(|b| format!("%{b:02X}")).collect()
}

//! Connections of a listener: how many there are at a time, how long each may be silent, how large its headers are.
//!
//! A connection is served by hyper; what it may cost is bounded here: a place among `rest.connections.max`, a header
//! buffer of `rest.header.bytes.max`, and `rest.client.timeout.ms` for headers, between requests and to take an answer.
use crate::patience::Patient;
use crate::problem::Problem;
use crate::tls::Tls;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use elasticflow_config::worker::WorkerSettings;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

/// Pause after the system refused a connection, such as for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long requests may go on once the listener is to end.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What a connection may cost.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at a time.
    pub connections_max: usize,
    /// Request line and headers.
    pub header_bytes_max: usize,
    /// Silence of a client in the middle of something, or between two requests.
    pub client_timeout: Duration,
}

impl ConnectionLimits {
    /// From the worker's settings.
    pub fn from_worker(settings: &WorkerSettings) -> Self {
        Self {
            connections_max: settings.connections_max as usize,
            header_bytes_max: settings.header_bytes_max as usize,
            client_timeout: settings.client_timeout.duration(),
        }
    }
}

/// Who is at the other end of a connection; an extension of its requests.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Where it calls from.
    pub(crate) address: SocketAddr,
    /// Whether it speaks TLS.
    pub(crate) is_https: bool,
    /// Common name of its certificate, which an authority of the truststore has signed.
    pub(crate) common_name: Option<String>,
}

/// Serves until `stop` is ready; requests that are being carried out get a few seconds to finish.
pub async fn serve(
    (listener, tls): (TcpListener, Option<Tls>),
    router: Router,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let (stopped, open) = (CancellationToken::new(), TaskTracker::new());
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        let arrived = Arrived { stream, address, tls: tls.clone() };
                        let served = connection(arrived, router.clone(), limits, stopped.clone());
                        open.spawn(async move {
                            served.await;
                            drop(place);
                        });
                    }
                    // Without a handshake there is no way to tell a caller over TLS.
                    Err(_) if tls.is_some() => drop(stream),
                    Err(_) => turn_away(stream, &limits),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    };
    futures_util::future::select(pin!(stop), pin!(accepting)).await;
    drop(listener);
    stopped.cancel();
    open.close();
    if tokio::time::timeout(DRAIN_MAX, open.wait()).await.is_err() {
        tracing::warn!("requests were still open when their listener ended");
    }
}

/// A connection as it is accepted.
struct Arrived {
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Tls>,
}

async fn connection(arrived: Arrived, router: Router, limits: ConnectionLimits, stopped: CancellationToken) {
    let Arrived { stream, address, tls } = arrived;
    // An answer goes out whole: waiting for more to send along would only delay it.
    drop(stream.set_nodelay(true));
    let Some(tls) = tls else {
        let peer = Peer { address, is_https: false, common_name: None };
        return exchange(stream, peer, router, limits, stopped).await;
    };
    let handshake = tokio::time::timeout(limits.client_timeout, tls.acceptor().accept(stream));
    match stopped.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let common_name = certificate.and_then(|certificate| crate::common_name::of(certificate));
            let peer = Peer { address, is_https: true, common_name };
            exchange(stream, peer, router, limits, stopped).await;
        }
        Some(Ok(Err(error))) => tracing::debug!(%error, %address, "a TLS handshake failed"),
        Some(Err(_)) | None => {}
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    router: Router,
    limits: ConnectionLimits,
    stopped: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.client_timeout)
        .max_header_size(limits.header_bytes_max)
        .half_close(true);
    let io = TokioIo::new(Patient::new(stream, limits.client_timeout));
    let mut served = pin!(http.serve_connection(io, service));
    // What a connection fails with is the client's: it left, was silent or sent what is no HTTP, and was answered 4xx.
    if stopped.run_until_cancelled(served.as_mut()).await.is_none() {
        served.as_mut().graceful_shutdown();
        let finished = tokio::time::timeout(DRAIN_MAX, served).await;
        drop(finished);
    }
}

/// Answers without reading, as far as one write goes.
fn turn_away(mut stream: TcpStream, limits: &ConnectionLimits) {
    let text = format!("{} connections are open, as many as rest.connections.max allows", limits.connections_max);
    let body = Problem::new(StatusCode::SERVICE_UNAVAILABLE, text).json(false).to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // A fresh socket has room for this; one that has not is closed all the same.
    let mut sending = pin!(stream.write_all(answer.as_bytes()));
    let _ = sending.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
}

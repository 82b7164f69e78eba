//! The running broker: one listener, a task per connection, one timer.
use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::error::Error;
use crate::state::State;
use crate::wire::connection;
use crate::wire::frame::{Closed, InFlight};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// How often sessions and transaction time-outs are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long the listener rests after the operating system refuses a connection, mostly for lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running broker. Dropping it stops it without waiting; [`shutdown`](Broker::shutdown) waits.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What every connection sees.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    clock: Clock,
    /// Woken by everything that may complete a waiting Fetch.
    pub(crate) changed: Notify,
    pub(crate) in_flight: InFlight,
    pub(crate) limits: Limits,
}

impl Shared {
    pub(crate) fn new(state: State, clock: Clock, limits: Limits) -> Self {
        let in_flight = InFlight::new(limits.in_flight_bytes);
        Shared { state: Mutex::new(state), clock, changed: Notify::new(), in_flight, limits }
    }

    /// Runs one critical section. Fails once the journal cannot be written: nothing may be acknowledged after that.
    pub(crate) fn locked<R>(&self, f: impl FnOnce(&mut State) -> R) -> Result<R, Arc<str>> {
        let mut state = self.state.lock();
        state.stopped()?;
        state.now = self.clock.now();
        let answer = f(&mut state);
        state.stopped()?;
        let changed = std::mem::take(&mut state.changed);
        drop(state);
        if changed {
            self.changed.notify_waiters();
        }
        Ok(answer)
    }
}

impl Broker {
    /// Starts a broker on the current tokio runtime.
    ///
    /// # Errors
    /// An address beyond loopback, a port that is taken, a folder that another broker uses or that cannot be read.
    pub async fn start(config: Config) -> Result<Broker, Error> {
        if !config.listen.ip().is_loopback() {
            return Err(Error::NotLoopback(config.listen));
        }
        let listen = |source| Error::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let (clock, mut state) = (Clock::start(), State::new(&config, addr));
        state.now = clock.now();
        if let Some(dir) = &config.dir {
            state.recover(dir)?;
        }
        let shared = Arc::new(Shared::new(state, clock, config.limits));
        tracing::info!(%addr, dir = ?config.dir, "development broker started");
        let tasks = vec![
            tokio::spawn(accept(Arc::clone(&shared), listener)),
            tokio::spawn(timers(Arc::clone(&shared), config.cleaning_interval)),
        ];
        Ok(Broker { addr, shared, tasks })
    }

    /// The address the broker listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `host:port`, as `bootstrap.servers` wants it.
    pub fn bootstrap(&self) -> String {
        self.addr.to_string()
    }

    /// Why the broker has stopped answering, if it has: its journal cannot be written any more.
    pub fn failure(&self) -> Option<String> {
        self.shared.state.lock().stopped().err().map(|e| e.to_string())
    }

    /// Stops the broker and waits until it has let go of its port and folder; everything written is forced to the disk.
    pub async fn shutdown(mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            drop(task.await);
        }
        self.shared.state.lock().close(true);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.state.lock().close(false);
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if open(&mut connections) < shared.limits.connections => {
                    connections.spawn(connection(Arc::clone(&shared), stream));
                }
                Ok(_) => tracing::warn!(limit = shared.limits.connections, "too many connections: one is refused"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// How many connections are open: those that have ended are counted out first.
fn open(connections: &mut JoinSet<()>) -> usize {
    while connections.try_join_next().is_some() {}
    connections.len()
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch Nagle's algorithm off");
    }
    match connection::serve(&shared, stream).await {
        Closed::ByClient => {}
        Closed::Io(error) => tracing::debug!(%error, "connection lost"),
        error => tracing::warn!(%error, "connection closed"),
    }
}

async fn timers(shared: Arc<Shared>, cleaning: Duration) {
    let mut since = Duration::ZERO;
    loop {
        tokio::time::sleep(TICK).await;
        since += TICK;
        let clean = since >= cleaning;
        if clean {
            since = Duration::ZERO;
        }
        let shared = Arc::clone(&shared);
        // Cleaning reads and writes whole partitions: not on a thread that connections need.
        let work = move || shared.locked(|s| s.tick(clean));
        let done = if clean { tokio::task::spawn_blocking(work).await.ok() } else { Some(work()) };
        if !matches!(done, Some(Ok(()))) {
            return;
        }
    }
}

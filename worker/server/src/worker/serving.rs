//! Listeners, and what is served on them.
use anyhow::{Context, Result};
use elasticflow_config::worker::{Listener, WorkerConfig};
use elasticflow_herder::HerderHandle;
use elasticflow_herder::flow::FlowHandle;
use elasticflow_rest::{ConnectionLimits, Forwarder, Loggers, Rest, RestOptions, Surface, Tls};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Binds every listener and serves on it; the address of the first.
pub(super) async fn serve(
    config: &WorkerConfig,
    (herder, flow): (HerderHandle, FlowHandle),
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    loggers: Loggers,
    (stop, tasks): (&CancellationToken, &TaskTracker),
) -> Result<SocketAddr> {
    let mut options = RestOptions::from_worker(&config.settings)?;
    let is_https = config.listeners.iter().any(|listener| listener.scheme() == "https");
    if is_https {
        options.forwarder = Forwarder::over_tls(&config.rest_tls).map_err(anyhow::Error::msg)?;
    }
    let options = Arc::new(options);
    let tls = if is_https { Some(Tls::from_keys(&config.rest_tls).map_err(anyhow::Error::msg)?) } else { None };
    let rest = Rest { herder, flow, options: Arc::clone(&options), loggers, metrics };
    let (following, stopped) = (rest.loggers.clone().follow(rest.herder.clone()), stop.clone());
    tasks.spawn(async move { stopped.run_until_cancelled(following).await });
    let limits = ConnectionLimits::from_worker(&config.settings);
    let mut first = None;
    for (listener, surface) in surfaces(config)? {
        let tls = tls.clone().filter(|_| listener.scheme() == "https");
        let authenticated = options.guard.is_closed() || tls.as_ref().is_some_and(Tls::requires_certificates);
        let socket = elasticflow_rest::bind(&listener, authenticated, config.settings.rest_insecure).await?;
        first = first.or(Some(socket.local_addr()?));
        let router = elasticflow_rest::router(rest.clone(), surface);
        let stopped = stop.clone().cancelled_owned();
        tasks.spawn(async move {
            elasticflow_rest::serve((socket, tls), router, limits, stopped).await;
        });
    }
    first.context("listeners names no address; give one such as http://127.0.0.1:8083")
}

/// Which listener serves what: `admin.listeners` takes `/admin` elsewhere, empty it takes it away.
fn surfaces(config: &WorkerConfig) -> Result<Vec<(Listener, Surface)>> {
    let own = if config.settings.admin_listeners.is_some() { Surface::WithoutAdmin } else { Surface::All };
    let mut all: Vec<_> = config.listeners.iter().map(|listener| (listener.clone(), own)).collect();
    for url in config.settings.admin_listeners.iter().flatten() {
        all.push((Listener::read(url)?, Surface::AdminOnly));
    }
    Ok(all)
}

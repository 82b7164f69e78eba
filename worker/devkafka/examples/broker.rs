//! `cargo run -p elasticflow-devkafka --example broker -- PORT [DIR] [never|journal|always]`
//!
//! Listens on 127.0.0.1:PORT and prints `ready PORT`; without DIR everything stays in memory. The product's own command
//! is `elasticflow broker`; this one is for tests that kill a broker.
#![expect(clippy::print_stdout, reason = "an example prints for its reader")]
use elasticflow_devkafka::{Broker, Config, Fsync};
use std::net::{Ipv4Addr, SocketAddr};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let port = args.next().unwrap_or_else(|| "9092".into()).parse()?;
    let dir = args.next().map(Into::into);
    let fsync = match args.next().as_deref() {
        None | Some("never") => Fsync::Never,
        Some("journal") => Fsync::Journal,
        Some("always") => Fsync::Always,
        Some(other) => anyhow::bail!("{other} is none of never, journal, always"),
    };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let broker = Broker::start(Config { listen, dir, fsync, ..Config::default() }).await?;
    println!("ready {}", broker.addr().port());
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await;
    Ok(())
}

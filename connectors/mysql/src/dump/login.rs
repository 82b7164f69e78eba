//! The greeting: TLS, and who we are. Formats and scrambles are the client library's.
use super::frames::{Frames, Socket};
use super::{Link, io, refused, secure, unexpected};
use crate::config::CdcConfig;
use mysql_async::{DriverError, Error};
use mysql_common::constants::{CapabilityFlags, UTF8MB4_GENERAL_CI};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use std::time::Duration;
use tokio::net::TcpStream;

/// Largest payload that is taken and announced: rows above it cannot be sent by the server either.
const MAX: u32 = 1 << 30;

/// Fields of the protocol that are used.
const WANTED: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_LONG_PASSWORD)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH);

/// Connects and logs in, under TLS or without.
///
/// # Errors
/// The server cannot be reached, refuses, or asks for what is not supported.
pub async fn open(config: &CdcConfig, tls: bool) -> Result<Link, Error> {
    let stream = TcpStream::connect((config.hostname.as_str(), config.port)).await.map_err(io)?;
    stream.set_nodelay(true).map_err(io)?;
    let alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(30));
    socket2::SockRef::from(&stream).set_tcp_keepalive(&alive).map_err(io)?;
    let mut frames = Frames::new(Socket::Plain(stream), MAX as usize);
    let first = frames.next().await.map_err(io)?;
    if first.first() == Some(&0xff) {
        // Before the greeting the server knows no capabilities of ours.
        return Err(refused(&first, CapabilityFlags::empty()));
    }
    let greeting = ParseBuf(&first).parse::<HandshakePacket<'_>>(()).map_err(io)?;
    let wanted = if tls { WANTED | CapabilityFlags::CLIENT_SSL } else { WANTED };
    let capabilities = greeting.capabilities() & wanted;
    if tls {
        if !capabilities.contains(CapabilityFlags::CLIENT_SSL) {
            return Err(DriverError::NoClientSslFlagFromServer.into());
        }
        frames = upgraded(frames, config, capabilities).await?;
    }
    let mut nonce = [greeting.scramble_1_ref(), greeting.scramble_2_ref().unwrap_or_default()].concat();
    nonce.resize(20, 0);
    let plugin = match greeting.auth_plugin() {
        Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
        _ => AuthPlugin::MysqlNativePassword,
    };
    let password = config.password.as_ref().map(|p| p.expose().to_owned());
    let version = greeting.maria_db_server_version_parsed().or_else(|| greeting.server_version_parsed());
    let scrambled = plugin.gen_data(password.as_deref(), &nonce);
    let answer = HandshakeResponse::new(
        scrambled.as_deref(),
        version.unwrap_or_default(),
        Some(config.user.as_bytes()),
        None::<&[u8]>,
        Some(plugin.clone()),
        capabilities,
        None,
        MAX,
    );
    frames.send(&serialized(&answer)).await.map_err(io)?;
    let mut login = Login { frames, capabilities, plugin, nonce, password };
    login.finish().await?;
    Ok(Link { frames: login.frames, capabilities })
}

async fn upgraded(mut frames: Frames, config: &CdcConfig, capabilities: CapabilityFlags) -> Result<Frames, Error> {
    let collation = u8::try_from(UTF8MB4_GENERAL_CI).unwrap_or_default();
    frames.send(&serialized(&SslRequest::new(capabilities, MAX, collation))).await.map_err(io)?;
    let number = frames.number();
    let stream = secure::wrap(frames.into_plain().map_err(io)?, config).await?;
    Ok(Frames::over(Socket::Secure(Box::new(stream)), MAX as usize, number))
}

fn serialized(packet: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.serialize(&mut bytes);
    bytes
}

/// The exchange after our answer.
struct Login {
    frames: Frames,
    capabilities: CapabilityFlags,
    plugin: AuthPlugin<'static>,
    nonce: Vec<u8>,
    password: Option<String>,
}

impl Login {
    async fn finish(&mut self) -> Result<(), Error> {
        let mut switched = false;
        loop {
            let packet = self.frames.next().await.map_err(io)?;
            match (packet.first(), packet.get(1)) {
                (Some(0), _) => return Ok(()),
                (Some(0xff), _) => return Err(refused(&packet, self.capabilities)),
                (Some(0xfe), None) => return Err(DriverError::MysqlOldPasswordDisabled.into()),
                (Some(0xfe), Some(_)) if !switched => {
                    switched = true;
                    let request = ParseBuf(&packet).parse::<AuthSwitchRequest<'_>>(()).map_err(io)?;
                    self.switch(&request).await?;
                }
                // The server remembers the password: an OK follows.
                (Some(1), Some(3)) => {}
                (Some(1), Some(4)) if self.plugin == AuthPlugin::CachingSha2Password => self.whole_password().await?,
                _ => return Err(unexpected()),
            }
        }
    }

    async fn switch(&mut self, request: &AuthSwitchRequest<'_>) -> Result<(), Error> {
        self.plugin = match request.auth_plugin() {
            AuthPlugin::CachingSha2Password => AuthPlugin::CachingSha2Password,
            AuthPlugin::MysqlNativePassword => AuthPlugin::MysqlNativePassword,
            AuthPlugin::Ed25519 => AuthPlugin::Ed25519,
            AuthPlugin::MysqlOldPassword => return Err(DriverError::MysqlOldPasswordDisabled.into()),
            AuthPlugin::MysqlClearPassword => return Err(DriverError::CleartextPluginDisabled.into()),
            other => {
                let name = String::from_utf8_lossy(other.as_bytes()).into_owned();
                return Err(DriverError::UnknownAuthPlugin { name }.into());
            }
        };
        self.nonce = request.plugin_data().to_vec();
        let data = self.plugin.gen_data(self.password.as_deref(), &self.nonce);
        self.frames.send(data.as_deref().unwrap_or_default()).await.map_err(io)
    }

    /// Sends the password itself: under TLS as it is, else under the server's public key.
    async fn whole_password(&mut self) -> Result<(), Error> {
        let mut password = self.password.clone().unwrap_or_default().into_bytes();
        password.push(0);
        if self.frames.is_secure() {
            return self.frames.send(&password).await.map_err(io);
        }
        self.frames.send(&[2]).await.map_err(io)?;
        let packet = self.frames.next().await.map_err(io)?;
        let Some((1, key)) = packet.split_first() else { return Err(unexpected()) };
        if self.nonce.is_empty() {
            return Err(unexpected());
        }
        password.iter_mut().zip(self.nonce.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        // The library panics on a key that is none.
        let encrypted = std::panic::catch_unwind(|| mysql_common::crypto::encrypt(&password, key));
        self.frames.send(&encrypted.map_err(|_| unexpected())?).await.map_err(io)
    }
}

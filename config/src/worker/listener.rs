//! Listener URLs.
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Where the REST endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    scheme: String,
    host: String,
    port: u16,
}

/// Why a listener URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenerError {
    /// Not `scheme://host:port`.
    #[error("{0} is no listener URL; give it as http://host:port or https://host:port")]
    Malformed(String),
    /// The host has no address.
    #[error("{0}: the host name has no address")]
    NoAddress(String),
}

impl Listener {
    /// Reads a URL; an empty host is every interface, as in Connect.
    ///
    /// # Errors
    /// It is no URL of this form, or its scheme is neither http nor https.
    pub fn read(url: &str) -> Result<Self, ListenerError> {
        let malformed = || ListenerError::Malformed(url.to_owned());
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(malformed)?;
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(malformed)?;
        let port = port.parse().map_err(|_| malformed())?;
        let scheme = scheme.to_lowercase();
        if host.contains('/') || !matches!(scheme.as_str(), "http" | "https") {
            return Err(malformed());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { scheme, host, port })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Host as written; empty for every interface.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port; 0 lets the system choose.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address to bind.
    ///
    /// # Errors
    /// The host name has no address.
    pub fn address(&self) -> Result<SocketAddr, ListenerError> {
        let host = if self.host.is_empty() { "0.0.0.0" } else { &self.host };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, self.port));
        }
        let found = (host, self.port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        found.ok_or_else(|| ListenerError::NoAddress(self.to_string()))
    }
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.scheme, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_ports_and_addresses() {
        let address = |url: &str| Listener::read(url).unwrap().address().unwrap().to_string();
        assert_eq!(address("http://127.0.0.1:8083"), "127.0.0.1:8083");
        assert_eq!(address("HTTP://:8083/"), "0.0.0.0:8083");
        assert_eq!(address("http://[::1]:80"), "[::1]:80");
        assert_eq!(Listener::read("http://[::1]:80").unwrap().to_string(), "http://[::1]:80");
    }

    #[test]
    fn refuses_what_is_not_served() {
        for url in ["8083", "ftp://h:1", "http://h", "http://h:99999", "http://a/b:1"] {
            assert!(matches!(Listener::read(url), Err(ListenerError::Malformed(_))), "{url}");
        }
        assert_eq!(Listener::read("HTTPS://h:1").unwrap().scheme(), "https");
    }
}

//! Where the endpoint may listen.
use std::net::SocketAddr;

/// An address that would let anybody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refusing to listen on {address}: everybody who reaches it could read and change every connector. Listen on loopback (listeners=http://127.0.0.1:{port}), or set rest.extension.classes=org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension with java.security.auth.login.config, or accept the risk with --insecure (rest.insecure=true)", port = address.port())]
pub struct RefusedListener {
    address: SocketAddr,
}

/// Admits loopback addresses, and every address when callers must log in or when the risk is accepted.
///
/// # Errors
/// The address is reachable from elsewhere and nothing guards it.
pub fn check_listener(address: SocketAddr, authenticated: bool, insecure: bool) -> Result<(), RefusedListener> {
    let guarded = address.ip().to_canonical().is_loopback() || authenticated || insecure;
    if guarded { Ok(()) } else { Err(RefusedListener { address }) }
}

#[cfg(test)]
mod tests {
    use super::check_listener;

    #[test]
    fn only_loopback_is_open_to_everybody() {
        let check =
            |address: &str, authenticated, insecure| check_listener(address.parse().unwrap(), authenticated, insecure);
        for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(check(loopback, false, false).is_ok(), "{loopback}");
        }
        for open in ["0.0.0.0:8083", "10.0.0.1:8083", "[::]:8083"] {
            let message = check(open, false, false).unwrap_err().to_string();
            assert!(message.contains("--insecure") && message.contains("http://127.0.0.1:8083"), "{message}");
            assert!(check(open, true, false).is_ok() && check(open, false, true).is_ok());
        }
    }
}

//! `connection.url`: which system, where, which database, which parameters.
use std::collections::BTreeMap;

/// A parsed URL of the form `[jdbc:]scheme://[user[:password]@]host[:port][,more]/database?name=value&...`.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// System, in lower case: `mysql`, `mariadb`, `postgresql`, `sqlite`.
    pub scheme: String,
    /// User, if the URL names one.
    pub user: Option<String>,
    /// Password, if the URL holds one; never printed.
    pub password: Option<String>,
    /// Hosts with their ports.
    pub hosts: Vec<(String, Option<u16>)>,
    /// Database.
    pub database: Option<String>,
    /// Parameters.
    pub parameters: BTreeMap<String, String>,
}

/// The scheme of a URL without anything else of it.
pub fn scheme_of(url: &str) -> &str {
    let url = url.trim();
    let url =
        url.get(..5).filter(|p| p.eq_ignore_ascii_case("jdbc:")).map_or(url, |_| url.get(5..).unwrap_or_default());
    url.split(':').next().unwrap_or_default()
}

impl Url {
    /// Parses a URL; the error says what is wrong without repeating it, as it may hold a password.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(url: &str) -> Result<Self, String> {
        let scheme = scheme_of(url).to_ascii_lowercase();
        let (_, rest) = url.split_once("://").ok_or("has no host: use jdbc:<system>://host:port/database")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (account, hosts) = authority.rsplit_once('@').map_or((None, authority), |(a, h)| (Some(a), h));
        let (user, password) = match account.map(|a| a.split_once(':').unwrap_or((a, ""))) {
            Some((user, password)) => (Some(decoded(user)), Some(password).filter(|p| !p.is_empty()).map(decoded)),
            None => (None, None),
        };
        let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            scheme,
            user,
            password,
            hosts,
            database: Some(decoded(database)).filter(|d| !d.is_empty()),
            parameters: query.split('&').filter(|p| !p.is_empty()).map(parameter).collect(),
        })
    }

    /// A parameter by name, case aside.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// First host and its port, for messages too.
    pub fn first_host(&self, port: u16) -> (&str, u16) {
        self.hosts.first().map_or(("localhost", port), |(host, own)| (host.as_str(), own.unwrap_or(port)))
    }
}

fn host(text: &str) -> Result<(String, Option<u16>), String> {
    let is_v6 = text.starts_with('[');
    let split =
        if is_v6 { text.rsplit_once("]:").map(|(h, p)| (h.trim_start_matches('['), p)) } else { text.rsplit_once(':') };
    let (host, port) = match split {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| "has a port that is no number")?)),
        None => (text.trim_matches(['[', ']']), None),
    };
    if host.is_empty() { Ok(("localhost".to_owned(), port)) } else { Ok((host.to_owned(), port)) }
}

fn parameter(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (decoded(name), decoded(value))
}

/// Takes percent signs off; what is no escape stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found() {
        let url = Url::parse("jdbc:mysql://u:p%40s@db:3307/shop?useSSL=true&x").unwrap();
        assert_eq!(
            (url.scheme.as_str(), url.user.as_deref(), url.password.as_deref()),
            ("mysql", Some("u"), Some("p@s"))
        );
        assert_eq!((url.first_host(3306), url.database.as_deref()), (("db", 3307), Some("shop")));
        assert_eq!(url.parameter("usessl"), Some("true"));
        let plain = Url::parse("postgresql://[::1]:5433,other/").unwrap();
        assert_eq!(plain.hosts, [("::1".to_owned(), Some(5433)), ("other".to_owned(), None)]);
        assert_eq!((plain.database, plain.user), (None, None));
        assert!(Url::parse("jdbc:mysql:db").is_err());
        assert!(Url::parse("mysql://h:x/d").is_err());
        assert_eq!(scheme_of("JDBC:MariaDB://x"), "MariaDB");
    }
}

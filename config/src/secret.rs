//! Values that cannot be printed.
use std::borrow::Cow;

/// A secret text: no way to print, log or serialise it; [`Secret::expose`] is the one place where it is read.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What stands for a secret in answers and logs, as in Kafka.
    pub const HIDDEN: &str = "[hidden]";

    /// Wraps a text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Parts of the names of URL parameters whose values are secrets.
const SECRET_PARAMETERS: [&str; 5] = ["password", "passwd", "pwd", "secret", "token"];

/// A text with the passwords of the URLs in it hidden: `//user:[hidden]@host` and `?password=[hidden]`. Everything else
/// stays as it is.
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find([',', ' ', '\n']).unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        shown.extend([before, "://"]);
        cover_url(url, &mut shown);
        rest = behind;
    }
    shown.push_str(rest);
    if shown == text { text.into() } else { shown.into() }
}

/// What follows `://`.
fn cover_url(url: &str, shown: &mut String) {
    let (authority, path) = url.split_at(url.find(['?', '/', ';']).unwrap_or(url.len()));
    match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
        Some((user, host)) => shown.extend([user, ":", Secret::HIDDEN, "@", host]),
        None => shown.push_str(authority),
    }
    for part in path.split_inclusive(['?', '&', ';']) {
        let (pair, separator) = part.split_at(part.trim_end_matches(['?', '&', ';']).len());
        match pair.split_once('=') {
            Some((name, _)) if is_secret_parameter(name) => shown.extend([name, "=", Secret::HIDDEN]),
            _ => shown.push_str(pair),
        }
        shown.push_str(separator);
    }
}

fn is_secret_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_PARAMETERS.iter().any(|secret| name.contains(secret))
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_text() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some([hidden])");
    }

    #[test]
    fn passwords_in_urls_are_hidden_and_nothing_else() {
        for (text, shown) in [
            (
                "jdbc:mysql://h:3306/db?user=u&password=p&ssl=true",
                "jdbc:mysql://h:3306/db?user=u&password=[hidden]&ssl=true",
            ),
            ("jdbc:sqlserver://h;user=u;trustStorePassword=p", "jdbc:sqlserver://h;user=u;trustStorePassword=[hidden]"),
            ("https://elastic:a@b:c@h:9200/x", "https://elastic:[hidden]@h:9200/x"),
            (
                "http://u:p@a:9200,http://b:9200?api_token=t",
                "http://u:[hidden]@a:9200,http://b:9200?api_token=[hidden]",
            ),
            ("http://u@h/p:q@r", "http://u@h/p:q@r"),
            ("password=p", "password=p"),
            ("é://", "é://"),
        ] {
            assert_eq!(without_passwords(text), shown);
            assert_eq!(without_passwords(shown), shown, "what is hidden stays as it is");
        }
    }
}

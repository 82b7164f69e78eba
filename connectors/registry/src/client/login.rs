//! Who asks.
use crate::error::Error;
use crate::settings::{BasicSource, RegistrySettings};
use reqwest::{RequestBuilder, Url};

/// Credentials that every request carries.
pub(super) enum Login {
    None,
    Basic { user: String, password: String },
    Bearer(String),
}

/// User and password of an address.
pub(super) fn from_url(url: &Url) -> (String, String) {
    (decoded(url.username()), decoded(url.password().unwrap_or_default()))
}

impl Login {
    pub(super) fn new(settings: &RegistrySettings, in_url: Option<(String, String)>) -> Result<Self, Error> {
        if let (Some(_), Some(token)) = (settings.bearer_source, &settings.bearer_token) {
            return Ok(Self::Bearer(token.expose().trim().to_owned()));
        }
        match settings.basic_source {
            BasicSource::UserInfo => {
                let info = settings.basic_user_info.as_ref().map(|secret| secret.expose()).unwrap_or_default();
                let Some((user, password)) = info.split_once(':') else {
                    return Err(Error::Setting("basic.auth.user.info must be user:password".to_owned()));
                };
                Ok(Self::Basic { user: user.to_owned(), password: password.to_owned() })
            }
            BasicSource::Url => Ok(in_url.map_or(Self::None, |(user, password)| Self::Basic { user, password })),
        }
    }

    pub(super) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Basic { user, password } => request.basic_auth(user, Some(password)),
            Self::Bearer(token) => request.bearer_auth(token),
        }
    }
}

/// Undoes the percent signs of an address.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (first, after) {
            (b'%', [a, b, behind @ ..]) if hex(*a).is_some() && hex(*b).is_some() => {
                bytes.push((hex(*a).unwrap_or(0) << 4) | hex(*b).unwrap_or(0));
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_may_hold_any_character() {
        let url = Url::parse("https://u%40x:a%3Ab%2F%C3%A9@host").unwrap();
        assert_eq!(from_url(&url), ("u@x".to_owned(), "a:b/é".to_owned()));
        assert_eq!(decoded("100%"), "100%");
    }
}

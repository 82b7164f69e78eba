//! Tokens of SASL OAUTHBEARER: how librdkafka asks for one.
use super::text;
use rdkafka_sys as sys;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

/// A token, and what it says of itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) value: String,
    /// End of its life, milliseconds since 1970 UTC.
    pub(crate) ends_ms: u128,
    pub(crate) principal: String,
    pub(crate) extensions: BTreeMap<String, String>,
}

/// The value is a secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("ends_ms", &self.ends_ms).finish_non_exhaustive()
    }
}

/// Gives tokens.
pub(crate) trait TokenSource: Send + Sync {
    /// Called on a thread of the library, which may block; the error is for people.
    fn token(&self) -> Result<Token, String>;
}

/// What a client's callback is given; lives as long as the client, where it is.
pub(super) type Source = Box<Asked>;

/// Keeps a source behind a pointer of one word.
pub(super) struct Asked(pub(super) Arc<dyn TokenSource>);

/// Has a configuration's client ask a source.
pub(super) fn ask(conf: *mut sys::rd_kafka_conf_t, source: &Source) {
    let opaque = std::ptr::from_ref::<Asked>(source).cast_mut().cast::<c_void>();
    // SAFETY: the configuration is live; the source is kept beside it, and then beside its client, until that is destroyed.
    unsafe {
        sys::rd_kafka_conf_set_opaque(conf, opaque);
        sys::rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, Some(refresh));
        sys::rd_kafka_conf_enable_sasl_queue(conf, 1);
    }
}

unsafe extern "C" fn refresh(client: *mut sys::rd_kafka_t, _: *const c_char, opaque: *mut c_void) {
    // SAFETY: the opaque pointer is the client's source, see `ask`.
    let source = unsafe { &*opaque.cast::<Asked>() };
    // A panic must not reach the library.
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| source.0.token()));
    let asked = asked.unwrap_or_else(|_| Err("the client that asks for tokens has failed".to_owned()));
    let set = asked.and_then(|token| hand_over(client, &token));
    if let Err(why) = set {
        let why = CString::new(why).unwrap_or_default();
        // SAFETY: the client calls back and is live; the text is copied.
        unsafe { sys::rd_kafka_oauthbearer_set_token_failure(client, why.as_ptr()) };
    }
}

fn hand_over(client: *mut sys::rd_kafka_t, token: &Token) -> Result<(), String> {
    let zero = |_| "the token holds a zero byte".to_owned();
    let value = CString::new(token.value.as_str()).map_err(zero)?;
    let principal = CString::new(token.principal.as_str()).map_err(zero)?;
    let pairs = token.extensions.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let pairs: Vec<CString> = pairs.map(CString::new).collect::<Result<_, _>>().map_err(zero)?;
    let mut extensions: Vec<*const c_char> = pairs.iter().map(|text| text.as_ptr()).collect();
    let ends_ms = i64::try_from(token.ends_ms).unwrap_or(i64::MAX);
    let mut reason = [0 as c_char; 512];
    // SAFETY: the client is live; every text and both arrays live for the call, and the lengths are theirs.
    let code = unsafe {
        sys::rd_kafka_oauthbearer_set_token(
            client,
            value.as_ptr(),
            ends_ms,
            principal.as_ptr(),
            extensions.as_mut_ptr(),
            extensions.len(),
            reason.as_mut_ptr(),
            reason.len(),
        )
    };
    match super::Code::from(code) {
        super::Code::NoError => Ok(()),
        _ => Err(text(reason.as_ptr())),
    }
}

//! A client configuration.
use super::token::{self, Asked, Source, TokenSource};
use rdkafka_sys as sys;
use std::ffi::{CString, c_char, c_int};
use std::ptr::NonNull;
use std::sync::Arc;

/// Owns an `rd_kafka_conf_t` until a client takes it over.
pub(crate) struct Conf(NonNull<sys::rd_kafka_conf_t>, Option<Source>);

impl Conf {
    /// librdkafka's defaults, its log lines sent to [`tracing`].
    pub(crate) fn new() -> Option<Self> {
        // SAFETY: no preconditions; ownership of the result is ours.
        let conf = Self(NonNull::new(unsafe { sys::rd_kafka_conf_new() })?, None);
        // SAFETY: the pointer is live, and the callback is a function of this program.
        unsafe { sys::rd_kafka_conf_set_log_cb(conf.0.as_ptr(), Some(log)) };
        Some(conf)
    }

    /// Sets one property; the error is the library's sentence, which may repeat the value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let (Ok(key), Ok(value)) = (CString::new(key), CString::new(value)) else {
            return Err("contains a zero byte".to_owned());
        };
        let mut reason = [0 as c_char; 512];
        // SAFETY: all pointers are live for the call, and the length given is the buffer's.
        let result = unsafe {
            sys::rd_kafka_conf_set(self.0.as_ptr(), key.as_ptr(), value.as_ptr(), reason.as_mut_ptr(), reason.len())
        };
        if result == sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK { Ok(()) } else { Err(super::text(reason.as_ptr())) }
    }

    /// Which happenings arrive as events instead of callbacks.
    pub(crate) fn events(&mut self, mask: i32) {
        // SAFETY: the pointer is live.
        unsafe { sys::rd_kafka_conf_set_events(self.0.as_ptr(), mask) };
    }

    /// Has the client ask for tokens.
    pub(crate) fn tokens(&mut self, source: Arc<dyn TokenSource>) {
        let source = Box::new(Asked(source));
        token::ask(self.0.as_ptr(), &source);
        self.1 = Some(source);
    }

    /// Gives the pointer away, and what it points to; the receiver destroys it.
    pub(super) fn into_raw(mut self) -> (*mut sys::rd_kafka_conf_t, Option<Source>) {
        let (raw, source) = (self.0.as_ptr(), self.1.take());
        std::mem::forget(self);
        (raw, source)
    }

    /// Takes back what a failed client creation left with us.
    pub(super) fn from_raw(raw: *mut sys::rd_kafka_conf_t) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self(raw, None))
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: the pointer is ours and not used afterwards.
        unsafe { sys::rd_kafka_conf_destroy(self.0.as_ptr()) };
    }
}

/// Log lines of librdkafka. It writes addresses, codes and protocol states, never properties or record contents.
unsafe extern "C" fn log(_: *const sys::rd_kafka_t, level: c_int, facility: *const c_char, line: *const c_char) {
    let (facility, line) = (super::text(facility), super::text(line));
    match level {
        0..=3 => tracing::error!(target: "librdkafka", facility, "{line}"),
        4 => tracing::warn!(target: "librdkafka", facility, "{line}"),
        5..=6 => tracing::info!(target: "librdkafka", facility, "{line}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

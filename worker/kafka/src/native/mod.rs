//! librdkafka's C functions behind safe types.
//!
//! Why not the wrapper crate's clients: its `flush` and `commit_transaction` poll in steps of 100 ms, its `send`
//! allocates a C string and looks the topic up per record, and its consumer hands out one shared pointer per record.
//! Everything unsafe of this crate lies below this module; each type owns its pointer and keeps alive what it points into.
#![expect(unsafe_code, reason = "the only place that calls the C library; every block says why it is sound")]
mod admin;
mod conf;
mod consume;
mod described;
mod event;
mod fetched;
mod groups;
mod handle;
mod list;
#[cfg(test)]
mod mock;
mod produce;
mod token;
mod transaction;

pub(crate) use admin::CreateTopic;
pub(crate) use conf::Conf;
pub(crate) use event::{Event, EventKind, Message, Queue};
pub(crate) use fetched::Fetched;
pub(crate) use groups::GroupChange;
pub(crate) use handle::{Handle, Kind};
pub(crate) use list::{Partition, Partitions};
pub(crate) use produce::{Outgoing, Topic};
pub(crate) use rdkafka_sys::types::RDKafkaErrorCode as Code;
pub(crate) use token::{Token, TokenSource};

use rdkafka_sys as sys;
use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;

/// A code with librdkafka's own flags and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) fatal: bool,
    pub(crate) abortable: bool,
}

impl Refusal {
    /// A refusal that is a bare code.
    pub(crate) fn of(code: Code) -> Self {
        Self { code, text: describe(code), fatal: false, abortable: false }
    }

    /// Takes over an error object; `None` is success.
    fn take(error: *mut sys::rd_kafka_error_t) -> Result<(), Self> {
        let Some(error) = NonNull::new(error) else { return Ok(()) };
        let refusal = Self::read(error.as_ptr());
        // SAFETY: the caller passes an object it owns, and it is not used after this line.
        unsafe { sys::rd_kafka_error_destroy(error.as_ptr()) };
        Err(refusal)
    }

    /// Reads an error object that stays its owner's.
    fn read(error: *const sys::rd_kafka_error_t) -> Self {
        // SAFETY: `error` points to a live error object for the length of this call; the strings are copied.
        unsafe {
            Self {
                code: sys::rd_kafka_error_code(error).into(),
                text: text(sys::rd_kafka_error_string(error)),
                fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                abortable: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            }
        }
    }

    /// From a bare response code; zero is success.
    fn check(code: sys::rd_kafka_resp_err_t) -> Result<(), Self> {
        match Code::from(code) {
            Code::NoError => Ok(()),
            code => Err(Self::of(code)),
        }
    }
}

/// librdkafka's words for a code.
pub(crate) fn describe(code: Code) -> String {
    match sys::rd_kafka_resp_err_t::try_from(code as i32) {
        // SAFETY: the function returns a pointer to a static string for every code.
        Ok(raw) => unsafe { text(sys::rd_kafka_err2str(raw)) },
        Err(_) => "unknown error".to_owned(),
    }
}

/// Every code this librdkafka knows, with its C name.
#[cfg(test)]
pub(crate) fn every_code() -> Vec<(i32, String)> {
    let mut rows = std::ptr::null();
    let mut count = 0;
    // SAFETY: both pointers are valid for writes; the table is static.
    unsafe { sys::rd_kafka_get_err_descs(&raw mut rows, &raw mut count) };
    (0..count)
        // SAFETY: `index` is below the count the library reported; rows without a name are gaps of the table, whose
        // code is read as a plain integer because it need not be a value of the enumeration.
        .filter_map(|index| unsafe {
            let row = rows.add(index);
            let name = (*row).name;
            (!name.is_null()).then(|| (std::ptr::addr_of!((*row).code).cast::<i32>().read(), text(name)))
        })
        .collect()
}

/// Copies a C string; null is empty.
fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: callers pass strings of the library, which end with a zero and live for the length of this call.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().trim().to_owned()
}

/// A C string of a name; names with a zero byte cannot exist in Kafka.
fn name(text: &str) -> Result<CString, Refusal> {
    CString::new(text).map_err(|_| Refusal {
        code: Code::InvalidArgument,
        text: "a name contains a zero byte".to_owned(),
        fatal: false,
        abortable: false,
    })
}

/// Milliseconds for the C functions.
fn millis(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

//! What happens in one run, for people: `EF_TRACE=1 EF_SEED=<seed>`.
use std::cell::Cell;
use tokio::time::Instant;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Times are from here on.
pub(super) fn begin_trace() {
    BEGAN.set(Some(Instant::now()));
}

/// Prints virtual milliseconds and what happens, if that is asked for.
pub(super) fn trace(what: impl FnOnce() -> String) {
    if std::env::var_os("EF_TRACE").is_some() {
        println!("{:>8} {}", BEGAN.get().map_or(0, |began| began.elapsed().as_millis()), what());
    }
}

//! The embedded development broker.

//! The protocol on the wire: which requests are understood, their shape, frames, and one loop per connection.
pub(crate) mod connection;
pub(crate) mod dispatch;
pub(crate) mod frame;
pub(crate) mod requests;
pub(crate) mod shape;

//! The source and the sink against real files.
mod fakes;
mod sink;
mod source;
mod stream;
mod tail;

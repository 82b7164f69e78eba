//! The source and the sink against real files.
mod conformance;
mod fakes;
mod sink;
mod source;
mod stream;
mod tail;

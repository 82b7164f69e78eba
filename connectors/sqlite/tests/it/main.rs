//! The sink and the source against real files.
mod fakes;
mod sink;
mod source;

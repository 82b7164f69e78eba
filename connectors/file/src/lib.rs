//! File source and two-phase file sink.

//! Tests of the pure functions of flow control.
mod allocation;
mod simulation;
mod special;
mod vectors;

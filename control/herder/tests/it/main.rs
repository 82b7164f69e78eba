//! The herder on the embedded broker, with connectors and a task runner that do as they are told.
mod lifecycle;
mod offsets;
mod plans;
mod restart;
mod runner;
mod startup;
mod stubs;
mod worker;

//! The pure decisions: tables and properties.
mod reconcile;
mod restart;
mod tasks;

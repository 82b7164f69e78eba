//! The model: every state of small worlds is visited, breadth first; nothing is drawn by lot.
//!
//! A change of the protocol is a change of these worlds first. The numbers of states are fixed: a world that has lost a step
//! is noticed by its size.
#![cfg(test)]

mod moving;
mod overlapping;
mod search;

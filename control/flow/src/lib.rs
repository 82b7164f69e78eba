//! Pure flow control: lag model, rate law.
//!
//! This crate is where the leader's decisions about rates belong: how far a topic's consumers are behind and whether
//! that grows (lag model), what rate each source gets from it by priority, floor and cap (rate law), when a source is
//! paused because unconsumed bytes exceed their limit (breaker). Like `elasticflow-plan` it holds functions of their
//! arguments alone, so that the law can be run over simulated hours in a test.
//!
//! It holds nothing yet: every source runs at the rate that its own configuration allows, and no configuration key
//! promises otherwise.

//! The sink against a scripted server, and against a real one where `EF_ELASTICSEARCH` names it.
mod fake;
mod faults;
mod harness;
mod real;
mod requests;
mod validation;

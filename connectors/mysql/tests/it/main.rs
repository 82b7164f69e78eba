//! Tests against real servers. Without `EF_MYSQL` (and `EF_MARIADB`) they say that they are skipped.
mod decoder;
mod golden;
mod matching;
mod refusals;
mod render;
mod snapshot;
mod streaming;
mod support;

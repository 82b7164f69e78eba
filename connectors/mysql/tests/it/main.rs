//! Tests against real servers. Without `EF_MYSQL` (and `EF_MARIADB`) they say that they are skipped.
mod golden;
mod matching;
mod render;
mod snapshot;
mod streaming;
mod support;

//! Tests against real servers. Without `EF_MYSQL` (and `EF_MARIADB`) they say that they are skipped.
mod render;
mod streaming;
mod support;

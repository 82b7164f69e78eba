//! The elasticflow binary: composition root, command line.

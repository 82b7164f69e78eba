//! Single message transforms and predicates, one file each.

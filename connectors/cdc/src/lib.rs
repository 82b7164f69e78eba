//! What every change-capture source shares and no database: envelope, keys, naming, filters.

//! Seeded generator of numbered records.

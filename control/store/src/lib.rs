//! The internal topics: stored formats, reading to the end, the leader's transactions.

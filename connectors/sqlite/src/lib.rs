//! SQLite batch source and transactional sink.
